"""The documents of a conversation, and how they change. Pure.

A conversation's messages are numbered by turn, from 1 and without a gap. `queue` holds every message that is not done
with, in that order, with the command that wakes it: only its first may be worked, and whoever finishes it wakes the
next. It is part of the conversation's one document, so that order and wake-ups can never tell different stories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.contracts.identity import deterministic_id
from shared.conversation import stream
from shared.conversation.stream import Change, Event, conversation_doc_id
from shared.errors import ConflictError
from shared.ports.document_store import Body, Document

MAX_OPEN_APPROVALS = 8


class Provenance(NamedTuple):
    """Where a reply comes from. source: `grammar`, or the model's name. disposition: the policy's, for the turn."""

    source: str
    specialists: tuple[str, ...]
    disposition: str


class Woken(NamedTuple):
    """The command of a conversation's next message, and the text that makes its bus message a new one."""

    turn: int
    command: dict[str, Any]
    nonce: str


def conversation(partition: str, conversation_id: str, *, owner: str, at: str, when_busy: str) -> Document:
    """A new conversation; `owner` is the principal whose it is."""
    body = {
        "conversation_id": conversation_id,
        "owner": owner,
        "started_at": at,
        "when_busy": when_busy,
        "next_turn": 1,
        "last_sequence": 0,
        "queue": [],
        "pending": None,
        "asked": "",
        "wished": None,
        "question": None,
        "recent": {},
        "open_approvals": [],
    }
    id_ = conversation_doc_id(conversation_id)
    return Document(partition, id_, "conversation", body, sort=at, keys={"subject": owner})


def message_doc_id(conversation_id: str, turn: int, part: str = "0") -> str:
    """part: `0` the person's message, `1` the reply, `2-...` a notice."""
    return f"message:{conversation_id}:{turn:08d}:{part}"


def message_id_of(partition: str, conversation_id: str, turn: int, part: str = "0") -> str:
    """The id of a message towards the outside."""
    return deterministic_id(partition, "message", f"{conversation_id}:{turn}:{part}")


def user_message(
    partition: str,
    command: Mapping[str, Any],
    *,
    author: str,
    roles: Sequence[str],
    text: str,
    user_note: str,
    client_message_id: str,
    run_id: str,
    at: str,
) -> Document:
    """A person's message. command: its `AgentMessagePosted` envelope as accepted. roles: the author's, as
    authenticated: what the message asks for is judged by them."""
    told = command["payload"]
    body = _message(partition, told["conversation_id"], told["turn"], "0", text=text, at=at)
    body |= {
        "role": "user",
        "author": author,
        "roles": sorted(roles),
        "user_note": user_note,
        "client_message_id": client_message_id,
        "status": "queued",
        "run_id": run_id,
        "command_id": command["command_id"],
        "correlation_id": command["correlation_id"],
    }
    return _document(partition, body, "0", f"{told['turn']:08d}:0")


def reply(
    partition: str,
    question: Body,
    *,
    text: str,
    provenance: Provenance,
    at: str,
    approvals: Sequence[str] = (),
    actions: Sequence[str] = (),
    mentions: Sequence[str] = (),
) -> Document:
    """The reply to `question`, a user message's body. mentions: ids of the transactions it tells of."""
    turn = question["turn"]
    body = _message(partition, question["conversation_id"], turn, "1", text=text, at=at)
    body |= {
        "role": "assistant",
        "author": provenance.source,
        **{name: question[name] for name in ("run_id", "command_id", "correlation_id")},
        "provenance": {**provenance._asdict(), "specialists": list(provenance.specialists)},
        "approvals": list(approvals),
        "actions": list(actions),
        "mentions": list(mentions),
    }
    return _document(partition, body, "1", f"{turn:08d}:1")


def notice(
    partition: str,
    conversation_id: str,
    *,
    turn: int,
    key: str,
    text: str,
    at: str,
    run_id: str,
    command_id: str = "",
    correlation_id: str = "",
    approvals: Sequence[str] = (),
    actions: Sequence[str] = (),
    mentions: Sequence[str] = (),
) -> Document:
    """What has come of something that turn `turn` asked for: an answered card, an action's outcome.

    key: makes the notice one of its kind (`{action_id}-{run_id}`), so that a retry tells it once; of
    letters, digits, `._-`.
    """
    part = f"2-{key}"
    body = _message(partition, conversation_id, turn, part, text=text, at=at)
    body |= {
        "role": "notice",
        "author": "countersign",
        "run_id": run_id,
        "command_id": command_id,
        "correlation_id": correlation_id,
        "approvals": list(approvals),
        "actions": list(actions),
        "mentions": list(mentions),
    }
    return _document(partition, body, part, f"{turn:08d}:2-{at}")


