"""A statement arrives over HTTP: stored and accepted in chunks, each one commit, then answered with 202."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.commands import envelope
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.delivery.intake import accept
from shared.delivery.tenants import register
from shared.errors import ConflictError
from shared.flows.classify_transaction import run_id_for
from shared.flows.ingestion_completed import profile_writes
from shared.flows.upload import TRIES, advanced, answer, upload_id, upload_state
from shared.ledger import transactions as ledger
from shared.ports.document_store import Document

if TYPE_CHECKING:
    from shared.contracts.transactions import TransactionFacts

CHUNK = 40
"""A transaction and its pending run each; with profile, ingestion, outbox, audit and head this is within 100 writes."""


async def ingest(
    delivery: Delivery,
    tenant: str,
    transactions: Sequence[TransactionFacts],
    *,
    key: str,
    fingerprint: str,
    caller: str,
    traceparent: str = "",
) -> dict[str, Any]:
    """Store `transactions` and accept one `ClassifyTransaction` each; returns the answer for the caller.

    key: the caller's idempotency key; fingerprint: of the whole request. An equal resend goes on where an earlier one
    stopped and gives the first answer; the same key with another body is `IdempotencyMismatchError`.
    A transaction that is stored already with equal facts is counted `duplicate`; with other facts it is `refused`.
    """
    await register(delivery, tenant)
    partition = partition_of(tenant)
    ingestion_id = upload_id(partition, "ingestion", caller=caller, key=key)
    facts = [one.model_dump() for one in transactions]
    lost = 0
    while True:
        state = await upload_state(delivery, partition, ingestion_id, fingerprint, total=len(facts), caller=caller)
        done = state.body["rows_done"]
        if state.etag and done >= len(facts):
            return answer(state.body)
        chunk = facts[done : done + CHUNK]
        try:
            await _accept_chunk(delivery, tenant, state, chunk, caller=caller, traceparent=traceparent)
            lost = 0
        except ConflictError:
            lost += 1
            if lost == TRIES:
                raise


async def _accept_chunk(
    delivery: Delivery, tenant: str, state: Document, chunk: list[dict[str, Any]], *, caller: str, traceparent: str
) -> None:
    """One commit: new transactions, their pending runs, the outbox, the ingestion's progress and an audit record."""
    partition = partition_of(tenant)
    ids = [ledger.transaction_doc_id(one["transaction_id"]) for one in chunk]
    stored = await delivery.store.read_many(partition, [*dict.fromkeys(ids), ledger.PROFILE_ID, HEAD_ID])
    fresh, progress = _sorted_out(chunk, stored)
    ingestion_id = state.body["ingestion_id"]
    now = delivery.now()
    at = text(now)
    commands = [_classify(tenant, one, now=now, traceparent=traceparent) for one in fresh]
    documents = [
        ledger.unclassified(
            partition, one, at=at, ingestion_id=ingestion_id, run_id=run_id_for(partition, one["transaction_id"])
        )
        for one in fresh
    ]
    body = advanced(state.body, progress, len(chunk))
    payload = {"transaction_ids": [one["transaction_id"] for one in fresh], "rows_done": body["rows_done"]}
    await accept(
        delivery,
        tenant,
        commands,
        key=f"{ingestion_id}:{state.body['rows_done']}",
        documents=[
            state._replace(body=body),
            *documents,
            *profile_writes(partition, stored.get(ledger.PROFILE_ID), chunk),
        ],
        entries=[Entry("statement_accepted", {"kind": "person", "id": caller}, {"ingestion": ingestion_id}, payload)],
        subjects=[one["transaction_id"] for one in fresh],
        head=stored.get(HEAD_ID),
    )


def _classify(tenant: str, facts: dict[str, Any], *, now: datetime, traceparent: str) -> dict[str, Any]:
    """The command that judges one transaction."""
    return envelope(
        "ClassifyTransaction",
        {"transaction": facts},
        command_id=ledger.classify_command_id(partition_of(tenant), facts["transaction_id"]),
        tenant=tenant,
        source="statement",
        issued_at=now,
        traceparent=traceparent,
    )


def _sorted_out(
    chunk: list[dict[str, Any]], stored: dict[str, Document]
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """The rows that are new, and the ids of all rows by what became of them. Equal rows in one chunk count once."""
    known: dict[str, Any] = {
        document.body["facts"]["transaction_id"]: document.body["facts"]
        for document in stored.values()
        if document.kind == "transaction"
    }
    fresh: list[dict[str, Any]] = []
    progress: dict[str, list[str]] = {"accepted": [], "duplicate": [], "refused": []}
    for one in chunk:
        id_ = one["transaction_id"]
        if id_ not in known:
            known[id_] = one
            fresh.append(one)
            progress["accepted"].append(id_)
        else:
            progress["duplicate" if known[id_] == one else "refused"].append(id_)
    return fresh, progress
