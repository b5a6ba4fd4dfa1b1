"""Doubles of Azure for a local host in a process of its own: served from a thread, one set for each data folder.

The lanes stay the host's own, which delivers them; documents, events, telemetry and checkpoints are Azure's. Events
come back to the host as Event Grid would send them: until it answers 2xx.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from tests.doubles.azure import Azure

FUNCTION = "transaction_decision_changed"
AGAIN_SECONDS = 0.2


class Served:
    """The doubles that belong to one data folder; `address` is where its host listens now."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure
        self.address = ""
        self._sent = 0

    async def forward(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                await asyncio.sleep(0.01)
                while self.address and self._sent < len(self.azure.events):
                    self._sent += await self._delivered(session, self.azure.events[self._sent])

    async def _delivered(self, session: aiohttp.ClientSession, event: dict[str, Any]) -> bool:
        url = f"http://{self.address}/runtime/webhooks/EventGrid?functionName={FUNCTION}"
        headers = {"aeg-event-type": "Notification", "Content-Type": "application/cloudevents+json; charset=utf-8"}
        try:
            async with session.post(url, json=event, headers=headers) as reply:
                taken = reply.ok
        except aiohttp.ClientError:  # the host is down, and may come back
            taken = False
        if not taken:
            await asyncio.sleep(AGAIN_SECONDS)
        return taken


class Services:
    """`of(folder)` is the same for every host that works in that folder."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="azure doubles")
        self._thread.start()
        self._served: dict[Path, Served] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, folder: Path) -> Served:
        if folder not in self._served:
            self._served[folder] = self._wait(self._begin())
        return self._served[folder]

    async def _begin(self) -> Served:
        served = Served(Azure())
        await served.azure.start()
        self._tasks.append(self._loop.create_task(served.forward()))
        return served

    def close(self) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for served in self._served.values():
            await served.azure.stop()

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@cache
def services() -> Services:
    """One for the test run."""
    return Services()


def close() -> None:
    """Stop what was served."""
    if services.cache_info().currsize:
        services().close()
        services.cache_clear()
