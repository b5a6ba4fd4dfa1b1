"""A newer message makes way for itself: what waits, is being answered or is open is superseded, on the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.actions import life_cycle as actions
from shared.approvals import card as cards
from shared.approvals import record
from shared.audit.record import Entry
from shared.audit.seal import alteration, record_ids
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import run_id_of
from shared.contracts.instants import text
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.delivery.handling import Delivery
from shared.delivery.run_documents import run_document_of
from shared.errors import ConflictError
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import is_terminal, moved_to

log = logging.getLogger("countersign.conversation")

CODE = "superseded"
WHY = "a newer message superseded this one"
CARD_WHY = "newer_message"


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
    changed, entries = await _cards(delivery, stored, by=by, command=command)
    closed = [one for one in changed if one.kind == "approval"]
    told = [event for run in runs for event in _run_told(conversation_id, run.body["run_id"])]
    told += [event for one in closed for event in _card_told(conversation_id, one.body)]
    change = talk.together(talk.without_waiting, *(talk.closed(one.body["approval_id"]) for one in closed))
    conversation, *events = stream.told(conversation_id, told, now=now, change=change).made({stored.id: stored})
    return Superseded(conversation.body, (*messages, *runs, *changed, *events), tuple(entries), tuple(turns))


async def _cards(
    delivery: Delivery, stored: Document, *, by: str, command: Mapping[str, Any]
) -> tuple[list[Document], list[Entry]]:
    """The open cards, superseded, and their actions, cancelled. A card that somebody has altered by hand is left as it
    is, for people to find: nothing is ever carried out on it."""
    partition, at = stored.partition, text(delivery.now())
    open_ids = stored.body["open_approvals"]
    ids = [id_ for one in open_ids for id_ in (cards.approval_doc_id(one), actions.action_doc_id(one))]
    documents = await delivery.store.read_many(partition, ids) if ids else {}
    wanted = {id_ for one in documents.values() for id_ in record_ids(one)}
    records = await delivery.store.read_many(partition, [*sorted(wanted), HEAD_ID]) if ids else {}
    told = {"run_id": run_id_of(partition, command["command_id"]), "command_id": command["command_id"]}
    told |= {"correlation_id": command["correlation_id"]}
    writes, entries = [], []
    for one in open_ids:
        card, action = (documents.get(id_) for id_ in (cards.approval_doc_id(one), actions.action_doc_id(one)))
        if card is None or action is None or card.body["state"] not in cards.OPEN:
            continue
        wrong = alteration(card, records) or alteration(action, records)
        if wrong:
            log.error("card %s is not superseded: %s", one, wrong)
            continue
        who = {"kind": "person", "id": by}
        gone = cards.superseded(card, why=CARD_WHY, by=command["command_id"], at=at)
        cancelled = actions.moved(action, "cancelled", at=at, code="approval_superseded", detail=WHY)
        writes += [gone, cancelled]
        entries.append(record.entry("approval_superseded", gone.body, who=who, why=CARD_WHY, **told))
        entries.append(actions.entry("action_cancelled", cancelled.body, who=who, **told))
    return writes, entries


def _cancelled(run: Document, at: str) -> Document:
    if is_terminal(run.body):
        raise ConflictError([run.id])  # it was answered since the conversation was read
    return run_document_of(run.partition, moved_to(run.body, "Cancelled", at=at, code=CODE, rationale=WHY), run)


def _run_told(conversation_id: str, run_id: str) -> list[stream.Event]:
    return [stream.run_started(conversation_id, run_id), stream.run_error(WHY, CODE)]


def _card_told(conversation_id: str, body: Body) -> list[stream.Event]:
    run_id = body["run_id"]
    return [
        stream.run_started(conversation_id, run_id),
        stream.custom("approval", record.told(body)),
        stream.run_finished(conversation_id, run_id),
    ]
