"""The one way to change a partition: documents, audit records and chain head in one commit, then the relay."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from shared.audit.record import Entry
from shared.audit.seal import sealed
from shared.audit.trail import CHECKPOINT_EVERY, HEAD_ID, append, checkpoint, head_of
from shared.contracts.instants import text
from shared.contracts.telemetry import trace
from shared.delivery import outbox
from shared.delivery.handling import Delivery
from shared.errors import ConflictError, RetryableError
from shared.ports.document_store import Document, Merge

NOTHING: Mapping[str, Document] = {}
RELINKS = 8
"""How often a commit that lost only the chain's head, or what it merges, is made anew before it gives way."""


async def commit(
    delivery: Delivery,
    partition: str,
    documents: Sequence[Document],
    entries: Sequence[Entry],
    *,
    head: Document | None,
    deletes: Sequence[Document] = (),
    merges: Sequence[Merge] = (),
    known: Mapping[str, Document] = NOTHING,
    relayed: bool = True,
) -> dict[str, str]:
    """Commit `documents` with one audit record per entry, and send on what they promise to send; the etags written.

    known: what was read of the documents that `merges` look at; what is not in it is read here. When only these or the
    head were lost, nothing that was decided has changed: read them again, link to the new head, merge anew. Any other
    lost document raises `ConflictError`: read again and decide again. relayed: False leaves the outbox to the timer.
    """
    looked_at = {id_ for merge in merges for id_ in merge.ids} | {HEAD_ID}
    if unread := looked_at - known.keys() - {HEAD_ID}:
        known = {**known, **await delivery.store.read_many(partition, sorted(unread))}
    for turn in range(RELINKS):
        at = text(delivery.now())
        salts = [delivery.new_salt() for _ in entries]
        stamped, told = sealed(documents, entries, sequence=head_of(head).sequence + 1)
        chain = append(partition, head, told, at=at, salts=salts)
        merged = [document for merge in merges for document in merge.made(known)]
        writes = [*stamped, *merged, *chain]
        try:
            etags = await delivery.store.commit(partition, writes, deletes=deletes)
        except ConflictError as conflict:
            anew = {document.id for document in (*merged, *chain)}
            if not anew.issuperset(conflict.lost):
                raise
            await asyncio.sleep(delivery.jitter() * 0.002 * 2**turn)
            known = await delivery.store.read_many(partition, sorted(looked_at))
            head = known.get(HEAD_ID)
        else:
            await _checkpoint_now_and_then(delivery, chain, at)
            if relayed:
                await outbox.relay_promptly(delivery, writes, etags)
            return etags
    raise ConflictError([HEAD_ID])


async def _checkpoint_now_and_then(delivery: Delivery, chain: Sequence[Document], at: str) -> None:
    """Every `CHECKPOINT_EVERY` records. A failure must not undo a commit: the timer writes the checkpoint later."""
    head = chain[-1]
    last = head.body["sequence"]
    if last // CHECKPOINT_EVERY == (last - len(chain) + 1) // CHECKPOINT_EVERY:
        return
    try:
        await checkpoint(head, checkpoints=delivery.checkpoints, at=at)
    except RetryableError as failed:
        delivery.telemetry.emit(trace("checkpoint_postponed", failed.code, at=at, tenant=head.partition))
