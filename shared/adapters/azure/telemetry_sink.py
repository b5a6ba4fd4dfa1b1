"""`EventHubsTelemetrySink`: telemetry events to an event hub, behind a bounded buffer that empties itself.

Events that come together travel as one `EventData` of JSON lines (application/x-ndjson, up to `LINES_BYTES`): a hub
counts and bills messages of 64 KB, and making one costs more processor time than fifty lines. What a hub does not take
within `SEND_SECONDS` is dropped and counted: nobody waits for telemetry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

if TYPE_CHECKING:
    from shared.adapters.azure.credentials import Credential

GATHER_SECONDS = 0.2
"""How long the first event waits for others, unless half the buffer (`GATHER_EVENTS` at most) is full before."""
GATHER_EVENTS = 500
LINES_BYTES = 60_000
SEND_SECONDS = 10.0
FLUSH_SECONDS = 1.0
PAUSE_SECONDS = 2.0
"""Between two tries while the hub takes nothing; the buffer takes what comes in the meantime."""

_log = logging.getLogger(__name__)


class EventHubsTelemetrySink:
    """Up to `capacity` events wait in memory, a moment, for a task of the sink's own.

    namespace: `<name>.servicebus.windows.net`, for which `credential` gives Entra tokens (role "Azure Event Hubs Data
    Sender"); a `credential` that is a text is a connection string, for emulators, and `namespace` is not looked at.
    """

    def __init__(self, *, namespace: str, eventhub: str, credential: Credential, capacity: int = 10_000) -> None:
        self._namespace = namespace
        self._eventhub = eventhub
        self._credential = credential
        self._capacity = capacity
        self._many = min(GATHER_EVENTS, max(1, capacity // 2))
        self._waiting: list[bytes] = []
        self._dropped = 0
        self._trouble = ""
        self._closed = False
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: EventHubProducerClient | None = None

    @property
    def dropped(self) -> int:
        """How many events were lost since the start."""
        return self._dropped

    @property
    def trouble(self) -> str:
        """Why the hub did not take the newest events, "" when it did."""
        return self._trouble

    def emit(self, event: dict[str, Any]) -> None:
        """Buffer the event; what does not fit or is no JSON is counted instead."""
        waiting = self._waiting
        if self._closed or len(waiting) >= self._capacity:
            self._dropped += 1
            return
        try:
            waiting.append(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        except TypeError:  # orjson's own error is one
            self._dropped += 1
            return
        if self._task is None or self._task.done():
            self._begin()
        elif len(waiting) == self._many:
            self._hurry.set()

    async def flush(self) -> None:
        """Send what is buffered. After `FLUSH_SECONDS` a slow hub is left to the task."""
        if self._waiting and (self._task is None or self._task.done()):
            self._begin()
        if self._task is not None and not self._task.done():
            self._hurry.set()
            await asyncio.wait([self._task], timeout=FLUSH_SECONDS)

    async def close(self) -> None:
        """Flush; drop and count what could not be sent, and what comes later."""
        await self.flush()
        self._closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=FLUSH_SECONDS)
        self._dropped += len(self._waiting)
        self._waiting.clear()
        await self._put_away()

    def _begin(self) -> None:
        try:
            self._task = asyncio.get_running_loop().create_task(self._gather())
        except RuntimeError:  # emitted where no loop runs: the next event that is takes it along
            return

    async def _gather(self) -> None:
        """Let a few events come together, send them, and go on while there are more."""
        while self._waiting:
            try:
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._hurry.wait()
            except TimeoutError:
                self._hurry.clear()
            batch = self._waiting[:GATHER_EVENTS]
            del self._waiting[: len(batch)]
            if not await self._delivered(batch):
                await asyncio.sleep(PAUSE_SECONDS)
            if not self._waiting:
                self._hurry.clear()

    async def _delivered(self, batch: list[bytes]) -> bool:
        """Send `batch`; False when the hub did not take it."""
        left = len(batch)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                left = await self._sent(batch)
        except Exception as error:  # noqa: BLE001  the library raises many kinds; telemetry fails nothing
            if not self._trouble:  # once for each outage
                _log.warning("telemetry is lost until Event Hubs takes it again: %s", type(error).__name__)
            self._trouble = f"Event Hubs does not take {self._eventhub}: {type(error).__name__}"
            await self._put_away()
            return False
        else:
            self._trouble = ""
            return True
        finally:
            self._dropped += left

    async def _sent(self, events: list[bytes]) -> int:
        """How many were too large for the hub."""
        client = self._open()
        batch, too_large = await client.create_batch(), 0
        for lines in _together(events):
            data = EventData(b"".join(lines))
            data.content_type = "application/x-ndjson"
            if _fits(batch, data):
                continue
            if len(batch):
                await client.send_batch(batch)
                batch = await client.create_batch()
            if not _fits(batch, data):
                too_large += len(lines)
        if len(batch):
            await client.send_batch(batch)
        return too_large

    def _open(self) -> EventHubProducerClient:
        if self._client is None:
            options: dict[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.2, "auth_timeout": SEND_SECONDS}
            if isinstance(self._credential, str):
                self._client = EventHubProducerClient.from_connection_string(
                    self._credential, eventhub_name=self._eventhub, **options
                )
            else:
                self._client = EventHubProducerClient(self._namespace, self._eventhub, self._credential(), **options)
        return self._client

    async def _put_away(self) -> None:
        """Close the client, also one that hangs: the next use makes a new one."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await client.close()
        except Exception as error:  # noqa: BLE001  as above
            _log.debug("the Event Hubs client did not close: %s", type(error).__name__)


def _together(events: list[bytes]) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for event in events:
        if lines and size + len(event) > LINES_BYTES:
            yield lines
            lines, size = [], 0
        lines.append(event)
        size += len(event)
    if lines:
        yield lines


def _fits(batch: Any, data: EventData) -> bool:
    try:
        batch.add(data)
    except ValueError:
        return False
    return True
