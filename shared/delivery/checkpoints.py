"""Checkpoints of the chains that have moved, for the timer."""

from __future__ import annotations

import asyncio

from shared.audit.trail import checkpoint
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.errors import ConflictError
from shared.ports.document_store import Document

PAGE = 200
AT_ONCE = 8


async def checkpoint_all(delivery: Delivery) -> int:
    """Checkpoint each chain that has moved since its last one; returns how many were written. Raises what the log does:
    the heads that are left stay due."""
    at, seen, written = text(delivery.now()), set[str](), 0
    while True:
        heads = await delivery.store.due("audit_head", before=at, limit=PAGE)
        new = [head for head in heads if head.partition not in seen]
        for first in range(0, len(new), AT_ONCE):
            some = new[first : first + AT_ONCE]
            written += sum(await asyncio.gather(*(_checkpointed(delivery, head, at) for head in some)))
        seen |= {head.partition for head in new}
        if not new or len(heads) < PAGE:
            return written


async def _checkpointed(delivery: Delivery, head: Document, at: str) -> bool:
    """Outside first, then no longer due. A head that has moved again meanwhile stays due."""
    point = await checkpoint(head, checkpoints=delivery.checkpoints, at=at)
    try:
        await delivery.store.commit(head.partition, [head._replace(due_at="")])
    except ConflictError:
        return point is not None
    return point is not None
