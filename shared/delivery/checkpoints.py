"""Checkpoints of every chain's head, for the timer."""

from __future__ import annotations

from shared.audit.trail import checkpoint
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.handling import Delivery
from shared.delivery.tenants import enumerate_tenants


async def checkpoint_all(delivery: Delivery) -> int:
    """Checkpoint each partition whose head has moved; returns how many were written."""
    at = text(delivery.now())
    partitions, cursor = [SYSTEM_PARTITION], ""
    written = 0
    while True:
        page = await enumerate_tenants(delivery, cursor=cursor)
        partitions += [partition_of(document.body["tenant"]) for document in page.documents]
        for partition in partitions:
            point = await checkpoint(partition, store=delivery.store, checkpoints=delivery.checkpoints, at=at)
            written += point is not None
        partitions, cursor = [], page.cursor
        if not cursor:
            return written
