"""Countersign itself: messages that are durable in the lane, through the Service Bus trigger, to their decisions.

The clock starts when the lane hands a message to the pump (peek-lock) and stops when the message is completed.
Inside: Microsoft's runtime (metadata, decoding, dispatch, context), validation, authority, one `read_many`, the query
for counterparts wherever a transfer is possible (each tenant has three accounts), routing, specialists, guard, run
with stages and signals, audit record and chain, merchant's and category's history, receipt, outbox: all in one
durable commit; then the relay: the event durably taken over by the topic, and the outbox document discarded with a
later commit; telemetry; the checkpoint outside the store at every hundredth record. With `reactions`, the Event Grid
function handles each event too (read, write, commit: counters and memory), on the same loop and disk at the same
time, and the rate counts until the last reaction is done. Outside: acceptance, which the HTTP function did before.
*Two processes* is the local host with FUNCTIONS_WORKER_PROCESS_COUNT=2, on the same files; processor time and memory
are those of both. What is compared with it, by hand and LangGraph, is one process each.

    python -m benchmarks.classification IN_FLIGHT UNITS plain|reactions|counted [PROCESSES]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.counters import CountingStore
from benchmarks.embedded import Embedded, working_with
from benchmarks.measure import Measured, Meter, data_folder, finish
from shared.adapters.embedded.sqlite_file import connect
from shared.audit.verification import verify

WARM_UP = 30
OUTCOMES = (
    "SELECT json_extract(body, '$.review_state'), count(*) FROM documents"
    " WHERE kind = 'transaction' AND partition NOT LIKE 'warm-up%' GROUP BY 1"
)


def tenants(in_flight: int) -> list[str]:
    """One for each unit in flight: the lane hands out one message of a tenant at a time."""
    return [f"household-{number}" for number in range(in_flight)]


async def measured(in_flight: int, units: int, mode: str, processes: int, folder: Path) -> Measured:
    """One run in an empty folder. With several processes, the others warm up as well."""
    embedded = await Embedded(folder).start(reactions=mode == "reactions", processes=processes)
    for number in range(processes):
        await embedded.accept(f"warm-up-{number}", WARM_UP)
    await embedded.work(WARM_UP * processes)
    await nothing_left(embedded)
    share = units // in_flight
    for tenant in tenants(in_flight):
        await embedded.accept(tenant, share)
    counting = CountingStore(embedded.delivery.store)
    delivery = replace(embedded.delivery, store=counting) if mode == "counted" else embedded.delivery
    with working_with(delivery):
        meter = Meter(embedded.others)
        latencies = await embedded.work(share * in_flight)
        lane_only = meter.read(latencies)
        await nothing_left(embedded)
        result = meter.read(latencies)
    result["lane_units_per_second"] = lane_only["units_per_second"]
    result["telemetry_dropped"] = embedded.delivery.telemetry.dropped
    result["outcomes"] = await proven(embedded, folder, in_flight, share)
    if mode == "counted":
        result["cost"] = cost(counting, share * in_flight)
    await embedded.stop()
    return result


async def nothing_left(embedded: Embedded) -> None:
    """Returns when every event has been reacted to."""
    until = time.monotonic() + 60
    while embedded.events is not None and await embedded.events_left():
        if time.monotonic() > until:
            raise RuntimeError("the reactions do not come to an end")
        await asyncio.sleep(0.005)


async def proven(embedded: Embedded, folder: Path, in_flight: int, share: int) -> dict[str, int]:
    """How the transactions ended. Each must be decided once, nothing parked, every chain whole."""
    reader = connect(folder / "store.db", busy_seconds=5, writing=False)
    outcomes = Counter(dict(reader.execute(OUTCOMES).fetchall()))
    parked = reader.execute("SELECT count(*) FROM documents WHERE kind = 'parked'").fetchone()[0]
    reader.close()
    assert not parked, f"{parked} commands were parked"
    assert outcomes.total() == share * in_flight, outcomes
    assert not outcomes["Unclassified"], outcomes
    for tenant in tenants(in_flight):
        found = await verify(tenant, store=embedded.delivery.store, checkpoints=embedded.delivery.checkpoints)
        assert not found.problem, found
        assert found.records >= share, found
    return dict(outcomes)


def cost(counting: CountingStore, units: int) -> dict[str, float]:
    """What one classification asked of the store, on average."""
    decisions = [kinds for kinds in counting.commits if "transaction" in kinds]
    return {
        **{f"{name} per command": counting.calls[name] / units for name in ("read", "read_many", "query")},
        "decision commits per command": len(decisions) / units,
        "documents per decision commit": sum(map(len, decisions)) / len(decisions),
        "outbox removals per command": counting.calls["discard"] / units,
        "other commits per command": (len(counting.commits) - len(decisions)) / units,
        "documents read per command": (counting.documents["read_many"] + counting.documents["read"]) / units,
        "documents queried per command": counting.documents["query"] / units,
    }


def main() -> None:
    """Measure what the command line names."""
    in_flight, units, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    processes = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    with data_folder() as folder:
        result = asyncio.run(measured(in_flight, units, mode, processes, folder))
    finish(result)


if __name__ == "__main__":
    main()
