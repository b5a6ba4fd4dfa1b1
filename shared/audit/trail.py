"""The audit chain of one partition in the document store: append and checkpoint; `verification.py` checks it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.audit.record import START, Entry, Head, next_record
from shared.errors import UnreadableError
from shared.ports.checkpoint_log import Checkpoint, CheckpointLog
from shared.ports.document_store import Document

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
    """The documents to commit: one per entry and the head, replaced under its etag. Pure.

    The head is due from its first move after a checkpoint on, so that the timer finds those that moved and no others.
    """
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
    due_at = (head_document.due_at if head_document else "") or at
    documents.append(Document(partition, HEAD_ID, "audit_head", body, etag=etag, due_at=due_at))
    return documents


async def checkpoint(head: Document, *, checkpoints: CheckpointLog, at: str) -> Checkpoint | None:
    """Write the head document outside the store if the newest checkpoint is older; returns what was written."""
    last = await checkpoints.latest(head.partition)
    if last is not None and last.sequence >= head.body["sequence"]:
        return None
    point = Checkpoint(head.partition, head.body["sequence"], head.body["hash"], at)
    await checkpoints.append(point)
    return point
