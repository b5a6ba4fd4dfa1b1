"""A run goes on after people were asked: which cards an answer must cover, and what came of the answered ones.

Source: docs.ag-ui.com (interrupts): one resume answers everything that its run waits for, and may be sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from shared.actions.life_cycle import SETTLED, action_doc_id
from shared.approvals.card import OPEN, approval_doc_id, has_expired
from shared.approvals.life_cycle import Signer, refusal
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.conversation.stream import Event, conversation_doc_id
from shared.delivery.handling import Delivery
from shared.errors import InvalidInputError, NotFoundError
from shared.flows.follow_conversation import Numbered, events_after
from shared.guard.approvers import APPROVE
from shared.ports.document_store import Body
from shared.ports.event_waiter import EventWaiter

LOOK_SECONDS = 1.0
"""How long at most until a settled action is noticed whose conversation was told nothing."""
RESTING = SETTLED | {"needs_review"}
"""States of an action in which nothing more happens without a person."""


class Standing(NamedTuple):
    """last_event: the newest of the conversation's stream. open_cards: bodies of the cards that wait for people."""

    last_event: int
    open_cards: tuple[Body, ...]


async def standing(delivery: Delivery, tenant: str, conversation_id: str) -> Standing:
    """Where the conversation stands; `NotFoundError`."""
    partition, at = partition_of(tenant), text(delivery.now())
    stored = await delivery.store.read(partition, conversation_doc_id(conversation_id))
    if stored is None:
        raise NotFoundError(f"there is no conversation {conversation_id}")
    ids = [approval_doc_id(one) for one in stored.body["open_approvals"]]
    known = await delivery.store.read_many(partition, ids)
    cards = (known[id_].body for id_ in ids if id_ in known)
    waiting = tuple(card for card in cards if card["state"] in OPEN and not has_expired(card, at=at))
    return Standing(stored.body["last_sequence"], waiting)


async def check_answers(
    delivery: Delivery, tenant: str, conversation_id: str, *, person: Signer, answered: Sequence[str]
) -> int:
    """The stream's newest event before anything is answered.

    `NotFoundError` for a card of another conversation; `InvalidInputError("interrupts_uncovered")` when a card that
    this person may answer is left out.
    """
    found = await standing(delivery, tenant, conversation_id)
    documents = await delivery.store.read_many(partition_of(tenant), [approval_doc_id(one) for one in answered])
    for approval_id in answered:
        card = documents.get(approval_doc_id(approval_id))
        if card is None or card.body["conversation_id"] != conversation_id:
            raise NotFoundError(f"there is no approval {approval_id} in this conversation")
    at = text(delivery.now())
    mine = [card["approval_id"] for card in found.open_cards if not refusal(card, person, decision=APPROVE, at=at)]
    if left_out := [one for one in mine if one not in answered]:
        raise InvalidInputError(
            f"a resume answers every open interrupt; these are left out: {', '.join(left_out)}",
            code="interrupts_uncovered",
        )
    return found.last_event


async def outcomes(
    delivery: Delivery,
    waiter: EventWaiter,
    tenant: str,
    conversation_id: str,
    *,
    actions: Collection[str],
    awaited: Collection[str],
    after: int,
    seconds: float,
    happened: Callable[[Event], Awaitable[None]],
) -> Standing:
    """Tells what becomes of the `actions` (ids) after event `after`, until the `awaited` ones rest or time is over;
    then what is open. What else happens in the conversation is not for whoever answers a card."""
    ends_at, seen = delivery.now() + timedelta(seconds=seconds), after
    while True:
        resting = await _rest(delivery, tenant, awaited)  # first: what was told before they rested is told here, too
        batch = await events_after(delivery, tenant, conversation_id, after=seen)
        for event in _telling_of(actions, batch):
            await happened(event)
        seen = batch[-1].number if batch else seen
        left = (ends_at - delivery.now()).total_seconds()
        if not batch and (resting or left <= 0):
            return await standing(delivery, tenant, conversation_id)
        if not batch:
            partition, look = partition_of(tenant), min(LOOK_SECONDS, left)
            await waiter.wait(partition, conversation_id, after=seen, seconds=look)


def _telling_of(actions: Collection[str], batch: Sequence[Numbered]) -> Iterator[Event]:
    """The events of those runs that tell of one of the actions; a run is whole in one batch."""
    runs: list[list[Event]] = []
    for one in batch:
        if not runs or one.event["type"] == "RUN_STARTED":
            runs.append([])
        runs[-1].append(one.event)
    for run in runs:
        if any(event["type"] == "CUSTOM" and event["value"].get("action_id") in actions for event in run):
            yield from run


async def _rest(delivery: Delivery, tenant: str, actions: Collection[str]) -> bool:
    documents = await delivery.store.read_many(partition_of(tenant), [action_doc_id(one) for one in actions])
    return all(one.body["state"] in RESTING for one in documents.values())
