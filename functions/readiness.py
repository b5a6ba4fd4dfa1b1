"""Whether what a command needs can be reached, and if not, which part and why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from shared.errors import CountersignError

log = logging.getLogger("countersign.readiness")

PING_SECONDS = 2.0
NO_ACTION_POLICY = "COUNTERSIGN_ACTION_POLICY cannot be read: questions are answered, nothing is done or signed"
NEEDED = ("store", "bus", "publisher")
"""Without one of these no traffic should come here. While something else fails commands are accepted and kept."""
BESIDE: dict[str, Callable[[], str]] = {}
"""What runs beside the app and tells of itself ("ok", or why not); the local host names its second app here."""


async def readiness() -> dict[str, Any]:
    """{"ready", "checks": {name: "ok" or why not}, "telemetry_dropped"}. Never raises for what is merely missing.

    Checks: those of `NEEDED`, `checkpoints`, `model` when one is configured, backends by name, `telemetry`,
    `action_policy`, those of `BESIDE`.
    """
    from shared import bootstrap
    from shared.contracts.kinds import SYSTEM_PARTITION

    try:
        delivery = bootstrap.delivery()
        backends = bootstrap.backends()
        model = bootstrap.model()
    except CountersignError as failed:
        return {"ready": False, "checks": {"configuration": str(failed)}, "telemetry_dropped": 0}
    pings: dict[str, Callable[[], Awaitable[Any]]] = {
        "store": delivery.store.ping,
        "bus": delivery.bus.ping,
        "publisher": delivery.events.ping,
        "checkpoints": lambda: delivery.checkpoints.latest(SYSTEM_PARTITION),
    }
    if model is not None:
        pings["model"] = partial(model.ping, timeout_seconds=PING_SECONDS)
    pings |= {name: partial(backend.ping, timeout_seconds=PING_SECONDS) for name, backend in backends.items()}
    answers = await asyncio.gather(*(_asked(ping) for ping in pings.values()))
    checks = dict(zip(pings, answers, strict=True))
    ready = all(checks[name] == "ok" for name in NEEDED)
    checks["telemetry"] = delivery.telemetry.trouble or "ok"  # of what was sent last: nobody waits for telemetry
    checks["action_policy"] = "ok" if bootstrap.action_policy() else NO_ACTION_POLICY
    checks |= {name: status() for name, status in BESIDE.items()}
    return {"ready": ready, "checks": checks, "telemetry_dropped": delivery.telemetry.dropped}


async def _asked(ping: Callable[[], Awaitable[Any]]) -> str:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except TimeoutError:
        return f"no answer within {PING_SECONDS:g} s"
    except (CountersignError, OSError) as failed:
        return str(failed)[:200] or type(failed).__name__
    except Exception as failed:  # a library stumbles over a setting: the other answers are wanted all the more
        log.exception("a check of readiness failed unexpectedly")
        return f"{type(failed).__name__}; the log says more"  # its text may hold a key
    return "ok"
