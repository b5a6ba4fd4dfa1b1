"""What the flows of a card share: the two documents, the record, and what the conversation is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.actions.life_cycle import action_doc_id
from shared.approvals import record
from shared.approvals.card import OPEN, approval_doc_id
from shared.approvals.record import Who
from shared.audit.record import Entry
from shared.audit.seal import alteration, proof_ids
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.delivery.handling import Work
from shared.errors import NotFoundError, StateConflictError
from shared.ports.document_store import Body, Document, Merge
from shared.runs.life_cycle import Run


def needs_of(approval_id: str) -> tuple[str, ...]:
    """The card and its action: a card's id is its action's."""
    return (approval_doc_id(approval_id), action_doc_id(approval_id))


def card_and_action(work: Work, approval_id: str) -> tuple[Document, Document]:
    """Both, or `NotFoundError`: another tenant's card is not there."""
    card, action = (work.documents.get(id_) for id_ in needs_of(approval_id))
    if card is None or action is None:
        raise NotFoundError(f"there is no approval {approval_id}")
    return card, action


async def unaltered(work: Work, *documents: Document) -> None:
    """Holds the documents against the audit chain before they are written anew, which would seal whatever they say.

    `StateConflictError("record_altered")` names what is not as it was committed.
    """
    records = await records_of(work, *documents)
    if wrong := next((wrong for one in documents if (wrong := alteration(one, records))), ""):
        raise StateConflictError(f"what is stored is not what was committed: {wrong}", code="record_altered")


async def records_of(work: Work, *documents: Document) -> Mapping[str, Document]:
    """The audit records that the documents are held against."""
    return await work.store.read_many(work.partition, proof_ids(*documents))


def entry(what: str, work: Work, body: Body, *, who: Who, **payload: Any) -> Entry:
    """The audit entry of a change of the card by this command."""
    return record.entry(
        what,
        body,
        who=who,
        run_id=work.run["run_id"],
        command_id=work.command.command_id,
        correlation_id=work.command.correlation_id,
        **payload,
    )


def notice(partition: str, body: Body, *, key: str, text: str, run: Run, at: str) -> Document:
    """A line in the conversation about the card. key: what is told, once."""
    return talk.notice(
        partition,
        body["conversation_id"],
        turn=body["turn"],
        key=f"{body['approval_id']}-{key}",
        text=text,
        at=at,
        run_id=run["run_id"],
        command_id=run["command_id"],
        correlation_id=run["correlation_id"],
        approvals=[body["approval_id"]],
        actions=[body["action_id"]],
    )


def telling(body: Body, *, run: Run, now: datetime, notices: Sequence[Document] = ()) -> Merge:
    """Tells the conversation's stream of the card as it is now, as a run of its own; a card that still waits ends it
    with an interrupt. A card that no longer waits is taken off the conversation's list."""
    conversation_id, run_id = body["conversation_id"], run["run_id"]
    is_open = body["state"] in OPEN
    words = [event for one in notices for event in stream.text(one.body["message_id"], [one.body["text"]])]
    events = [
        stream.run_started(conversation_id, run_id),
        stream.custom("approval", record.told(body)),
        *words,
        stream.run_finished(conversation_id, run_id, cards=[body] if is_open else []),
    ]
    change = stream.unchanged if is_open else talk.closed(body["approval_id"])
    return stream.told(conversation_id, events, now=now, change=change)
