"""AnswerApproval: a person signs, edits or refuses a card. Who they are comes from authentication; one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.actions import life_cycle as actions
from shared.actions.dispatcher import NO_POLICY
from shared.approvals import life_cycle
from shared.approvals.card import Card, terms_of, what_changed
from shared.approvals.life_cycle import Edit, Signer
from shared.approvals.record import needed
from shared.audit.record import Entry
from shared.contracts.commands import envelope
from shared.contracts.identity import deterministic_id
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import InvalidInputError, StateConflictError
from shared.flows import approval_steps as steps
from shared.flows import revise_action
from shared.flows.outgoing_lately import Outgoing
from shared.flows.revise_action import Revision
from shared.guard.action_policy import ActionPolicy
from shared.guard.approvers import REJECT, Terms, stricter
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import AnswerApprovalEnvelope
    from shared.contracts.conversation_commands import AnswerApproval

MAX_EVIDENCE = 80
"""Lines: every transaction of a card is one, and so is every edit."""
TWO_NOW = "After an edit two different people must sign; whoever edited it may be one of them."


class _Answered(NamedTuple):
    card: Document
    action: Document | None
    """The action, when it was edited."""
    outgoing: Sequence[Document] = ()


@dataclass(frozen=True, slots=True)
class AnswerApprovalFlow:
    """policy: judges an edit as it would judge a new wish. None: nobody can sign, and the card waits; a no is taken."""

    policy: ActionPolicy | None

    def needs(self, command: AnswerApprovalEnvelope) -> tuple[str, ...]:
        return steps.needs_of(command.payload.approval_id)

    async def handle(self, work: Work) -> Outcome:
        answer: AnswerApproval = work.command.payload
        card, action = steps.card_and_action(work, answer.approval_id)
        signer = Signer(answer.person, answer.person_name, answer.roles)
        await steps.unaltered(work, card, action)
        life_cycle.check(card.body, signer, decision=answer.decision, card_digest=answer.card_digest, at=work.at)
        changed = what_changed(card.body, action.body, tenant=work.command.tenant)
        if changed:
            raise StateConflictError(
                "the card and its action are not what was stored together: nobody can sign this", code=changed
            )
        if self.policy is None and answer.decision != REJECT:
            raise StateConflictError(life_cycle.explained(NO_POLICY, card.body), code=NO_POLICY)
        return _outcome(work, card, await self._answered(work, card, action, signer))

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        del command, documents, run, reason  # an answer never travels on a lane, so it is never parked
        return Left()

    async def _answered(self, work: Work, card: Document, action: Document, signer: Signer) -> _Answered:
        answer: AnswerApproval = work.command.payload
        arguments, said = answer.edited_arguments, {"rationale": answer.rationale, "at": work.at}
        if answer.decision == REJECT:
            if arguments is not None:
                raise InvalidInputError(
                    "a rejection edits nothing: leave edited_arguments out", code="edit_not_expected"
                )
            return _Answered(life_cycle.rejected(card, signer, **said), None)
        if arguments is None:
            return _Answered(life_cycle.signed(card, signer, **said), None)
        outgoing = Outgoing(work, self.policy)
        lately = await outgoing.lately(action.body["action"], but=[action.body["action_id"]])
        revised = revise_action.revised(action.body, arguments, policy=self.policy, lately=lately)
        if revised.arguments == card.body["arguments"]:
            return _Answered(life_cycle.signed(card, signer, **said), None)
        after = life_cycle.edited(card, _edit(card.body, revised, signer), signer, **said)
        edited = _edited_action(action, revised, digest=after.body["digest"], at=work.at)
        outgoing.counts(edited)
        return _Answered(after, edited, outgoing.writes())


def _edit(card: Body, revised: Revision, signer: Signer) -> Edit:
    """The edit in the card's terms: it may ask for more than before, never for less."""
    judged, described = revised.judged, revised.description
    asked = Terms(judged.role, judged.quorum, judged.requester_may_sign, card["requested_by"])
    shown = card["card"]
    return Edit(
        arguments=revised.arguments,
        schema_version=revised.schema_version,
        policy_version=judged.policy_version,
        risk=judged.risk,
        terms=stricter(terms_of(card), asked),
        card=Card(
            title=described.title,
            what=described.what,
            why=shown["why"],
            evidence=[
                *shown["evidence"],
                *_differences([(label, value) for label, value in shown["what"]], described.what, signer),
                *([TWO_NOW] if "edited_by_person" in judged.reason_codes and TWO_NOW not in shown["evidence"] else []),
            ][-MAX_EVIDENCE:],
            effects=described.effects,
        ),
    )


