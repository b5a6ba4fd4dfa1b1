"""Checks the audit chain of a partition link by link, and each document that it seals against its newest record.

Whatever somebody has changed by hand, the first record that disagrees is named, also when it can hardly be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.audit.record import START, Head, broken
from shared.audit.seal import alteration, newest_record, proof_ids, seal_of
from shared.audit.trail import HEAD_ID, audit_id
from shared.errors import UnreadableError
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.document_store import MAX_PAGE, Body, Document, DocumentStore


class Verification(NamedTuple):
    """What `verify` found. problem: "" when all is well, else what is wrong at record `broken_at`.

    document: the id of an action or card that is not what record `broken_at` says of it; "" when it is the chain.
    """

    verified_to: int
    head_hash: str
    records: int
    erased: int
    checkpoints: int
    broken_at: int
    problem: str
    document: str = ""


class _Fault(NamedTuple):
    """sequence: of the record at which it is noticed."""

    sequence: int
    problem: str
    document: str = ""


class _Seal(NamedTuple):
    """What the newest record of the walk says of a document."""

    sequence: int
    hash: str


@dataclass(slots=True)
class _Walk:
    """How far the chain is followed. known: hashes of checkpoints; seals: by document id."""

    link: Head
    known: Mapping[int, str]
    records: int = 0
    erased: int = 0
    met: int = 0
    seals: dict[str, _Seal] = field(default_factory=dict)

    def step(self, record: Body) -> _Fault | None:
        """Follow one link."""
        sequence = self.link.sequence + 1
        problem = broken(record, self.link)
        if not problem and self.known.get(sequence, record["hash"]) != record["hash"]:
            problem = "checkpoint_differs"
        if problem:
            return _Fault(sequence, problem)
        self.link = Head(sequence, record["hash"])
        self.records += 1
        self.met += sequence in self.known
        self.erased += "erased_at" in record
        seals = (record.get("payload") or {}).get("seals", {})
        self.seals |= {id_: _Seal(sequence, seal) for id_, seal in seals.items()}
        return None


async def verify(
    partition: str,
    *,
    store: DocumentStore,
    checkpoints: CheckpointLog,
    start: Head = START,
    limit: int = 1_000_000,
) -> Verification:
    """Check each link after `start` (a head known to be good), at most `limit` records, with head and checkpoints; then
    each action and card that these records seal."""
    walk = _Walk(start, {point.sequence: point.hash for point in await checkpoints.all(partition)})
    fault = await _walked(walk, partition, store, limit) or await _unsealed(walk, partition, store)
    at, problem, document = fault or _Fault(0, "")
    return Verification(*walk.link, walk.records, walk.erased, walk.met, at, problem, document)


async def _walked(walk: _Walk, partition: str, store: DocumentStore, limit: int) -> _Fault | None:
    """Follow the chain, page by page; a record that is no JSON any more ends it like a broken link."""
    try:
        head = await store.read(partition, HEAD_ID)
    except UnreadableError:
        head = Document(partition, HEAD_ID, "audit_head", {})
    high, more = "", True
    while more and walk.records < limit:
        low, size = f"{walk.link.sequence + 1:012d}", min(MAX_PAGE, limit - walk.records)
        try:
            page = await store.query(partition, "audit", low=low, high=high, limit=size)
        except UnreadableError as failed:
            high = failed.document_id.partition(":")[2]
            continue
        for document in page.documents:
            if (fault := walk.step(document.body)) is not None:
                return fault
        more = bool(page.cursor)
    if more:
        return None
    return _Fault(walk.link.sequence + 1, "record_unreadable") if high else _at_the_end(walk, head)


def _at_the_end(walk: _Walk, head: Document | None) -> _Fault | None:
    """Records may have been committed while we read: then they are after `head`, and the next verify sees them."""
    link, told = walk.link, head.body if head else START._asdict()
    sequence = told.get("sequence")
    if not isinstance(sequence, int) or (sequence == link.sequence and told.get("hash") != link.hash):
        return _Fault(link.sequence + 1, "head_differs")
    if link.sequence < sequence:
        return _Fault(link.sequence + 1, "records_missing_before_head")
    if any(known > link.sequence for known in walk.known):
        return _Fault(link.sequence + 1, "truncated_after_checkpoint")
    return None


async def _unsealed(walk: _Walk, partition: str, store: DocumentStore) -> _Fault | None:
    """The first document that is not what was committed of it. Those committed since are held against their own newest
    record, so that a partition may be at work meanwhile."""
    ids = list(walk.seals)
    for first in range(0, len(ids), MAX_PAGE):
        some = ids[first : first + MAX_PAGE]
        try:
            found = await store.read_many(partition, some)
        except UnreadableError as failed:
            return _Fault(walk.seals[failed.document_id].sequence, "document_unreadable", failed.document_id)
        for id_ in some:
            seal = walk.seals[id_]
            problem = await _difference(found.get(id_), seal, store)
            if problem and not await _is_erased(partition, seal, store):
                return _Fault(seal.sequence, problem, id_)
    return None


async def _difference(document: Document | None, seal: _Seal, store: DocumentStore) -> str:
    if document is None:
        return "document_missing"
    newest = newest_record(document)
    if newest == seal.sequence:
        return "" if seal_of(document.body) == seal.hash else "document_differs"
    if newest < seal.sequence:
        return "document_differs"  # an older version, put back
    records = await store.read_many(document.partition, proof_ids(document))
    return "document_differs" if alteration(document, records) else ""


async def _is_erased(partition: str, seal: _Seal, store: DocumentStore) -> bool:
    """Whether an erasure has come this far since the record was read: it takes documents away, too."""
    record = await store.read(partition, audit_id(seal.sequence))
    return record is not None and "erased_at" in record.body
