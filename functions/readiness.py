"""Whether what a command needs can be reached, and if not, which part and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.errors import CountersignError

PING_SECONDS = 2.0


async def readiness() -> dict[str, Any]:
    """{"ready", "checks": {name: "ok" or why not}, "telemetry_dropped"}. Never raises for what is merely missing."""
    from shared import bootstrap

    try:
        delivery = bootstrap.delivery()
    except CountersignError as failed:
        return {"ready": False, "checks": {"configuration": str(failed)}, "telemetry_dropped": 0}
    pings = {"store": delivery.store.ping, "bus": delivery.bus.ping, "publisher": delivery.events.ping}
    answers = await asyncio.gather(*(_asked(ping) for ping in pings.values()))
    checks = dict(zip(pings, answers, strict=True))
    ready = all(answer == "ok" for answer in answers)
    return {"ready": ready, "checks": checks, "telemetry_dropped": delivery.telemetry.dropped}


async def _asked(ping: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except TimeoutError:
        return f"no answer within {PING_SECONDS:g} s"
    except (CountersignError, OSError) as failed:
        return str(failed)[:200] or type(failed).__name__
    return "ok"
