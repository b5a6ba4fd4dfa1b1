"""PerformAction: an action whose intent is on the record is carried out, once, and what came of it is recorded.

Our own store: the effect is part of the commit that records it. A backend: it is asked what became of the key before it
is asked to do anything, on every attempt, so that no redelivery repeats an effect blindly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.actions import life_cycle
from shared.actions.action import Effect as OwnEffect
from shared.actions.action import Permit
from shared.actions.carrying_out import carried_out, found
from shared.actions.dispatcher import Refusal, permit_again
from shared.actions.registry import ACTIONS
from shared.actions.tally import counted
from shared.contracts.identity import partition_of
from shared.contracts.instants import parse
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import RetryableError, TerminalError
from shared.flows.stored_action import (
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
from shared.ports.action_backend import ActionBackend, Effect
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import PerformActionEnvelope

TRIED = ("intended", "needs_review")
PENDING_SECONDS = 5.0
OUTAGES_OF_OURS = frozenset({"store_unavailable", "schema_too_new"})


class _Result(NamedTuple):
    """How an action ended. told: for the conversation. record: what else goes on the audit record."""

    state: str
    code: str
    detail: str
    told: str
    changes: Mapping[str, Any] = {}
    record: Mapping[str, Any] = {}
    own: OwnEffect | None = None


@dataclass(frozen=True, slots=True)
class PerformActionFlow:
    """chart, own_accounts: as for `RequestActionFlow`. policy: None lets a backend only be asked what it has done."""

    policy: ActionPolicy | None
    backends: Mapping[str, ActionBackend]
    chart: frozenset[str]
    own_accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def needs(self, command: PerformActionEnvelope) -> tuple[str, ...]:
        return (life_cycle.action_doc_id(command.payload.action_id),)

    async def handle(self, work: Work) -> Outcome:
        action = stored_action(work)
        if await is_erased(work, action):
            return await self._of_erased(work, action)
        whole = await gathered(work, action, chart=self.chart, own_accounts=self.own_accounts)
        verdict = permit_again(whole.stored, policy=self.policy, situation=whole.situation)
        if isinstance(verdict, Refusal) and verdict.code in ("record_altered", "action_changed", "action_invalid"):
            raise TerminalError(verdict.code, verdict.detail)
        if action.body["state"] not in TRIED or not action.body["intent_at"]:
            return settled_already(work, action.body)
        kind = ACTIONS[action.body["action"]]
        if kind.effect is None:
            return _ended(work, action, _from_backend(action.body, await self._at_backend(work, action.body, verdict)))
        if isinstance(verdict, Refusal):
            return _ended(work, action, _not_done(action.body, verdict.code, verdict.detail))
        return _ended(work, action, _in_our_store(kind.effect(verdict, whole.situation)))

    def when_delayed(
        self, command: Any, documents: Mapping[str, Document], *, run: Run, why: RetryableError, now: datetime
    ) -> Left:
        return left_waiting(command, documents, run=run, why=why, now=now)

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        """A replay of the parked command only asks what became of the key: a person decides on anything more."""
        action = in_state(documents, command.payload.action_id, "intended")
        if action is None:
            return Left()
        return left_for_review(partition_of(command.tenant), action, run=run, reason=reason)

    async def _of_erased(self, work: Work, action: Document) -> Outcome:
        """The backend is asked what became of the key, and nothing else; nobody is told what it was."""
        body = action.body
        backend = self.backends.get(body["backend"])
        if body["state"] not in TRIED or not body["intent_at"] or backend is None:
            return settled_already(work, body)
        effect = await found(line_to(work, backend, self.policy, body["action"]), body["idempotency_key"])
        if effect is None:
            return settled_already(work, body)
        return _ended(work, action, _of_nobody_knows_what(_settled(effect)))

    async def _at_backend(self, work: Work, body: Body, verdict: Permit | Refusal) -> Effect:
        """What the backend says; `RetryableError` while it may still say something, `TerminalError` after that."""
        backend = self.backends.get(body["backend"])
        if backend is None:
            raise TerminalError("backend_not_configured", f"there is no backend {body['backend']!r} to ask")
        line = line_to(work, backend, self.policy, body["action"])
        try:
            effect = await found(line, body["idempotency_key"])
            if effect is None:
                permit = self._may_ask(work, body, verdict)
                effect = await carried_out(line, permit, ACTIONS[body["action"]])
            return _settled(effect)
        except RetryableError as failed:
            if self._is_overdue(work, body) and failed.code not in OUTAGES_OF_OURS:
                raise TerminalError("effect_unconfirmed", f"given up: {failed}") from failed
            raise

    def _may_ask(self, work: Work, body: Body, verdict: Permit | Refusal) -> Permit:
        """The permit, for a key that the backend has not seen; `TerminalError` when it is not to be asked any more: an
        earlier request may still be on its way, so a person must look."""
        if body["state"] == "needs_review":
            raise TerminalError("effect_not_found", "the backend has never seen the key; nothing was asked for again")
        if isinstance(verdict, Refusal):
            raise TerminalError(verdict.code, verdict.detail)
        if self._is_overdue(work, body):
            raise TerminalError("effect_unconfirmed", "the backend has not seen the key in all the time there was")
        return verdict

    def _is_overdue(self, work: Work, body: Body) -> bool:
        rule = self.policy.actions.get(body["action"]) if self.policy else None
        return rule is None or work.now >= parse(body["intent_at"]) + timedelta(seconds=rule.give_up_seconds)


def _settled(effect: Effect) -> Effect:
    if effect.state == "pending":
        raise RetryableError("it is working on it", code="effect_pending", retry_after_seconds=PENDING_SECONDS)
    return effect


def _in_our_store(effect: OwnEffect) -> _Result:
    return _Result("done", "effect_done", "", effect.told, {"result": effect.result}, effect.record, effect)


def _not_done(body: Body, code: str, detail: str) -> _Result:
    why = detail or code.replace("_", " ")
    return _Result("refused", code, detail, f"Not done: {described_safely(body)}. {why[:1].upper()}{why[1:]}.")


def _from_backend(body: Body, effect: Effect) -> _Result:
    facts = {"reference": effect.reference, "result": dict(effect.details)}
    record = {"reference": effect.reference, "details": dict(effect.details)}
    if effect.state == "refused":
        refused = _not_done(body, effect.code or "effect_refused", effect.detail)
        return refused._replace(changes=facts, record=record)
    told = ACTIONS[body["action"]].told(body["arguments"], effect.reference)
    return _Result("done", "effect_done", "", told, facts, record)


def _of_nobody_knows_what(effect: Effect) -> _Result:
    is_done = effect.state == "done"
    told = f"What was asked for here, and erased since, was {'done' if is_done else 'not done'}."
    facts = {"reference": effect.reference}
    changes = {**facts, "idempotency_key": ""}
    return _Result(
        "done" if is_done else "refused", "effect_done" if is_done else "effect_refused", "", told, changes, facts
    )


def _ended(work: Work, action: Document, result: _Result) -> Outcome:
    """One commit: the outcome, what it changed in our own store, the record, the count, and what people are told."""
    attempts = work.command.attempt
    ended = life_cycle.moved(
        action, result.state, at=work.at, code=result.code, detail=result.detail, attempts=attempts, **result.changes
    )
    notices, merges = feedback(work.partition, ended.body, result.told, run=work.run, at=work.at, now=work.now)
    status = "Succeeded" if result.state == "done" else "Failed"
    details = {"outcome_code": result.code, "response_summary": result.told[:200]}
    performed = stage("effect", status, order=1, at=work.at, code=result.code, rationale=result.told, details=details)
    outcome = entry_of("effect_outcome", work, ended.body, detail=result.detail, attempts=attempts, **result.record)
    return Outcome(
        run=moved_to(with_stages(work.run, [performed]), "Completed", at=work.at),
        entries=[outcome],
        writes=[ended, *notices, *(result.own.writes if result.own else ())],
        events=list(result.own.events) if result.own else [],
        merges=[counted(work.partition, ended.body, outcome=result.state, at=work.at), *merges],
    )