def notice_events(message: Body, happened: Sequence[Event] = ()) -> list[Event]:
    """A notice as the stream tells it: a run of its own, with `happened` (`stream.custom(...)`) before the words."""
    conversation_id, run_id = message["conversation_id"], message["run_id"]
    return [
        stream.run_started(conversation_id, run_id),
        *happened,
        *stream.text(message["message_id"], [message["text"]]),
        stream.run_finished(conversation_id, run_id),
    ]


def enqueued(body: Body, command: dict[str, Any], *, nonce: str) -> Body:
    """The conversation with one more message, whose turn is `next_turn`."""
    entry = {"turn": body["next_turn"], "nonce": nonce, "command": command}
    return {**body, "next_turn": body["next_turn"] + 1, "queue": [*body["queue"], entry]}


def place_in_queue(body: Body, turn: int) -> int:
    """0: it is this turn's turn. Above: so many go before it. -1: it is done with."""
    turns = [entry["turn"] for entry in body["queue"]]
    return turns.index(turn) if turn in turns else -1


def finished(turn: int) -> Change:
    """A change for `stream.told`: the turn is done with. `ConflictError` when somebody else has finished it."""

    def change(body: Body) -> Body:
        if place_in_queue(body, turn) < 0:
            raise ConflictError([conversation_doc_id(body["conversation_id"])])
        return _without(body, {turn})

    return change


def without_waiting(body: Body) -> Body:
    """The conversation with nothing waiting or being worked: every message so far is superseded."""
    return _without(body, {entry["turn"] for entry in body["queue"]})


def to_wake(before: Body, after: Body) -> Woken | None:
    """The message whose turn has come between the two: whoever writes `after` must wake it."""
    if not after["queue"] or after["queue"][0]["turn"] == before["queue"][0]["turn"]:
        return None
    head = after["queue"][0]
    return Woken(head["turn"], head["command"], head["nonce"])


def opened(approval_ids: Sequence[str]) -> Change:
    """A change: these cards wait for a person."""
    return lambda body: {**body, "open_approvals": [*body["open_approvals"], *approval_ids]}


def closed(approval_id: str, *, still_meant: bool = False) -> Change:
    """A change: this card waits no longer. still_meant: it only made way for a newer message, which may correct it."""

    def change(body: Body) -> Body:
        waiting = [one for one in body["open_approvals"] if one != approval_id]
        freed = {}
        for name in ("pending", "wished") if still_meant else ():
            told = body.get(name)
            freed[name] = {**told, "action_id": ""} if told and told.get("action_id") == approval_id else told
        return {**body, "open_approvals": waiting, **freed}

    return change


def together(*changes: Change) -> Change:
    """All these changes, in this order."""

    def change(body: Body) -> Body:
        for one in changes:
            body = one(body)
        return body

    return change


def ended(stored: Document, status: str) -> Document:
    """A user message that is `answered`, `superseded` or `failed`."""
    return stored._replace(body={**stored.body, "status": status})


def _without(body: Body, turns: set[int]) -> Body:
    return {**body, "queue": [entry for entry in body["queue"] if entry["turn"] not in turns]}


def _message(partition: str, conversation_id: str, turn: int, part: str, *, text: str, at: str) -> Body:
    return {
        "message_id": message_id_of(partition, conversation_id, turn, part),
        "conversation_id": conversation_id,
        "turn": turn,
        "text": text,
        "at": at,
        "user_note": "",
        "client_message_id": "",
        "status": "told",
        "provenance": None,
        "approvals": [],
        "actions": [],
        "mentions": [],
    }


def _document(partition: str, body: Body, part: str, sort: str) -> Document:
    conversation_id = body["conversation_id"]
    id_ = message_doc_id(conversation_id, body["turn"], part)
    return Document(partition, id_, "message", body, sort=sort, keys={"conversation": conversation_id})
