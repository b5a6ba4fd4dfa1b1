"""The audit chain of one partition in the document store: append, verify, checkpoint, export, erase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.audit.record import START, Entry, Head, broken, next_record
from shared.ports.checkpoint_log import Checkpoint, CheckpointLog
from shared.ports.document_store import MAX_PAGE, Document, DocumentStore

HEAD_ID = "audit_head:head"
CHECKPOINT_EVERY = 100
"""Records between two checkpoints outside the store; a timer checkpoints what is newer than a few minutes."""


def audit_id(sequence: int) -> str:
    """The document id of a record."""
    return f"audit:{sequence:012d}"


def head_of(document: Document | None) -> Head:
    """The head stored in `document`, or the start of a chain."""
    return Head(document.body["sequence"], document.body["hash"]) if document else START


def append(
    partition: str, head_document: Document | None, entries: Sequence[Entry], *, at: str, salts: Iterable[str]
) -> list[Document]:
    """The documents to commit: one per entry and the head, replaced under its etag. Pure."""
    head = head_of(head_document)
    documents = []
    for entry, salt in zip(entries, salts, strict=False):
        record, head = next_record(head, entry, at=at, salt=salt)
        run = entry.ids.get("run", "")
        keys = {"run": run} if run else {}
        sort = f"{head.sequence:012d}"
        documents.append(Document(partition, audit_id(head.sequence), "audit", record, sort=sort, keys=keys))
    etag = head_document.etag if head_document else ""
    body = {"sequence": head.sequence, "hash": head.hash, "at": at}
    documents.append(Document(partition, HEAD_ID, "audit_head", body, etag=etag))
    return documents


class Verification(NamedTuple):
    """What `verify` found. `problem` is "" when all is well; `broken_at` is the sequence of the first broken link."""

    verified_to: int
    head_hash: str
    records: int
    erased: int
    checkpoints: int
    broken_at: int
    problem: str


async def verify(
    partition: str,
    *,
    store: DocumentStore,
    checkpoints: CheckpointLog,
    start: Head = START,
    limit: int = 1_000_000,
) -> Verification:
    """Check each link after `start` (a head known to be good), at most `limit` records, with head and checkpoints."""
    known = {point.sequence: point.hash for point in await checkpoints.all(partition)}
    head_document = await store.read(partition, HEAD_ID)
    link, records, erased_count, met = start, 0, 0, 0
    cursor = ""
    while records < limit:
        page = await store.query(
            partition, "audit", low=f"{start.sequence + 1:012d}", limit=min(MAX_PAGE, limit - records), cursor=cursor
        )
        for document in page.documents:
            problem = broken(document.body, link)
            if not problem and known.get(document.body["sequence"], document.body["hash"]) != document.body["hash"]:
                problem = "checkpoint_differs"
            if problem:
                return Verification(link.sequence, link.hash, records, erased_count, met, link.sequence + 1, problem)
            link = Head(document.body["sequence"], document.body["hash"])
            records += 1
            met += link.sequence in known
            erased_count += "erased_at" in document.body
        cursor = page.cursor
        if not cursor:
            break
    problem = "" if cursor else _at_the_end(link, head_of(head_document), known)
    return Verification(
        link.sequence, link.hash, records, erased_count, met, link.sequence + 1 if problem else 0, problem
    )


def _at_the_end(link: Head, head: Head, known: dict[int, str]) -> str:
    """Records may have been committed while we read: then they are after `head`, and the next verify sees them."""
    if link.sequence < head.sequence:
        return "records_missing_before_head"
    if link.sequence == head.sequence and link.hash != head.hash:
        return "head_differs"
    if any(sequence > link.sequence for sequence in known):
        return "truncated_after_checkpoint"
    return ""


async def checkpoint(partition: str, *, store: DocumentStore, checkpoints: CheckpointLog, at: str) -> Checkpoint | None:
    """Write the head outside the store if it has moved since the last checkpoint; returns what was written."""
    document = await store.read(partition, HEAD_ID)
    if document is None:
        return None
    last = await checkpoints.latest(partition)
    if last is not None and last.sequence >= document.body["sequence"]:
        return None
    point = Checkpoint(partition, document.body["sequence"], document.body["hash"], at)
    await checkpoints.append(point)
    return point
