"""What a conversation's stream tells: AG-UI 1.0 events (camelCase JSON objects), numbered without a gap. Pure.

One commit's events are one `stream_event` document, so that a turn costs one write; the numbers come from the newest
`conversation` document when the commit is made, so that nobody decides again because a stream has moved on. The number
of an event is its id in the stream (`Last-Event-ID`). Source of the shapes: docs.ag-ui.com, protocol version 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.contracts.instants import after
from shared.contracts.kinds import KINDS
from shared.ports.document_store import Body, Document, Merge

Event = dict[str, Any]
Change = Callable[[Body], Body]
MAX_EVENTS = 200
"""Events of one commit; a longer text is told in fewer, longer pieces."""


def conversation_doc_id(conversation_id: str) -> str:
    """The document id of a conversation."""
    return f"conversation:{conversation_id}"


def stream_doc_id(conversation_id: str, last: int) -> str:
    """The document that holds the events of one commit, up to number `last`."""
    return f"stream_event:{conversation_id}:{last:010d}"


def unchanged(body: Body) -> Body:
    """A change that changes nothing."""
    return body


def told(conversation_id: str, events: Sequence[Event], *, now: datetime, change: Change = unchanged) -> Merge:
    """Appends `events` to the conversation's stream, and lets `change` (pure) bring its document up to date.

    A conversation that does not exist (or was erased) is told nothing; `change` may raise `ConflictError`.
    """
    id_ = conversation_doc_id(conversation_id)
    expires_at = after(now, days=KINDS["stream_event"].days_to_live)

    def made(known: Mapping[str, Document]) -> list[Document]:
        stored = known.get(id_)
        if stored is None:
            return []
        body = change(stored.body)
        first, last = body["last_sequence"] + 1, body["last_sequence"] + len(events)
        documents = [stored._replace(body={**body, "last_sequence": last})]
        if events:
            batch = {
                "conversation_id": conversation_id,
                "first": first,
                "last": last,
                "events": list(events[:MAX_EVENTS]),
            }
            documents.append(
                Document(
                    stored.partition,
                    stream_doc_id(conversation_id, last),
                    "stream_event",
                    batch,
                    sort=f"{last:010d}",
                    keys={"conversation": conversation_id},
                    expires_at=expires_at,
                )
            )
        return documents

    return Merge((id_,), made)


def run_started(conversation_id: str, run_id: str) -> Event:
    """A run has begun; every run that is told of ends with `run_finished` or `run_error`."""
    return {"type": "RUN_STARTED", "threadId": conversation_id, "runId": run_id}


def step_started(name: str) -> Event:
    """A stage has begun."""
    return {"type": "STEP_STARTED", "stepName": name}


def step_finished(name: str) -> Event:
    """A stage has ended."""
    return {"type": "STEP_FINISHED", "stepName": name}


def text(message_id: str, pieces: Sequence[str], *, role: str = "assistant") -> list[Event]:
    """A message in the pieces in which it was produced; empty pieces are not told (the protocol refuses them)."""
    middle = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": piece} for piece in pieces if piece]
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": role},
        *middle,
        {"type": "TEXT_MESSAGE_END", "messageId": message_id},
    ]


def custom(name: str, value: Mapping[str, Any]) -> Event:
    """What AG-UI has no word for: `countersign.approval` (a card's state), `countersign.action` (an outcome)."""
    return {"type": "CUSTOM", "name": f"countersign.{name}", "value": dict(value)}


def interrupt(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card as AG-UI shows an open question to a person. card: the body of an `approval` document."""
    return {
        "id": card["approval_id"],
        "reason": "confirmation",
        "message": card["card"]["title"],
        "responseSchema": RESPONSE_SCHEMA,
        "expiresAt": card["expires_at"],
        "metadata": {"card": card["card"], "card_digest": card["card_digest"], "digest": card["digest"]},
    }


RESPONSE_SCHEMA = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "cardDigest": {"type": "string"},
        "rationale": {"type": "string", "maxLength": 500},
        "editedArgs": {"type": "object"},
    },
    "required": ["approved", "cardDigest"],
}


def run_finished(conversation_id: str, run_id: str, *, cards: Sequence[Mapping[str, Any]] = ()) -> Event:
    """A run has ended; with cards that wait for a person it ends with an interrupt, one for each."""
    event: Event = {"type": "RUN_FINISHED", "threadId": conversation_id, "runId": run_id}
    if cards:
        return {**event, "outcome": {"type": "interrupt", "interrupts": [interrupt(card) for card in cards]}}
    return {**event, "outcome": {"type": "success"}}


def run_error(message: str, code: str) -> Event:
    """A run has ended without a result; `message` is for the person, never an error's own text."""
    return {"type": "RUN_ERROR", "message": message, "code": code}
