"""RequestAction: an action is checked for the last time, and the intent to carry it out is committed before anything
is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.actions import life_cycle
from shared.actions.action import Permit, Situation
from shared.actions.carrying_out import states_of
from shared.actions.dispatcher import NO_POLICY, Refusal, Roles, permit_for, unsound
from shared.actions.registry import ACTIONS, described
from shared.actions.tally import counted
from shared.approvals import card as cards
from shared.approvals.life_cycle import unused
from shared.audit.seal import altered, as_evidence
from shared.contracts.commands import envelope
from shared.contracts.identity import deterministic_id, partition_of
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import RetryableError, TerminalError
from shared.flows import approval_steps as steps
from shared.flows.members import membership_id
from shared.flows.stored_action import (
    DISPATCHER,
    Gathered,
    described_safely,
    entry_of,
    feedback,
    gathered,
    in_state,
    is_erased,
    left_for_review,
    left_waiting,
    line_to,
    settled_already,
    stored_action,
)
from shared.guard.action_policy import ActionPolicy
from shared.ports.action_backend import ActionBackend
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, moved_to, signal, stage, with_signals, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import RequestActionEnvelope

UNTRIED = ("requested", "needs_review")
SUPERSEDABLE = frozenset({"pending", "modified", "approved"})
LEFT_ALONE = frozenset({"record_altered", "action_changed", "arguments_changed", "card_changed", "signature_mismatch"})
"""Refusals after which the card stays as it was found: it is evidence."""


@dataclass(frozen=True, slots=True)
class RequestActionFlow:
    """chart: the categories of a tenant without its own. own_accounts: tenant to the accounts that it may pay from.

    memberships: whether stored memberships are what counts; then they are read again. first_operators: the
    `principal=tenant` lines that make somebody an operator beside them. policy: None, while there is none, parks every
    request: with a policy again, an operator's replay takes it further, if nothing has expired by then.
    """

    policy: ActionPolicy | None
    backends: Mapping[str, ActionBackend]
    chart: frozenset[str]
    own_accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    memberships: bool = False
    first_operators: frozenset[str] = frozenset()

    def needs(self, command: RequestActionEnvelope) -> tuple[str, ...]:
        return (life_cycle.action_doc_id(command.payload.action_id),)

    async def handle(self, work: Work) -> Outcome:
        action = stored_action(work)
        if await is_erased(work, action):
            return settled_already(work, action.body)
        whole = await gathered(work, action, chart=self.chart, own_accounts=self.own_accounts)
        wrong = unsound(whole.stored)
        if is_past_request(action.body):
            if wrong is not None:
                raise TerminalError(wrong.code, wrong.detail)
            return settled_already(work, action.body)
        permit: Permit | Refusal | None = wrong
        if permit is None:
            situation = await self._with_states(work, action.body, whole.situation)
            roles_now = await self._roles_now(work, whole)
            permit = permit_for(
                whole.stored, policy=self.policy, situation=situation, roles_now=roles_now, now=work.now
            )
        if isinstance(permit, Refusal) and permit.code == NO_POLICY:
            raise TerminalError(permit.code, permit.detail)
        if isinstance(permit, Refusal):
            return _refused(work, whole, permit)
        return _intended(work, whole, permit)

    def when_delayed(
        self, command: Any, documents: Mapping[str, Document], *, run: Run, why: RetryableError, now: datetime
    ) -> Left:
        return left_waiting(command, documents, run=run, why=why, now=now)

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        """Nothing was tried. A replay of the parked command checks everything again."""
        action = in_state(documents, command.payload.action_id, "requested")
        if action is None:
            return Left()
        return left_for_review(partition_of(command.tenant), action, run=run, reason=reason)

    async def _with_states(self, work: Work, body: Body, situation: Situation) -> Situation:
        """What the action's backend says of its subjects now. Without a backend the policy refuses anyway."""
        subjects = ACTIONS[body["action"]].subjects(body["arguments"])
        backend = self.backends.get(body["backend"])
        if not subjects or backend is None or self.policy is None:
            return situation
        line = line_to(work, backend, self.policy, body["action"])
        return situation._replace(states=await states_of(line, subjects))

    async def _roles_now(self, work: Work, whole: Gathered) -> Roles | None:
        if not self.memberships:
            return None
        card = whole.stored.card
        people = {whole.stored.action.body["requested_by"]}
        people |= {signature["person"] for signature in card.body["signatures"]} if card else set()
        ids = {person: membership_id(person) for person in people}
        found = await work.store.read_many(SYSTEM_PARTITION, sorted(ids.values()))
        tenant = work.command.tenant
        roles = {person: found[id_].body["tenants"].get(tenant, []) for person, id_ in ids.items() if id_ in found}
        return {person: frozenset(roles.get(person, ())) | self._as_operator(person, tenant) for person in people}

    def _as_operator(self, person: str, tenant: str) -> frozenset[str]:
        return frozenset({"operator"} if f"{person}={tenant}" in self.first_operators else ())


