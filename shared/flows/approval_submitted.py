"""AgentApprovalSubmitted: a card was answered. The stored card is read again; the message itself proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.actions import life_cycle as actions
from shared.approvals.card import approval_doc_id, is_whole
from shared.approvals.record import needed
from shared.audit.record import Entry
from shared.contracts.instants import parse
from shared.conversation.stream import conversation_doc_id
from shared.delivery.handling import Left, Outcome, Work
from shared.flows import approval_steps as steps
from shared.flows.stored_action import request_of
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import AgentApprovalSubmittedEnvelope

WHO = {"kind": "system", "id": "approvals"}


class _Step(NamedTuple):
    """What an answer leads to. code: for the run's stage; action: as it is from now on, None for no change."""

    code: str
    said: str
    action: Document | None = None
    commands: tuple[dict[str, Any], ...] = ()
    notices: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalSubmittedFlow:
    """An approved action is requested, a rejected one cancelled; a card that needs more signatures goes on waiting."""

    def needs(self, command: AgentApprovalSubmittedEnvelope) -> tuple[str, ...]:
        told = command.payload
        return (*steps.needs_of(told.approval_id), conversation_doc_id(told.conversation_id))

    async def handle(self, work: Work) -> Outcome:
        card, action = steps.card_and_action(work, work.command.payload.approval_id)
        await steps.unaltered(work, card, action)
        step = _step(work, card.body, action)
        at = work.at
        done = stage("approval", "Succeeded", order=1, at=at, code=step.code, rationale=step.said)
        return Outcome(
            run=moved_to(with_stages(work.run, [done]), "Completed", at=at),
            entries=_entries(work, card.body, step),
            writes=[*([step.action] if step.action else []), *step.notices],
            commands=list(step.commands),
            merges=[steps.telling(card.body, run=work.run, now=work.now, notices=step.notices)] if step.notices else [],
        )

    def when_parked(
        self,
        command: AgentApprovalSubmittedEnvelope,
        documents: Mapping[str, Document],
        *,
        run: Run,
        reason: str,
    ) -> Left:
        """The action goes on waiting: a replay of the parked command takes it further, and time ends it otherwise."""
        card = documents.get(approval_doc_id(command.payload.approval_id))
        if card is None or not is_whole(card):
            return Left()
        said = f"The answer is on the record, but nothing could be done with it yet ({reason}): an operator must look."
        at = run["completed_at"]
        told = steps.notice(card.partition, card.body, key=f"parked-{run['run_id']}", text=said, run=run, at=at)
        return Left([told], merges=[steps.telling(card.body, run=run, now=parse(at), notices=[told])])


def _step(work: Work, card: Body, action: Document) -> _Step:
    state, waits = card["state"], action.body["state"] == "waiting"
    title = card["card"]["title"]
    if state == "approved" and waits:
        released = actions.moved(action, "requested", at=work.at)
        said = f"{len(card['signatures'])} of {card['quorum']} signatures: {title} is on its way"
        return _Step("approved_by_human", said, released, (request_of(work, card),))
    if state == "rejected" and waits:
        detail = card["rationale"] or "a person said no"
        cancelled = actions.moved(action, "cancelled", at=work.at, code="rejected_by_person", detail=detail)
        words = f"Not done: {title}. The request was turned down" + (f": {detail}" if card["rationale"] else ".")
        told = steps.notice(work.partition, card, key="rejected", text=words, run=work.run, at=work.at)
        return _Step("rejected_by_human", detail, cancelled, notices=(told,))
    if missing := needed(card):
        return _Step("approval_required", f"{missing} more must sign: {title}")
    return _Step("nothing_to_do", f"the card is {state}, its action {action.body['state']}")


def _entries(work: Work, card: Body, step: _Step) -> list[Entry]:
    applied = steps.entry("approval_applied", work, card, who=WHO, outcome=step.code, still_needed=needed(card))
    if step.action is None:
        return [applied]
    what = "action_released" if step.action.body["state"] == "requested" else "action_cancelled"
    ids = {"run_id": work.run["run_id"], "command_id": work.command.command_id}
    correlation_id = work.command.correlation_id
    return [applied, actions.entry(what, step.action.body, who=WHO, correlation_id=correlation_id, **ids)]
