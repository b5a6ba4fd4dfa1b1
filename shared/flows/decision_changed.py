"""The reaction to `TransactionDecisionChanged`: merchant memory learns from people, the tenant's counters follow.

An event is only a hint, may come twice, late or out of order: the store is read again, and what was already learned or
counted is noted on the transaction in the same commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from shared.contracts.identity import partition_of
from shared.delivery.handling import Delivery
from shared.errors import ConflictError
from shared.flows.classify_transaction import memory_doc_id
from shared.ledger import transactions as ledger
from shared.ledger.memory import corrected, learned, memory_keys, unlearned
from shared.ports.document_store import Body, Document

TRIES = 5
COUNTER_SHARDS = 8
"""A tenant's counter is split, so that decisions made side by side seldom wait for each other."""


async def react(delivery: Delivery, *, tenant: str, transaction_id: str) -> bool:
    """Bring memory and counters in line with the stored transaction; False when there was nothing to do.

    Raises `ConflictError` after losing several races: Event Grid brings the event again.
    """
    partition = partition_of(tenant)
    for turn in range(TRIES):
        stored = await delivery.store.read(partition, ledger.transaction_doc_id(transaction_id))
        if stored is None or stored.body["review_state"] == ledger.ERASED:
            return False  # erased since, or never ours
        writes = await _writes(delivery, stored)
        if not writes:
            return False
        try:
            await delivery.store.commit(partition, writes)
        except ConflictError:
            if turn == TRIES - 1:
                raise
        else:
            return True
    raise AssertionError("unreachable")


async def counts(delivery: Delivery, tenant: str) -> dict[str, int]:
    """How many transactions are in each review state, as far as events have been delivered."""
    partition = partition_of(tenant)
    shards = await delivery.store.read_many(partition, [shard_id(shard) for shard in range(COUNTER_SHARDS)])
    total: dict[str, int] = {}
    for document in shards.values():
        for state, number in document.body["by_state"].items():
            total[state] = total.get(state, 0) + number
    return total


def keys_of(body: Body) -> tuple[str, ...]:
    """The memory keys that a transaction teaches."""
    facts = body["facts"]
    return memory_keys(facts["descriptor"], facts["account"], facts["group"])


async def _writes(delivery: Delivery, stored: Document) -> list[Document]:
    body, partition = stored.body, stored.partition
    lesson = _lesson(body)
    recount = body["counted"] != body["review_state"]
    if lesson == body["learned"] and not recount:
        return []
    facts = body["facts"]
    keys = keys_of(body) if lesson != body["learned"] else ()
    shard_id = shard_id_of(facts["transaction_id"])
    documents = await delivery.store.read_many(partition, [shard_id, *(memory_doc_id(key) for key in keys)])
    noted = {**body, "learned": lesson, "counted": body["review_state"]}
    writes = [ledger.transaction_document(partition, noted, etag=stored.etag)]
    writes += taught(partition, documents, keys, facts, was=body["learned"], now=lesson)
    if recount:
        writes.append(counted(partition, shard_id, documents.get(shard_id), _recount(body)))
    return writes


def _lesson(body: Body) -> dict[str, str]:
    """What memory should hold for this transaction: a person's label, or what it holds already."""
    if body["review_state"] == "Reviewed" and body["decided_by"] == "person":
        return {"label": body["category"], "source": "review"}
    if body["review_state"] == "NeedsReview" and body["reason_codes"][:1] == ["routed_by_person"]:
        return {}  # a person took the answer back
    held: dict[str, str] = body["learned"]
    return held


def taught(
    partition: str,
    documents: Mapping[str, Document],
    keys: tuple[str, ...],
    facts: dict[str, Any],
    *,
    was: dict[str, str],
    now: dict[str, str],
) -> list[Document]:
    """The memory entries after the lesson; one per key of the transaction."""
    entries = []
    about = {"descriptor": facts["descriptor"], "amount_minor": facts["amount_minor"]}
    for key in keys:
        stored = documents.get(memory_doc_id(key))
        entry = stored.body if stored else None
        if was and now:
            entry = corrected(
                entry, key=key, was=was["label"], was_source=_source(was), label=now["label"],
                booked_on=facts["booked_on"], **about,
            )  # fmt: skip
        elif now:
            entry = learned(
                entry, key=key, label=now["label"], booked_on=facts["booked_on"], source=_source(now), **about
            )
        else:
            entry = unlearned(entry, key=key, label=was["label"], source=_source(was), **about)
        if entry is not None:
            etag = stored.etag if stored else ""
            entries.append(Document(partition, memory_doc_id(key), "memory", entry, etag=etag))
    return entries


def _source(lesson: dict[str, str]) -> Any:
    return lesson["source"]


def counted(partition: str, shard_id: str, stored: Document | None, changes: Mapping[str, int]) -> Document:
    """A counter's shard after `changes`: what to add, by review state. Only the sum of all shards has a meaning."""
    by_state = dict(stored.body["by_state"]) if stored else {}
    for state, change in changes.items():
        by_state[state] = by_state.get(state, 0) + change
    return Document(partition, shard_id, "counter", {"by_state": by_state}, etag=stored.etag if stored else "")


def _recount(body: Body) -> dict[str, int]:
    """What the change of this transaction's review state does to the counts."""
    return ({body["counted"]: -1} if body["counted"] else {}) | {body["review_state"]: 1}


def shard_id_of(key: str) -> str:
    """The shard that counts what is named by `key`."""
    return shard_id(blake2b(key.encode(), digest_size=1).digest()[0] % COUNTER_SHARDS)


def shard_id(shard: int) -> str:
    """The id of one of the `COUNTER_SHARDS`."""
    return f"counter:decisions-{shard}"
