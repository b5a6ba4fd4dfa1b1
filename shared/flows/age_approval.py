"""AgeApproval: time passes over a card. It is announced, shown to others, and in the end denied, by nobody's hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.actions import life_cycle as actions
from shared.approvals.life_cycle import ESCALATE, EXPIRE, WARN, aged, moment_due
from shared.approvals.record import TIMER, needed
from shared.audit.seal import altered, as_evidence
from shared.contracts.commands import AgeApprovalEnvelope, envelope
from shared.contracts.identity import deterministic_id
from shared.contracts.instants import after, text
from shared.delivery.handling import Delivery, Left, Outcome, Work
from shared.delivery.inbox import execute
from shared.errors import ConflictError, CountersignError, RetryableError
from shared.flows import approval_steps as steps
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, moved_to, signal, stage, with_signals, with_stages

if TYPE_CHECKING:
    from shared.contracts.conversation_commands import AgeApproval

log = logging.getLogger("countersign.approvals")

MAX_CARDS = 200
"""Cards that one firing looks at, the most overdue first; the next firing looks at the rest."""
LATER_SECONDS = 3600.0
"""After that a card is looked at again that cannot be aged as it is."""
RECORDED = {WARN: "approval_warned", ESCALATE: "approval_escalated", EXPIRE: "approval_expired"}
SEVERITY = {WARN: "Warning", ESCALATE: "Error", EXPIRE: "Warning"}
UNSETTLED = frozenset({"waiting", "requested", "needs_review"})
"""An action without an intent on the record: when its card expires, it is cancelled."""


async def age_approvals(delivery: Delivery, *, limit: int = MAX_CARDS) -> int:
    """Warn of, escalate or expire every card whose time has come, one after the other; returns how many it was done
    for. For the timer: a card that fails holds up no other. What may go better the next time is left due; what cannot
    is looked at again after `LATER_SECONDS`, so that it takes no place from others."""
    done = 0
    for document in await delivery.store.due("approval", before=text(delivery.now()), limit=limit):
        try:
            why = await _age(delivery, document)
        except RetryableError as failed:
            log.warning("%s waits for the next time: %s", document.id, failed)
            continue
        except CountersignError as failed:
            why = f"{failed.code}: {failed}"
        except Exception:  # whatever is wrong with one card, the others' time goes on
            log.exception("%s cannot be aged as it is", document.id)
            why = "see above"
        if why:
            await _postponed(delivery, document, why)
        done += not why
    return done


async def _postponed(delivery: Delivery, document: Document, why: str) -> None:
    """What the card says stays as it is, with its seal: only the timer comes back later. One that was answered in the
    meantime is not touched."""
    later = after(delivery.now(), seconds=LATER_SECONDS)
    try:
        await delivery.store.commit(document.partition, [document._replace(due_at=later)])
    except ConflictError:
        log.info("%s was answered meanwhile", document.id)
    except CountersignError as failed:
        log.error("%s cannot be aged (%s), nor put off: %s", document.id, why, failed)  # noqa: TRY400  both are told
    else:
        log.error("%s cannot be aged (%s): put off until %s", document.id, why, later)


async def _age(delivery: Delivery, document: Document) -> str:
    """Why time could do nothing (more) for the card, "" when it has."""
    now, body = delivery.now(), document.body
    moment = moment_due(body, at=text(now))
    if not moment:
        return "nothing is due for it by what it says"
    command_id = deterministic_id(document.partition, "age_approval", f"{body['approval_id']}\x1f{moment}")
    command = envelope(
        "AgeApproval",
        {"approval_id": body["approval_id"], "moment": moment},
        command_id=command_id,
        tenant=body["tenant"],
        source="timer",
        issued_at=now,
    )
    done = await execute(delivery, AgeApprovalEnvelope.model_validate(command), fingerprint=command_id)
    left = done.get("left", "")
    return f"its end is on the record, and {left} stays as it was found" if left else ""


@dataclass(frozen=True, slots=True)
class AgeApprovalFlow:
    """One commit per moment: the card, the record, a signal, and what the conversation is told."""

    def needs(self, command: AgeApprovalEnvelope) -> tuple[str, ...]:
        return steps.needs_of(command.payload.approval_id)

    async def handle(self, work: Work) -> Outcome:
        wish: AgeApproval = work.command.payload
        stored, action = steps.card_and_action(work, wish.approval_id)
        card, at = aged(stored, wish.moment, at=work.at), work.at
        found = await self._altered(work, stored, action)
        left = stored.id if stored.id in found else ""
        said = _said(wish.moment, stored.body)
        notices = [steps.notice(work.partition, card.body, key=wish.moment, text=said, run=work.run, at=at)]
        cancelled = [one for one in _cancelled(action, wish.moment, at) if one.id not in found]
        recorded = RECORDED[wish.moment]
        done = stage("approval", "Succeeded", order=1, at=at, code=recorded, rationale=said)
        noted = [signal(recorded, SEVERITY[wish.moment], said, at=at, requires_human=wish.moment != EXPIRE)]
        noted += [signal("record_altered", "Critical", f"{id_} is not what was committed", at=at) for id_ in found]
        told = {"expires_at": card.body["expires_at"], **as_evidence(found)}
        entries = [steps.entry(recorded, work, card.body, who=TIMER, **told)]
        ids = {"run_id": work.run["run_id"], "command_id": work.command.command_id}
        correlation_id = work.command.correlation_id
        entries += [
            actions.entry("action_cancelled", one.body, who=TIMER, correlation_id=correlation_id, **ids)
            for one in cancelled
        ]
        return Outcome(
            run=with_signals(moved_to(with_stages(work.run, [done]), "Completed", at=at), noted),
            entries=entries,
            writes=[*([] if left else [card]), *cancelled, *notices],
            merges=[steps.telling(card.body, run=work.run, now=work.now, notices=notices)],
            answer={"approval_id": wish.approval_id, "moment": wish.moment, "state": card.body["state"], "left": left},
        )

    @staticmethod
    async def _altered(work: Work, card: Document, action: Document) -> Mapping[str, Body]:
        """Time ends a card that somebody has altered, too: people are told, and the record says what was altered. Such
        a document itself stays as it was found."""
        if work.command.payload.moment == EXPIRE:
            return altered([card, action], await steps.records_of(work, card, action))
        await steps.unaltered(work, card, action)
        return {}

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        del command, documents, run, reason  # a timer's command never travels on a lane, so it is never parked
        return Left()


def _said(moment: str, before: Body) -> str:
    """What people are told. before: the card as it was."""
    title, until, missing = before["card"]["title"], before["expires_at"], needed(before)
    people = "1 person" if missing == 1 else f"{missing} people"
    if moment == WARN:
        return f"Still waiting for {people} to sign: {title}. Unanswered, it is denied at {until}."
    if moment == ESCALATE:
        return f"Nobody has settled this for long: {title}. It needs {people} with the role {before['role']}."
    if missing:
        return f"Not done: {title}. Its time ran out at {until} before enough people had signed."
    return f"Not done: {title}. It was signed, but its time ran out at {until} before it could be carried out."


def _cancelled(action: Document, moment: str, at: str) -> list[Document]:
    if moment != EXPIRE or action.body["state"] not in UNSETTLED or action.body["intent_at"]:
        return []
    return [actions.moved(action, "cancelled", at=at, code="approval_expired", detail="its time ran out")]
