"""The audit chain of one partition in the document store: append and checkpoint; `verification.py` checks it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.audit.record import START, Entry, Head, next_record
from shared.errors import UnreadableError
from shared.ports.checkpoint_log import Checkpoint, CheckpointLog
from shared.ports.document_store import Document, DocumentStore

HEAD_ID = "audit_head:head"
CHECKPOINT_EVERY = 100
"""Records between two checkpoints outside the store; a timer checkpoints what is newer than a few minutes."""


def audit_id(sequence: int) -> str:
    """The document id of a record."""
    return f"audit:{sequence:012d}"


def head_of(document: Document | None) -> Head:
    """The head stored in `document`, or the start of a chain. `UnreadableError` for what is no head."""
    if document is None:
        return START
    try:
        return Head(document.body["sequence"], document.body["hash"])
    except KeyError:
        raise UnreadableError(document.id) from None


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
