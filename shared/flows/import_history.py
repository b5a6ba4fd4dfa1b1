"""Old transactions with known categories become reviewed history, and merchant memory learns them in the same commit.

No events leave for history: nobody waits for these decisions, and what `decision_changed` would do with each event
(teach memory, count) is done here, in the commit that stores the row. Each document that a chunk touches is written
once, however many of its rows teach it; so a chunk takes as many rows as fit into one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.delivery.tenants import register
from shared.errors import ConflictError, InvalidInputError
from shared.flows.classify_transaction import memory_doc_id
from shared.flows.decision_changed import counted, shard_id_of
from shared.flows.ingestion_completed import profile_writes
from shared.flows.read_all import read_all
from shared.flows.upload import TRIES, advanced, answer, upload_id, upload_state
from shared.ledger import transactions as ledger
from shared.ledger.memory import learned, memory_keys
from shared.ports.document_store import MAX_WRITES, Body, Document

if TYPE_CHECKING:
    from shared.contracts.history import HistoryRow

ALONGSIDE = 5
"""What every commit holds beside its rows: ingestion, profile, counter, audit record and chain head."""


async def import_history(
    delivery: Delivery,
    tenant: str,
    rows: Sequence[HistoryRow],
    *,
    key: str,
    fingerprint: str,
    caller: str,
    policy_chart: frozenset[str],
) -> dict[str, Any]:
    """Store `rows` as reviewed transactions, oldest first; returns the answer for the caller.

    key: the caller's idempotency key; fingerprint: of the whole request. An equal resend goes on where an earlier one
    stopped and gives the first answer; the same key with another body is `IdempotencyMismatchError`. A row that is
    stored already with equal facts is counted `duplicate` and keeps what it is; with other facts it is `refused`.
    policy_chart: the categories of a tenant that has no chart of its own; any other is `InvalidInputError`.
    """
    await register(delivery, tenant)
    partition = partition_of(tenant)
    ingestion_id = upload_id(partition, "history", caller=caller, key=key)
    for turn in range(TRIES):
        state = await upload_state(delivery, partition, ingestion_id, fingerprint, total=len(rows), caller=caller)
        left = [_told(row) for row in rows[state.body["rows_done"] :]]
        try:
            state = await _import_rows(delivery, state, left, caller=caller, policy_chart=policy_chart)
            return answer(state.body)
        except ConflictError:
            if turn == TRIES - 1:
                raise
    raise AssertionError("unreachable")


class _Told(NamedTuple):
    """A row as it is stored and taught. `teaches`: ids of the merchant's and of memory's documents, by memory key."""

    facts: dict[str, Any]
    category: str
    id: str
    merchant_id: str
    memory: tuple[tuple[str, str], ...]

    def ids(self) -> tuple[str, ...]:
        return (self.id, self.merchant_id, *(id_ for _, id_ in self.memory))


def _told(row: HistoryRow) -> _Told:
    facts = row.transaction.model_dump()
    keys = memory_keys(facts["descriptor"], facts["account"], facts["group"])
    return _Told(
        facts,
        row.category,
        ledger.transaction_doc_id(facts["transaction_id"]),
        ledger.merchant_doc_id(facts["descriptor"], facts["currency"]),
        tuple((key, memory_doc_id(key)) for key in keys),
    )


async def _import_rows(
    delivery: Delivery, state: Document, rows: Sequence[_Told], *, caller: str, policy_chart: frozenset[str]
) -> Document:
    """Chunk after chunk. What the rows touch is read once and kept with its newest etag: a document that somebody else
    writes in between is a conflict, and the caller begins again from what the store says."""
    partition = state.partition
    counter_id = shard_id_of(state.body["ingestion_id"])
    wanted = [ledger.PROFILE_ID, counter_id, *(id_ for row in rows for id_ in row.ids())]
    known = await read_all(delivery.store, partition, wanted)
    _check_categories(rows, known.get(ledger.PROFILE_ID), policy_chart)
    position = 0
    while position < len(rows):
        chunk = _next_chunk(rows, position, known)
        drafts, progress = _drafts(state, chunk, known, at=text(delivery.now()))
        body = advanced(state.body, progress, len(chunk))
        writes = [
            state._replace(body=body),
            *drafts,
            *profile_writes(partition, known.get(ledger.PROFILE_ID), [row.facts for row in chunk]),
            *_counter(partition, counter_id, known.get(counter_id), len(progress["accepted"])),
        ]
        entry = _entry(body, progress, len(chunk), caller)
        head = await delivery.store.read(partition, HEAD_ID)
        etags = await commit(delivery, partition, writes, [entry], head=head)
        for document in writes:
            known[document.id] = document._replace(etag=etags[document.id])
        state = known[state.id]
        position += len(chunk)
    return state


def _check_categories(rows: Sequence[_Told], profile: Document | None, policy_chart: frozenset[str]) -> None:
    chart = (frozenset(profile.body["chart"]) if profile else frozenset()) or policy_chart
    errors = [
        {"pointer": f"/rows/{at}/category", "message": f"{row.category!r} is not in this tenant's chart"}
        for at, row in enumerate(rows)
        if row.category not in chart
    ]
    if errors:
        raise InvalidInputError(
            f"{len(errors)} of {len(rows)} rows name a category that is not in this tenant's chart",
            errors,
            code="category_unknown",
        )


def _next_chunk(rows: Sequence[_Told], position: int, known: dict[str, Document]) -> Sequence[_Told]:
    """As many rows as one commit holds, counted in distinct documents; a row that is stored already writes none."""
    touched: set[str] = set()
    for at in range(position, len(rows)):
        if rows[at].id in known:
            continue
        touched.update(rows[at].ids())
        if len(touched) > MAX_WRITES - ALONGSIDE:
            return rows[position:at]
    return rows[position:]


def _drafts(
    state: Document, chunk: Sequence[_Told], known: dict[str, Document], *, at: str
) -> tuple[list[Document], dict[str, list[str]]]:
    """The documents after the chunk's rows, each once; and the ids of all rows by what became of them."""
    drafts: dict[str, Document] = {}
    progress: dict[str, list[str]] = {"accepted": [], "duplicate": [], "refused": []}
    for row in chunk:
        stored = drafts.get(row.id) or known.get(row.id)
        if stored is not None:
            progress["duplicate" if stored.body["facts"] == row.facts else "refused"].append(
                row.facts["transaction_id"]
            )
            continue
        ingestion_id = state.body["ingestion_id"]
        drafts[row.id] = ledger.imported(
            state.partition, row.facts, category=row.category, at=at, ingestion_id=ingestion_id
        )
        _teach(state.partition, row, drafts, known)
        progress["accepted"].append(row.facts["transaction_id"])
    return list(drafts.values()), progress


