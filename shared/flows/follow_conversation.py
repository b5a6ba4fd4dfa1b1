"""A conversation's stream from a place on: what is stored, then what comes while one waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from typing import NamedTuple

from shared.contracts.identity import partition_of
from shared.conversation.stream import Event, conversation_doc_id
from shared.delivery.handling import Delivery
from shared.errors import NotFoundError
from shared.ports.document_store import MAX_PAGE, Document
from shared.ports.event_waiter import EventWaiter

BATCH = 50
"""Stored commits of a stream that are read in one step."""


class Numbered(NamedTuple):
    """An AG-UI event and its number, which is its id in the stream."""

    number: int
    event: Event


READS_ALL = frozenset({"reviewer", "auditor"})
"""Who may read other people's conversations, beside the one whose it is."""


async def check_readable(
    delivery: Delivery, tenant: str, conversation_id: str, *, principal: str, roles: Collection[str]
) -> Document:
    """The conversation; `NotFoundError` when there is none for this person."""
    stored = await delivery.store.read(partition_of(tenant), conversation_doc_id(conversation_id))
    if stored is None or (stored.body["owner"] != principal and not READS_ALL & set(roles)):
        raise NotFoundError(f"there is no conversation {conversation_id}")
    return stored


async def events_after(delivery: Delivery, tenant: str, conversation_id: str, *, after: int) -> list[Numbered]:
    """The stored events with numbers above `after`, in order: those of the next `BATCH` commits. [] at the end.

    Events are kept for some days; a stream whose next ones are gone goes on with the oldest that is there.
    """
    found = await delivery.store.query(
        partition_of(tenant),
        "stream_event",
        key=("conversation", conversation_id),
        low=f"{after + 1:010d}",
        limit=min(BATCH, MAX_PAGE),
    )
    numbered = [
        Numbered(number, event)
        for document in found.documents
        for number, event in enumerate(document.body["events"], document.body["first"])
    ]
    return [one for one in numbered if one.number > after]


async def newest(
    delivery: Delivery,
    waiter: EventWaiter,
    tenant: str,
    conversation_id: str,
    *,
    after: int,
    seconds: float,
    most: int,
) -> list[Numbered]:
    """The next events above `after`, at most `most`, as soon as there are any; [] when none came within `seconds`."""
    batches = follow(delivery, waiter, tenant, conversation_id, after=after, seconds=seconds, beat_seconds=seconds)
    async for batch in batches:
        if batch:
            return batch[:most]
    return []


async def follow(
    delivery: Delivery,
    waiter: EventWaiter,
    tenant: str,
    conversation_id: str,
    *,
    after: int,
    seconds: float,
    beat_seconds: float,
) -> AsyncIterator[list[Numbered]]:
    """Batches of events above `after` (or the newest, when `after` is beyond it) for `seconds`; an empty one at least
    every `beat_seconds` without any.

    Raises what the store raises; whoever follows comes back with the number of the last event that was told.
    """
    ends_at = delivery.now() + timedelta(seconds=seconds)
    waited = False
    while True:
        batch = await events_after(delivery, tenant, conversation_id, after=after)
        if not batch:
            batch, after = await _past_what_is_gone(delivery, tenant, conversation_id, after)
        if batch:
            after = batch[-1].number
            yield batch
            waited = False
            continue
        left = (ends_at - delivery.now()).total_seconds()
        if left <= 0:
            return
        if waited:
            yield []
        await waiter.wait(partition_of(tenant), conversation_id, after=after, seconds=min(beat_seconds, left))
        waited = True


async def _past_what_is_gone(
    delivery: Delivery, tenant: str, conversation_id: str, after: int
) -> tuple[list[Numbered], int]:
    """Events that are no longer kept are passed over, and whoever names one that never was is at the end: waiting for
    either would never end. What has come since the last look is told instead."""
    stored = await delivery.store.read(partition_of(tenant), conversation_doc_id(conversation_id))
    if stored is None or stored.body["last_sequence"] <= after:
        return [], min(after, stored.body["last_sequence"]) if stored else after
    batch = await events_after(delivery, tenant, conversation_id, after=after)
    return batch, after if batch else stored.body["last_sequence"]
