"""Every payload of tests/messages through Microsoft's own decoding into our functions; prints what came of it.

A program of its own: the runtime hosts one app per process.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from local.runtime import Runtime

ROOT = Path(__file__).parents[2]
MESSAGES = ROOT / "tests" / "messages"


def sample(name: str) -> Any:
    return json.loads((MESSAGES / name).read_text(encoding="utf-8"))


async def main() -> None:
    from shared import bootstrap

    runtime = await Runtime.start(ROOT)
    functions = runtime.functions
    outcomes: dict[str, str] = {}
    for name, function in (
        ("service_bus.classify_transaction.json", "ingestion_completed"),
        ("service_bus.ingestion_completed.json", "ingestion_completed"),
        ("service_bus.sweep_tenant.json", "nightly_anomaly_sweep"),
    ):
        told = sample(name)
        body = json.dumps(told["body"]).encode()
        outcome = await runtime.service_bus(functions[function], name, body, told["metadata"], "{}")
        outcomes[name] = outcome.error or "ok"
    for name in ("event_grid.cloud_event.json", "event_grid.event_grid_schema.json"):
        heard = functions["transaction_decision_changed"]
        outcome = await runtime.event_grid(heard, name, json.dumps(sample(name)))
        outcomes[name] = outcome.error or "ok"
    outcome = await runtime.timer(functions["relay_outbox"], "timer.json", json.dumps(sample("timer.json")))
    outcomes["timer.json"] = outcome.error or "ok"
    store = bootstrap.delivery().store
    decided = await store.query("household", "transaction")
    parked = await store.query("system", "parked")
    counted = await store.query("household", "run", key=("state", "Completed"))
    sys.stdout.write(
        json.dumps(
            {
                "outcomes": outcomes,
                "decided": {one.body["facts"]["transaction_id"]: one.body["category"] for one in decided.documents},
                "learned": [one.body["counted"] for one in decided.documents],
                "parked": [one.body["reason"] for one in parked.documents],
                "runs": len(counted.documents),
            }
        )
    )
    await bootstrap.shutdown()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    asyncio.run(main())
