"""Erasing what conversations tell of erased transactions, or of an account.

A turn goes as a whole when any of its messages or actions tells of them; and so does whatever a model has said later in
the same conversation, because it had read that. Words go, ids and states stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from shared.actions.life_cycle import action_doc_id
from shared.approvals import record as cards
from shared.contracts.instants import text
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.conversation.answers import SOURCE as GRAMMAR
from shared.conversation.stream import conversation_doc_id
from shared.delivery.handling import Delivery
from shared.flows import erasure_of_turns as turns
from shared.flows.erased_documents import forgetting, message_left
from shared.flows.erasure_of_turns import Left, Turn
from shared.flows.erasure_progress import PAGE, advance, moved_on, scope_of
from shared.flows.erasure_rules import Scope, words
from shared.flows.read_all import read_all
from shared.flows.stored_action import shown
from shared.flows.turn import finishing
from shared.ledger import transactions as ledger
from shared.ports.document_store import Body, Document, DocumentStore, Merge

TURNS_AT_ONCE = 8
"""Turns of one step; then the same page is looked at again."""


async def turns_about(delivery: Delivery, state: Document) -> Document:
    """One page of messages: the turns that tell of erased transactions, or of the account."""
    page = await delivery.store.query(state.partition, "message", limit=PAGE, cursor=state.body["cursor"])
    found = await _telling(delivery.store, state, page.documents)
    for conversation_id, number in found[:TURNS_AT_ONCE]:
        turn = await turns.turn_of(delivery.store, state.partition, conversation_id, number)
        state = await turns.erase_sealed(delivery, state, turn)
        state = await turns.erase_traces(delivery, state, turn)
        state = await _told_otherwise(delivery, state, turn)
    return state if found else moved_on(state, page.cursor)


class _Known(NamedTuple):
    """What a page of messages has to be judged with. gone: ids of erased transactions; names: words to look for."""

    gone: frozenset[str]
    names: frozenset[str]
    actions: Mapping[str, Document]
    conversations: Mapping[str, Document]
    erasure_id: str


async def gone_of(store: DocumentStore, partition: str, ids: set[str]) -> frozenset[str]:
    """Which of these transactions are erased."""
    wanted = [ledger.transaction_doc_id(one) for one in sorted(ids) if one and len(one) <= 64]
    stored = await read_all(store, partition, wanted)
    states = {one.body["facts"]["transaction_id"]: one.body["review_state"] for one in stored.values()}
    return frozenset(id_ for id_, review_state in states.items() if review_state == ledger.ERASED)


async def _telling(store: DocumentStore, state: Document, documents: Sequence[Document]) -> list[tuple[str, int]]:
    """The turns of these messages that are to be erased, by conversation and number."""
    scope: Scope = scope_of(state.body)
    left = [one.body for one in documents if "erased_at" not in one.body]
    partition = state.partition
    actions = await read_all(store, partition, [action_doc_id(id_) for one in left for id_ in one["actions"]])
    talks = {conversation_doc_id(one["conversation_id"]) for one in left}
    mentioned = {id_ for one in (*left, *(stored.body for stored in actions.values())) for id_ in one["mentions"]}
    known = _Known(
        gone=await gone_of(store, partition, mentioned),
        names=frozenset({scope.account, *scope.transaction_ids} - {""}),
        actions=actions,
        conversations=await read_all(store, partition, sorted(talks)),
        erasure_id=state.body["erasure_id"],
    )
    return list(dict.fromkeys((one["conversation_id"], one["turn"]) for one in left if _tells(one, known)))


def _tells(message: Body, known: _Known) -> bool:
    if known.gone & set(message["mentions"]) or known.names & words(f"{message['text']} {message['user_note']}"):
        return True
    stored = [known.actions[id_].body for one in message["actions"] if (id_ := action_doc_id(one)) in known.actions]
    return any(_action_tells(body, known) for body in stored) or _is_retold(message, known)


def _action_tells(body: Body, known: _Known) -> bool:
    named = known.names & words(orjson.dumps(body["arguments"]).decode())
    return bool("erased_at" in body or named or known.gone & set(body["mentions"]))


def _is_retold(message: Body, known: _Known) -> bool:
    """Whether a model had read something that this erasure has taken away when it said this."""
    talk_ = known.conversations.get(conversation_doc_id(message["conversation_id"]))
    mark = talk_.body.get("erased", {}) if talk_ else {}
    if mark.get("erasure_id") != known.erasure_id or message["provenance"] is None:
        return False
    return bool(message["provenance"]["source"] != GRAMMAR and message["turn"] > mark["turn"])


async def _told_otherwise(delivery: Delivery, state: Document, turn: Turn) -> Document:
    """The last commit of a turn: the messages without their words, and the conversation, which goes on without it."""
    partition, now, number = state.partition, delivery.now(), turn.number
    state = await turns.erase_some(delivery, state, [], await _streamed(delivery, state, turn))
    stored = await read_all(delivery.store, partition, [one.id for one in turn.sealed])
    ended = sorted(stored.values(), key=lambda one: one.id)
    events = _told_of_end(turn.conversation_id, state.body["erasure_id"], ended)
    closing = (talk.closed(one.body["approval_id"]) for one in ended if one.kind == "approval")
    change = talk.together(_marked(state.body["erasure_id"], number), *closing)
    waits = any(one.body["status"] == "queued" for one in turn.messages)
    merge = (
        finishing(partition, turn.conversation_id, number, events, now=now, change=change)
        if waits
        else stream.told(turn.conversation_id, events, now=now, change=change)
    )
    left = [(one, message_left(one, at=text(now))) for one in turn.messages]
    return await _messages_gone(delivery, state, left, [merge])


def _marked(erasure_id: str, turn: int) -> stream.Change:
    """A change: the conversation has forgotten what was talked about, and knows from which turn on."""

    def change(body: Body) -> Body:
        mark = body.get("erased", {})
        first = min(turn, mark["turn"]) if mark.get("erasure_id") == erasure_id else turn
        return {**forgetting(body), "erased": {"erasure_id": erasure_id, "turn": first}}

    return change


def _told_of_end(conversation_id: str, erasure_id: str, sealed: Sequence[Document]) -> list[stream.Event]:
    """What the stream is told of actions and cards that show nothing any more; nothing when there are none."""
    told = [
        stream.custom("approval", cards.told(one.body))
        if one.kind == "approval"
        else stream.custom("action", shown(one.body))
        for one in sealed
    ]
    if not told:
        return []
    return [stream.run_started(conversation_id, erasure_id), *told, stream.run_finished(conversation_id, erasure_id)]


async def _streamed(delivery: Delivery, state: Document, turn: Turn) -> tuple[Document, ...]:
    ids = {one.body["message_id"] for one in turn.messages} | {one.body["run_id"] for one in turn.runs}
    ids |= {one.body["action_id"] for one in turn.sealed}
    return await turns.stream_of(delivery.store, state.partition, turn.conversation_id, sorted(ids))


async def _messages_gone(
    delivery: Delivery, state: Document, left: Sequence[Left], merges: Sequence[Merge]
) -> Document:
    """The messages' own commit; notices beyond one commit before it, because the reply is what finds the turn again."""
    notices = [(old, new) for old, new in left if old.body["role"] == "notice"]
    others = [(old, new) for old, new in left if old.body["role"] != "notice"]
    state = await turns.erase_some(delivery, state, notices)
    changed = [(old, new) for old, new in others if new is not old]
    return await advance(delivery, state, [new for _, new in changed], merges=merges, done=[old for old, _ in changed])