def _teach(partition: str, row: _Told, drafts: dict[str, Document], known: dict[str, Document]) -> None:
    """Put the merchant's and memory's documents after one more row into `drafts`."""
    facts = row.facts
    before = drafts.get(row.merchant_id) or known.get(row.merchant_id)
    body = ledger.charged(before.body if before else None, facts)
    drafts[row.merchant_id] = _after(partition, row.merchant_id, "merchant", before, body)
    for key, id_ in row.memory:
        before = drafts.get(id_) or known.get(id_)
        entry = learned(
            before.body if before else None,
            key=key,
            descriptor=facts["descriptor"],
            label=row.category,
            amount_minor=facts["amount_minor"],
            booked_on=facts["booked_on"],
            source="history",
        )
        drafts[id_] = _after(partition, id_, "memory", before, entry)


def _after(partition: str, id_: str, kind: str, before: Document | None, body: Body) -> Document:
    return Document(partition, id_, kind, body, etag=before.etag if before else "")


def _counter(partition: str, counter_id: str, stored: Document | None, added: int) -> list[Document]:
    """All rows of an import are counted in one shard, whichever theirs is: only the sum of the shards is ever read."""
    if not added:
        return []
    return [counted(partition, counter_id, stored, {"Reviewed": added})]


def _entry(body: Body, progress: dict[str, list[str]], rows: int, caller: str) -> Entry:
    payload = {
        "rows": rows,
        "rows_done": body["rows_done"],
        **{name: len(ids) for name, ids in progress.items()},
        "accepted_ids_sha256": sha256("\n".join(progress["accepted"]).encode()).hexdigest(),
    }
    return Entry("history_imported", {"kind": "person", "id": caller}, {"ingestion": body["ingestion_id"]}, payload)