def _edited_action(action: Document, revised: Revision, *, digest: str, at: str) -> Document:
    changed = actions.edited(
        action,
        revised.arguments,
        schema_version=revised.schema_version,
        policy_version=revised.judged.policy_version,
        digest=digest,
        risk=revised.judged.risk,
        at=at,
    )
    mentions = list(dict.fromkeys([*action.body["mentions"], *revised.mentions]))  # what it told of is still in it
    return changed._replace(body={**changed.body, "mentions": mentions, "lately": dict(revised.lately)})


def _differences(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]], signer: Signer) -> list[str]:
    """What the editor changed, for whoever signs next. By the principal's id: what is signed can never be erased alone,
    and a name could not stay."""
    old, new = dict(before), dict(after)
    labels = [label for label in {**old, **new} if old.get(label) != new.get(label)]
    return [
        f"{signer.person} changed {label}: {old.get(label, 'nothing')} became {new.get(label, 'nothing')}"
        for label in labels
    ]


def _outcome(work: Work, before: Document, after: _Answered) -> Outcome:
    answer: AnswerApproval = work.command.payload
    body, at = after.card.body, work.at
    code = life_cycle.answer_of(answer.decision)
    done = stage("approval", "Succeeded", order=1, at=at, code=code, rationale=answer.rationale or f"{body['state']}")
    submitted = envelope(
        "AgentApprovalSubmitted",
        {"approval_id": body["approval_id"], "conversation_id": body["conversation_id"]},
        command_id=deterministic_id(work.partition, "approval_submitted", work.command.command_id),
        tenant=work.command.tenant,
        source=body["conversation_id"],
        issued_at=work.now,
        causation_id=work.command.command_id,
        traceparent=work.command.traceparent,
    )
    return Outcome(
        run=moved_to(with_stages(work.run, [done]), "Completed", at=at),
        entries=_entries(work, before.body, after),
        writes=[after.card, *([after.action] if after.action else []), *after.outgoing],
        commands=[submitted],
        merges=[steps.telling(body, run=work.run, now=work.now)],
        answer={
            **{name: body[name] for name in ("approval_id", "action_id", "conversation_id", "state", "version")},
            **{name: body[name] for name in ("digest", "card_digest", "expires_at")},
            "decision": answer.decision,
            "edited": after.action is not None,
            "signatures": len(body["signatures"]),
            "still_needed": needed(body),
            "run_id": work.run["run_id"],
        },
    )


def _entries(work: Work, before: Body, after: _Answered) -> list[Entry]:
    answer: AnswerApproval = work.command.payload
    body, who = after.card.body, {"kind": "person", "id": answer.person}
    entries = []
    if after.action is not None:
        entries.append(
            steps.entry(
                "approval_edited",
                work,
                body,
                who=who,
                was={"arguments": before["arguments"], "digest": before["digest"], "quorum": before["quorum"]},
                arguments=body["arguments"],
                quorum=body["quorum"],
                voided=[one["person"] for one in before["signatures"]],
            )
        )
    said = {"decision": answer.decision, "rationale": answer.rationale, "roles": sorted(answer.roles)}
    entries.append(
        steps.entry("approval_answered", work, body, who=who, still_needed=needed(body), edited=bool(entries), **said)
    )
    return entries
