"""Countersign in this process, put together as `python -m local serve` does it, with a stop watch on the lanes.

The real `function_app` is indexed by Microsoft's runtime; messages go from the lanes' file through the pump, the
runtime's decoding and the Service Bus trigger to the store. What is left out is HTTP and the timers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self
from unittest.mock import patch

from benchmarks.measure import ROOT
from benchmarks.statements import rows
from local import host_json, log
from local.event_grid import EventGrid
from local.host import TICK_SECONDS
from local.runtime import Runtime
from local.service_bus import Pump
from local.surroundings import settle_heap
from local.workers import Workers
from shared import bootstrap
from shared.adapters.embedded.lane_queue import Holder
from shared.adapters.embedded.lane_receiver import LaneReceiver, Received
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import INGESTION
from shared.contracts.transactions import TransactionFacts
from shared.delivery.handling import Delivery
from shared.flows.ingest_statement import ingest

UPLOAD = 400
"""Rows per uploaded statement; they are accepted in commits of 40."""


class TimedReceiver(LaneReceiver):
    """Notes how long each message was under lock: from "handed to the pump" to "completed"."""

    def __init__(self, lanes: SqliteLanes) -> None:
        super().__init__(lanes)
        self.latencies: list[float] = []
        self._locked_at: dict[int, float] = {}
        self._expected = 0
        self._all = asyncio.Event()

    def receive(self, queue: str, holder: Holder | None = None) -> Received | None:
        received = super().receive(queue, holder)
        if received is not None:
            self._locked_at[received.lock.token] = time.perf_counter()
        return received

    def complete(self, received: Received) -> bool:
        settled = super().complete(received)
        self.latencies.append(time.perf_counter() - self._locked_at.pop(received.lock.token))
        if len(self.latencies) >= self._expected:
            self._all.set()
        return settled

    async def completed(self, count: int) -> None:
        """Returns when `count` messages have been completed since `latencies` was last emptied."""
        self._expected = count
        self._all.clear()
        if len(self.latencies) < count:
            await self._all.wait()


class Embedded:
    """One function app on one data folder. `start`, then `accept` statements, then `work` the lane."""

    def __init__(self, folder: Path) -> None:
        os.environ["COUNTERSIGN_DATA"] = os.environ["COUNTERSIGN_DATA_DIR"] = str(folder)
        os.environ.setdefault("AUTH_MODE", "dev")
        self._folder = folder
        self._next_row: dict[str, int] = {}
        self._pump: Pump | None = None
        self.events: EventGrid | None = None

    async def start(self, *, reactions: bool, processes: int = 1) -> Self:
        """Index the app. reactions: deliver events to its Event Grid function, as `make serve` does. processes: how
        many run functions, this one among them."""
        log.set_up()
        self._options = host_json.read(ROOT / "host.json")
        self.runtime = await Runtime.start(ROOT, timeout_seconds=self._options.function_timeout_seconds)
        self.lanes = bootstrap.lanes()
        self.receiver = TimedReceiver(self.lanes)
        self.receiver.load()
        self.delivery: Delivery = bootstrap.delivery()
        self.workers = Workers(self.runtime, processes, app_dir=ROOT, on_sent=self._look)
        await self.workers.start(timeout_seconds=self._options.function_timeout_seconds)
        if reactions:
            self.events = EventGrid(
                runtime=self.workers, lanes=self.lanes, dead_letters=self._folder / "event-dead-letters.jsonl"
            )
            self.events.start()
        self._ticker = asyncio.create_task(self._tick())
        settle_heap()  # as `make serve` does once it is up
        return self

    @property
    def others(self) -> list[int]:
        """The ids of the processes beside this one."""
        return [one.process.pid for one in self.workers.processes if one.process is not None]

    async def accept(self, tenant: str, count: int) -> None:
        """Accept the tenant's next `count` rows, as the HTTP function does; their messages wait in the lane."""
        start = self._next_row.get(tenant, 0)
        self._next_row[tenant] = start + count
        facts = [TransactionFacts(**row) for row in islice(rows(start), count)]
        for at in range(0, count, UPLOAD):
            key = f"{tenant}-{start + at}"
            await ingest(
                self.delivery, tenant, facts[at : at + UPLOAD], key=key, fingerprint=key, caller="benchmark"
            )  # fmt: skip

    async def work(self, count: int) -> list[float]:
        """Let the lane go until `count` messages are completed; the seconds of each, lock to completion."""
        self.receiver.latencies = []
        function = next(f for f in self.runtime.of_kind("service_bus") if f.binding["queueName"] == INGESTION.queue)
        pump = Pump(
            runtime=self.workers, function=function, receiver=self.receiver, options=self._options.service_bus
        )  # fmt: skip
        pump.wake()
        await self.receiver.completed(count)
        await pump.stop()
        self.receiver.on_ready(INGESTION.queue, lambda: None)  # what is accepted next waits for the next `work`
        return self.receiver.latencies

    async def events_left(self) -> int:
        """Events that the reaction has not handled yet."""
        reader = self.lanes.reader()
        left = int(reader.execute("SELECT count(*) FROM event").fetchone()[0])
        reader.close()
        return left

    async def stop(self) -> None:
        """Close everything."""
        self._ticker.cancel()
        if self.events is not None:
            await self.events.stop()
        await self.workers.stop()
        await self.receiver.close()
        if self.events is not None:
            self.events.close()
        await bootstrap.shutdown()

    def _look(self) -> None:
        """A worker process has sent or published something."""
        self.receiver.look()
        if self.events is not None:
            self.events.tick()

    async def _tick(self) -> None:
        """The host's clock."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.receiver.tick()
            if self.events is not None:
                self.events.tick()


@contextmanager
def working_with(delivery: Delivery) -> Iterator[None]:
    """Every trigger is given `delivery` instead of what `bootstrap` has built."""
    with patch.object(bootstrap, "delivery", lambda: delivery):
        yield
