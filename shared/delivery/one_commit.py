"""The one way to change a partition: documents, audit records and chain head in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.audit.record import Entry
from shared.audit.trail import CHECKPOINT_EVERY, HEAD_ID, append, checkpoint
from shared.contracts.instants import text
from shared.contracts.telemetry import trace
from shared.delivery.handling import Delivery
from shared.errors import ConflictError, RetryableError
from shared.ports.document_store import Document

RELINKS = 8
"""How often a commit that lost only the chain's head is linked again before it gives way."""


async def commit(
    delivery: Delivery,
    partition: str,
    documents: Sequence[Document],
    entries: Sequence[Entry],
    *,
    head: Document | None,
    deletes: Sequence[Document] = (),
) -> dict[str, str]:
    """Commit `documents` with one audit record per entry; returns the etags written.

    When only the head was lost, nothing that was decided has changed: link to the new head and try again. Any other
    lost document raises `ConflictError`: read again and decide again.
    """
    for turn in range(RELINKS):
        at = text(delivery.now())
        salts = [delivery.new_salt() for _ in entries]
        chain = append(partition, head, entries, at=at, salts=salts)
        try:
            etags = await delivery.store.commit(partition, [*documents, *chain], deletes=deletes)
        except ConflictError as conflict:
            ours = {document.id for document in chain}
            if not ours.issuperset(conflict.lost):
                raise
            await asyncio.sleep(delivery.jitter() * 0.002 * 2**turn)
            head = await delivery.store.read(partition, HEAD_ID)
        else:
            await _checkpoint_now_and_then(delivery, partition, chain, at)
            return etags
    raise ConflictError([HEAD_ID])


async def _checkpoint_now_and_then(delivery: Delivery, partition: str, chain: Sequence[Document], at: str) -> None:
    """Every `CHECKPOINT_EVERY` records. A failure must not undo a commit: the timer writes the checkpoint later."""
    last = chain[-1].body["sequence"]
    if last // CHECKPOINT_EVERY == (last - len(chain) + 1) // CHECKPOINT_EVERY:
        return
    try:
        await checkpoint(partition, store=delivery.store, checkpoints=delivery.checkpoints, at=at)
    except RetryableError as failed:
        delivery.telemetry.emit(trace("checkpoint_postponed", failed.code, at=at, tenant=partition))
