"""Event Grid on one machine: delivers what was published to every Event Grid function, retrying as Event Grid does.

In parallel, in no promised order. After `MAX_ATTEMPTS` or a day an event goes, with the reason, to a dead-letter file
of JSON lines. `COUNTERSIGN_EVENT_RETRY_SCALE` (default 1) shortens every wait, for tests and demonstrations.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from local.runtime import new_invocation_id
from local.workers import Invoker
from shared.adapters.embedded.event_topic import Delivery, EventTopic
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts import instants
from shared.errors import ConfigurationError

logger = logging.getLogger("countersign.local.event_grid")

WAITS_SECONDS = (10, 30, 60, 300, 600, 1800, 3600)
"""Event Grid's schedule; the last one repeats."""
MAX_ATTEMPTS = 30
MAX_AGE_SECONDS = 86_400
PARALLEL = 16


def retry_scale() -> float:
    """The setting, checked."""
    value = os.environ.get("COUNTERSIGN_EVENT_RETRY_SCALE", "1")
    try:
        scale = float(value)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1:
        raise ConfigurationError(f"COUNTERSIGN_EVENT_RETRY_SCALE must be a number above 0 and at most 1, not {value!r}")
    return scale


def next_attempt(failed_attempts: int, taken_at: float, now: float, scale: float) -> float | None:
    """When to try again after `failed_attempts` failures; None: never. Pure."""
    if failed_attempts >= MAX_ATTEMPTS:
        return None
    at = now + WAITS_SECONDS[min(failed_attempts, len(WAITS_SECONDS)) - 1] * scale
    return at if at - taken_at < MAX_AGE_SECONDS * scale else None


class EventGrid:
    """The deliveries of one app."""

    def __init__(
        self,
        *,
        runtime: Invoker,
        lanes: SqliteLanes,
        dead_letters: Path,
        clock: Callable[[], float] = time.time,
        scale: float = 1.0,
    ) -> None:
        self._runtime = runtime
        self._functions = {function.name: function for function in runtime.of_kind("event_grid")}
        self._dead_letters = dead_letters
        self._clock = clock
        self._scale = scale
        self._workers: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._topic = EventTopic(lanes, sorted(self._functions), self.wake)

    def start(self) -> None:
        """Deliver what the file holds, and whatever is published from now on."""
        self._topic.load()
        self.wake()

    def wake(self) -> None:
        """Start as many deliveries as there are due, up to `PARALLEL`."""
        while not self._stopping and len(self._workers) < PARALLEL:
            delivery = self._topic.take(self._clock())
            if delivery is None:
                return
            worker = asyncio.get_running_loop().create_task(self._work(delivery))
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def tick(self) -> None:
        """Called about ten times a second: retries that are due, events of other processes."""
        self._topic.tick(self._clock())

    async def stop(self) -> None:
        """Begin nothing more; returns when what is running has ended."""
        self._stopping = True
        if self._workers:
            await asyncio.wait(self._workers)

    def cancel(self) -> None:
        """Cut short what runs; it is delivered again after the next start."""
        for worker in self._workers:
            worker.cancel()

    def close(self) -> None:
        """Let go of the file."""
        self._topic.close()

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            logger.error("a delivery failed in the host itself", exc_info=error)
        self.wake()

    async def _work(self, delivery: Delivery) -> None:
        """Deliver one after the other: a task for each event would cost more than the function call."""
        following: Delivery | None = delivery
        while following is not None:
            await self._deliver(following)
            await asyncio.sleep(0)
            following = None if self._stopping else self._topic.take(self._clock())

    async def _deliver(self, delivery: Delivery) -> None:
        function = self._functions[delivery.subscriber]
        outcome = await self._runtime.event_grid(function, new_invocation_id(), delivery.body)
        if outcome.ok:
            self._topic.delivered(delivery)
            return
        now = self._clock()
        at = next_attempt(delivery.attempts + 1, delivery.taken_at, now, self._scale)
        if at is not None:
            self._topic.failed(delivery, at)
            return
        await asyncio.to_thread(self._bury, delivery, now, outcome.error)
        logger.error("an event was dead-lettered: %s failed %d times", function.name, delivery.attempts + 1)
        self._topic.delivered(delivery)

    def _bury(self, delivery: Delivery, now: float, error: str) -> None:
        reason = "MaxDeliveryAttemptsExceeded" if delivery.attempts + 1 >= MAX_ATTEMPTS else "TimeToLiveExceeded"
        line = {
            "deadLetterReason": reason,
            "deliveryAttempts": delivery.attempts + 1,
            "lastDeliveryOutcome": error[:4096],
            "publishTime": instants.text(datetime.fromtimestamp(delivery.taken_at, UTC)),
            "lastDeliveryAttemptTime": instants.text(datetime.fromtimestamp(now, UTC)),
            "subscriber": delivery.subscriber,
            "event": json.loads(delivery.body),
        }
        with self._dead_letters.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
