"""A newer message makes way for itself: what waits, is being answered or is open is superseded, on the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.approvals import record
from shared.audit.record import Entry
from shared.contracts.identity import run_id_of
from shared.contracts.instants import text
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.delivery.handling import Delivery
from shared.delivery.run_documents import run_document_of
from shared.errors import ConflictError
from shared.flows.making_way import Gone, Why, cards_gone
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import is_terminal, moved_to

CODE = "superseded"
WHY = "a newer message superseded this one"
MADE_WAY = Why("approval_superseded", WHY)


class Superseded(NamedTuple):
    """conversation: its body as it is now. turns: the messages that will not be answered."""

    conversation: Body
    writes: tuple[Document, ...] = ()
    entries: tuple[Entry, ...] = ()
    turns: tuple[int, ...] = ()


NOTHING = Superseded({})


async def superseded(delivery: Delivery, stored: Document, *, by: str, command: Mapping[str, Any]) -> Superseded:
    """Everything to write so that nothing of `stored`, a conversation, is waiting or open any more.

    A command that is being handled at this moment loses its run to us, and finds it ended. by: the principal whose
    `command` takes the place of the others.
    """
    body, partition, now = stored.body, stored.partition, delivery.now()
    conversation_id = body["conversation_id"]
    turns = {entry["turn"]: run_id_of(partition, entry["command"]["command_id"]) for entry in body["queue"]}
    message_ids = [talk.message_doc_id(conversation_id, turn) for turn in turns]
    run_ids = [f"run:{run_id}" for run_id in turns.values()]
    documents = await delivery.store.read_many(partition, [*message_ids, *run_ids])
    messages = [talk.ended(documents[id_], CODE) for id_ in message_ids if id_ in documents]
    runs = [_cancelled(documents[id_], text(now)) for id_ in run_ids if id_ in documents]
    ids = {"run_id": run_id_of(partition, command["command_id"]), "command_id": command["command_id"]}
    ids |= {"correlation_id": command["correlation_id"]}
    waiting = body["open_approvals"]
    gone = await cards_gone(delivery.store, partition, waiting, by=by, why=MADE_WAY, ids=ids, at=text(now))
    told = [event for run in runs for event in _run_told(conversation_id, run.body["run_id"])]
    notices = [_notice(partition, one, ids=ids, at=text(now)) for one in gone]
    for one, notice in zip(gone, notices, strict=True):
        told += talk.notice_events(notice.body, [stream.custom("approval", record.told(one.card.body))])
    closed = [talk.closed(one.card.body["approval_id"], still_meant=True) for one in gone]
    change = talk.together(talk.without_waiting, *closed)
    conversation, *events = stream.told(conversation_id, told, now=now, change=change).made({stored.id: stored})
    changed = [*notices, *(document for one in gone for document in (one.card, one.action))]
    entries = tuple(entry for one in gone for entry in one.entries)
    return Superseded(conversation.body, (*messages, *runs, *changed, *events), entries, tuple(turns))


def _cancelled(run: Document, at: str) -> Document:
    if is_terminal(run.body):
        raise ConflictError([run.id])  # it was answered since the conversation was read
    return run_document_of(run.partition, moved_to(run.body, "Cancelled", at=at, code=CODE, rationale=WHY), run)


def _run_told(conversation_id: str, run_id: str) -> list[stream.Event]:
    return [stream.run_started(conversation_id, run_id), stream.run_error(WHY, CODE)]


def _notice(partition: str, gone: Gone, *, ids: Mapping[str, str], at: str) -> Document:
    """The card's end in words: nobody need guess that writing on has called a payment off."""
    card, action = gone.card.body, gone.action.body
    return talk.notice(
        partition,
        card["conversation_id"],
        turn=card["turn"],
        key=f"{card['approval_id']}-superseded",
        text=f"{card['card']['title']}: called off, because you wrote again before it was signed. Nothing was done.",
        at=at,
        approvals=[card["approval_id"]],
        actions=[card["action_id"]],
        mentions=action["mentions"],
        run_id=card["run_id"],
        command_id=ids["command_id"],
        correlation_id=ids["correlation_id"],
    )
