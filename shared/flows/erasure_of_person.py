"""Erasing a person's conversations, and the person's words and name on other people's cards.

Messages, stream, drafts and notification settings are deleted. What stays of a conversation is its owner's principal id
and its numbers, so that it can go on; of its actions and cards, ids and states; of a signature, who gave it and when.
"""

from __future__ import annotations

from shared.actions.change_notifications import preference_doc_id
from shared.actions.life_cycle import action_doc_id
from shared.contracts.instants import text
from shared.conversation import documents as talk
from shared.delivery.handling import Delivery
from shared.flows import erasure_of_turns as turns
from shared.flows.erased_documents import abandoned, card_without, has_answered, message_left, rejected_action_left
from shared.flows.erasure_of_turns import Left
from shared.flows.erasure_progress import AT_ONCE, PAGE, advance, moved_on, scope_of
from shared.flows.read_all import read_all
from shared.ports.document_store import Body, Document

BY_PERSON = frozenset({"approval_answered", "approval_edited"})
"""Records that hold what a person wrote on a card."""
PASSED_ON = "AgentApprovalSubmitted"
"""The command whose run repeats why somebody said no."""


async def conversations_of(delivery: Delivery, state: Document) -> Document:
    """One step in the first conversation of the person that is not done with."""
    key = ("subject", scope_of(state.body).principal)
    page = await delivery.store.query(state.partition, "conversation", key=key, limit=1, cursor=state.body["cursor"])
    if not page.documents:
        return moved_on(state, page.cursor)
    stored = page.documents[0]
    left = abandoned(stored.body)
    if left != stored.body:
        return await advance(delivery, state, [stored._replace(body=left)], done=[stored])
    conversation = ("conversation", stored.body["conversation_id"])
    messages = await delivery.store.query(state.partition, "message", key=conversation, limit=1)
    for message in messages.documents:
        return await _turn_deleted(delivery, state, message.body)
    told = await delivery.store.query(state.partition, "stream_event", key=conversation, limit=AT_ONCE)
    if told.documents:
        return await turns.erase_some(delivery, state, [], told.documents)
    return moved_on(state, page.cursor)


async def drafts_of(delivery: Delivery, state: Document) -> Document:
    """The person's drafts, whatever conversation they come from, and notification settings."""
    principal = scope_of(state.body).principal
    page = await delivery.store.query(state.partition, "draft", key=("subject", principal), limit=AT_ONCE)
    if page.documents:
        return await turns.erase_some(delivery, state, [], page.documents)
    settings = await delivery.store.read(state.partition, preference_doc_id(principal))
    state = await turns.erase_some(delivery, state, [], [settings] if settings else [])
    return moved_on(state, "")


async def cards_answered_by(delivery: Delivery, state: Document) -> Document:
    """One page of cards: what the person wrote on others' requests. There is no look-up by signature."""
    person = scope_of(state.body).principal
    page = await delivery.store.query(state.partition, "approval", limit=PAGE, cursor=state.body["cursor"])
    for card in page.documents:
        if turns.is_whole(card) and has_answered(card.body, person):
            state = await _answer_erased(delivery, state, card, person)
    return moved_on(state, page.cursor)


async def _turn_deleted(delivery: Delivery, state: Document, message: Body) -> Document:
    """A person's turn: actions and cards are left without words, the messages are gone."""
    turn = await turns.turn_of(delivery.store, state.partition, message["conversation_id"], message["turn"])
    state = await turns.erase_sealed(delivery, state, turn)
    state = await turns.erase_traces(delivery, state, turn)
    return await turns.erase_some(delivery, state, [], turn.messages)


async def _answer_erased(delivery: Delivery, state: Document, card: Document, person: str) -> Document:
    """What the person wrote on a card: there, on the record, in runs and receipts, and where it was repeated."""
    store, partition, body = delivery.store, state.partition, card.body
    runs = await turns.runs_of(store, partition, (), subjects=[body["approval_id"]])
    records = [
        one
        for one in await turns.records_of(store, partition, runs, [card])
        if one.body["what"] in BY_PERSON and one.body["who"]["id"] == person
    ]
    own = {one.body["ids"]["run"] for one in records}
    left: list[Left] = [(card, card_without(card, person))]
    repeated: list[Left] = []
    streamed: tuple[Document, ...] = ()
    if body["rejected_by"] == person:
        own |= {one.body["run_id"] for one in runs if one.body["command_type"] == PASSED_ON}
        actions = await read_all(store, partition, [action_doc_id(body["action_id"])])
        left += [(one, rejected_action_left(one)) for one in actions.values()]
        repeated, streamed = await _repeated(delivery, state, body)
    changes = [(old, new) for old, new in left if new is not old]
    state = await turns.seal_anew(delivery, state, changes, records, {"approval": body["approval_id"]})
    handled = await turns.handled_left(delivery, state, [one for one in runs if one.body["run_id"] in own])
    rest = [*handled, *turns.records_left(delivery, state, records), *repeated]
    return await turns.erase_some(delivery, state, rest, streamed)


async def _repeated(delivery: Delivery, state: Document, card: Body) -> tuple[list[Left], tuple[Document, ...]]:
    """The notice that told the conversation why somebody said no, and the part of the stream that did."""
    id_ = talk.message_doc_id(card["conversation_id"], card["turn"], f"2-{card['approval_id']}-rejected")
    notice = await delivery.store.read(state.partition, id_)
    if notice is None:
        return [], ()
    ids = [notice.body["message_id"]]
    told = await turns.stream_of(delivery.store, state.partition, card["conversation_id"], ids)
    return ([] if "erased_at" in notice.body else [(notice, message_left(notice, at=text(delivery.now())))]), told