def is_past_request(body: Body) -> bool:
    """Whether there is nothing to request any more. What a parked request has left may be requested again."""
    return body["state"] not in UNTRIED or bool(body["intent_at"])


def _intended(work: Work, whole: Gathered, permit: Permit) -> Outcome:
    """The card is used up, the intent is on the record, and the effect may be asked for: one commit."""
    action, card = whole.stored.action, whole.stored.card
    run_id = work.run["run_id"]
    intended = life_cycle.moved(
        action,
        "intended",
        at=work.at,
        code="action_allowed",
        intent_at=work.at,
        intent_run=run_id,
        idempotency_key=permit.idempotency_key,
        backend=permit.judgement.backend,
    )
    title = described(permit.action, dict(permit.arguments)).title
    done = stage("permit", "Succeeded", order=1, at=work.at, code="action_allowed", rationale=f"allowed: {title}")
    run = {**work.run, "policy_version": permit.judgement.policy_version}
    payload = {
        "arguments": dict(permit.arguments),
        "idempotency_key": permit.idempotency_key,
        "backend": permit.judgement.backend,
        "policy_version": permit.judgement.policy_version,
        "signed_by": [one["person"] for one in card.body["signatures"]] if card else [],
    }
    used = [cards.consumed(card, run_id=run_id, at=work.at)] if card else []
    return Outcome(
        run=moved_to(with_stages(run, [done]), "Completed", at=work.at),
        entries=[
            *(steps.entry("approval_consumed", work, one.body, who=DISPATCHER) for one in used),
            entry_of("effect_intent", work, intended.body, **payload),
        ],
        writes=[intended, *used],
        commands=[_perform(work, action.body)],
        merges=[steps.telling(one.body, run=work.run, now=work.now) for one in used],
    )


def _perform(work: Work, body: Body) -> dict[str, Any]:
    """The command that carries out the intent which this run commits."""
    return envelope(
        "PerformAction",
        {"action_id": body["action_id"]},
        command_id=deterministic_id(work.partition, "perform-action", f"{body['action_id']}\x1f{work.run['run_id']}"),
        tenant=work.command.tenant,
        source=body["conversation_id"] or "action",
        issued_at=work.now,
        causation_id=work.command.command_id,
        traceparent=work.command.traceparent,
    )


def _refused(work: Work, whole: Gathered, refusal: Refusal) -> Outcome:
    """Not carried out: the action is cancelled with the reason, an unused card is superseded, people are told. What
    somebody has altered stays as it was found, and the record says what it was."""
    action, card = whole.stored.action, whole.stored.card
    found = altered([one for one in (action, card) if one is not None], whole.stored.records)
    cancelled = life_cycle.moved(action, "cancelled", at=work.at, code=refusal.code, detail=refusal.detail)
    text = f"Not done: {described_safely(cancelled.body)}. {refusal.detail[:1].upper()}{refusal.detail[1:]}."
    ended: list[Document] = []
    if card is not None and refusal.code not in LEFT_ALONE and card.body["state"] in SUPERSEDABLE:
        ended = [unused(card, why=refusal.code, by=work.run["run_id"], at=work.at)]
    notices, merges = feedback(
        work.partition, cancelled.body, text, run=work.run, at=work.at, now=work.now, cards=[one.body for one in ended]
    )
    writes = [*([] if action.id in found else [cancelled]), *notices, *ended]
    grave = refusal.code in LEFT_ALONE
    failed = stage("permit", "Failed", order=1, at=work.at, code=refusal.code, rationale=refusal.detail)
    run = with_stages(work.run, [failed])
    if grave:
        run = with_signals(run, [signal(refusal.code, "Critical", refusal.detail, at=work.at)])
    return Outcome(
        run=moved_to(run, "Completed", at=work.at),
        entries=[
            *(
                steps.entry(f"approval_{one.body['state']}", work, one.body, who=DISPATCHER, why=refusal.code)
                for one in ended
            ),
            entry_of("action_refused", work, cancelled.body, detail=refusal.detail, **as_evidence(found)),
        ],
        writes=writes,
        merges=[counted(work.partition, cancelled.body, outcome="cancelled", at=work.at), *merges],
    )
