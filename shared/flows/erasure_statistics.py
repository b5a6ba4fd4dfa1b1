"""What was learned and counted from transactions, without them: merchants, categories, memory, counters, profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.delivery.handling import Delivery
from shared.flows.classify_transaction import memory_doc_id
from shared.flows.decision_changed import COUNTER_SHARDS, counted, keys_of, shard_id, shard_id_of, taught
from shared.flows.erasure_rules import Scope
from shared.flows.sweep_tenant import STATE_ID
from shared.ledger import transactions as ledger
from shared.ports.document_store import Body, Document

OWN_HABITS = ("memory:am|", "memory:a|")
"""Memory of one account alone: at one merchant, and in general."""

Changes = tuple[list[Document], list[Document]]
"""Writes and deletes of one commit."""


async def without_transactions(delivery: Delivery, transactions: Sequence[Document], scope: Scope) -> Changes:
    """The statistics that these transactions went into, without them. For the whole tenant nothing is left of them."""
    partition = transactions[0].partition
    ids = sorted({id_ for one in transactions for id_ in _ids(one.body)})
    stored = await delivery.store.read_many(partition, ids)
    if scope.whole:
        return [], list(stored.values())
    left: dict[str, Document] = dict(stored)
    for one in transactions:
        left |= {document.id: document for document in _without(one.body, left, partition)}
    gone = [id_ for id_, one in left.items() if id_ in stored and _is_gone(one, scope)]
    writes = [one for id_, one in left.items() if id_ not in gone and one is not stored.get(id_)]
    return writes, [stored[id_] for id_ in gone]


async def without_account(delivery: Delivery, partition: str, scope: Scope) -> Changes:
    """What stands under fixed ids: the account in the profile; for the whole tenant the profile and the counters."""
    fixed = [ledger.PROFILE_ID, STATE_ID, *(shard_id(number) for number in range(COUNTER_SHARDS))]
    stored = await delivery.store.read_many(partition, fixed)
    if scope.whole:
        return [], list(stored.values())
    profile = stored.get(ledger.PROFILE_ID)
    if profile is None or scope.account not in profile.body["accounts"]:
        return [], []
    accounts = [one for one in profile.body["accounts"] if one != scope.account]
    return [profile._replace(body={**profile.body, "accounts": accounts})], []


def _ids(body: Body) -> Iterable[str]:
    facts = body["facts"]
    yield ledger.merchant_doc_id(facts["descriptor"], facts["currency"])
    yield shard_id_of(facts["transaction_id"])
    yield from _category_ids(body)
    for key in keys_of(body):
        yield memory_doc_id(key)


def _category_ids(body: Body) -> list[str]:
    """Where its amount may be: under what the guard once said, and under what a person said."""
    names = {body["category"], body["suggested_category"]} - {""}
    return [ledger.category_doc_id(name, body["facts"]["currency"]) for name in sorted(names)]


def _without(body: Body, stored: dict[str, Document], partition: str) -> Iterable[Document]:
    facts = body["facts"]
    merchant = stored.get(ledger.merchant_doc_id(facts["descriptor"], facts["currency"]))
    if merchant is not None:
        charges = [one for one in merchant.body["charges"] if one["transaction_id"] != facts["transaction_id"]]
        yield _without_amount(merchant, abs(facts["amount_minor"]), charges=charges)
    for id_ in _category_ids(body):
        if id_ in stored:
            yield _without_amount(stored[id_], abs(facts["amount_minor"]))
    if body["learned"]:
        yield from taught(partition, stored, keys_of(body), facts, was=body["learned"], now={})
    if body["counted"]:
        shard = shard_id_of(facts["transaction_id"])
        yield counted(partition, shard, stored.get(shard), {body["counted"]: -1})


def _without_amount(document: Document, amount: int, **changes: object) -> Document:
    amounts = list(document.body["amounts"])
    if amount in amounts:
        amounts.remove(amount)
    return document._replace(body={**document.body, **changes, "amounts": amounts})


def _is_gone(document: Document, scope: Scope) -> bool:
    if document.kind == "merchant":
        return not document.body["charges"]
    if document.kind != "memory":
        return False
    if scope.account and document.id.startswith(OWN_HABITS):
        return True
    entry = document.body
    return not (entry["near"] if "near" in entry else entry["labels"] or entry["other"])
