"""How Countersign slows down as a store fills: the same measurements at growing numbers of stored transactions.

The store is filled by the real path (accepted, delivered, decided, audited), so that every document, index entry and
audit record is there. At each size the last `MEASURED` classifications are timed, then the whole chain is verified.

    python -m benchmarks.growth TENANTS SIZE[,SIZE ...]
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from benchmarks.counters import CountingStore
from benchmarks.embedded import Embedded, working_with
from benchmarks.measure import Measured, data_folder, finish, percentile
from shared.audit.verification import verify

MEASURED = 400
PORTION = 2_000
"""Transactions accepted at a time while the store is filled."""


async def fill(embedded: Embedded, tenants: list[str], count: int) -> None:
    """Accept and classify `count` further transactions, evenly over the tenants."""
    while count > 0:
        portion = min(count, PORTION)
        count -= portion
        shares = [portion // len(tenants) + (place < portion % len(tenants)) for place in range(len(tenants))]
        for tenant, share in zip(tenants, shares, strict=True):
            await embedded.accept(tenant, share)
        await embedded.work(portion)


async def look(embedded: Embedded, tenants: list[str], size: int) -> Measured:
    """The last `MEASURED` classifications on the way to `size`, timed."""
    counting = CountingStore(embedded.delivery.store)
    with working_with(replace(embedded.delivery, store=counting)):
        for tenant in tenants[:MEASURED]:
            await embedded.accept(tenant, max(1, MEASURED // len(tenants)))
        latencies = await embedded.work(MEASURED)
    began = time.perf_counter()
    found = await verify(tenants[0], store=embedded.delivery.store, checkpoints=embedded.delivery.checkpoints)
    verified_in = time.perf_counter() - began
    assert not found.problem, found
    seconds = counting.seconds
    return {
        "stored": size,
        "tenants": len(tenants),
        "p50_ms": percentile(latencies, 0.5) * 1e3,
        "p99_ms": percentile(latencies, 0.99) * 1e3,
        "commit_p50_us": percentile(seconds["commit"], 0.5) * 1e6,
        "read_p50_us": percentile(seconds["read_many"], 0.5) * 1e6,
        "query_p50_us": percentile(seconds["query"], 0.5) * 1e6,
        "verify_us_per_record": verified_in / found.records * 1e6,
    }


async def measured(tenant_count: int, sizes: list[int], folder: Path) -> list[Measured]:
    """One look at each size."""
    embedded = await Embedded(folder).start(reactions=False)
    tenants = [f"household-{number}" for number in range(tenant_count)]
    looks = []
    for before, size in pairwise([0, *sizes]):
        sys.stderr.write(f"{tenant_count} tenants: filling up to {size} transactions\n")
        sys.stderr.flush()
        await fill(embedded, tenants, size - before - MEASURED)
        looks.append(await look(embedded, tenants, size))
    await embedded.stop()
    return looks


def main() -> None:
    """Measure what the command line names."""
    tenant_count, sizes = int(sys.argv[1]), [int(size) for size in sys.argv[2].split(",")]
    with data_folder() as folder:
        looks = asyncio.run(measured(tenant_count, sizes, folder))
    finish({"looks": looks})


if __name__ == "__main__":
    main()
