"""`JsonLinesTelemetrySink`: telemetry events as lines of a file, behind a bounded buffer."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

MAX_LINES_PER_WRITE = 500
FLUSH_SECONDS = 1.0

_log = logging.getLogger(__name__)


class JsonLinesTelemetrySink:
    """Up to `capacity` events wait in memory until `flush`; each flush appends them to `path` in a thread of its own.

    An event is written as it was when it was emitted. The file may be shared: every write is one append.
    """

    def __init__(self, path: Path, capacity: int = 10_000) -> None:
        self._path = path
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._dropped = 0  # by emit, on the caller's thread
        self._undelivered = 0  # by the writing thread: two counters, so that no increment is lost between them
        self._torn = False
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry")

    @property
    def dropped(self) -> int:
        """How many events were lost since the start."""
        return self._dropped + self._undelivered

    def emit(self, event: dict[str, Any]) -> None:
        """Buffer the event; what does not fit, or is not JSON, is counted instead."""
        try:
            line = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # orjson's own error is one
            self._dropped += 1
            return
        if self._closed or len(self._lines) >= self._capacity:
            self._dropped += 1
        else:
            self._lines.append(line)

    async def flush(self) -> None:
        """Write what is buffered. After `FLUSH_SECONDS` a slow disk is left to it: nobody waits any longer."""
        if self._lines and not self._closed:
            await self._bounded(self._thread.submit(self._drain))

    async def close(self) -> None:
        """Flush, then drop and count what comes later."""
        await self.flush()
        self._closed = True
        self._thread.shutdown(wait=False)

    @staticmethod
    async def _bounded(work: Future[None]) -> None:
        await asyncio.wait([asyncio.wrap_future(work)], timeout=FLUSH_SECONDS)

    def _drain(self) -> None:
        """On the thread of its own, so never twice at once."""
        while self._lines:
            batch = [self._lines.popleft() for _ in range(min(len(self._lines), MAX_LINES_PER_WRITE))]
            try:
                self._append(b"".join(batch))
            except OSError as error:
                self._undelivered += len(batch)
                _log.warning("%d telemetry events lost: %s", len(batch), error)

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            data = b"\n" + lines if self._torn else lines  # after a torn line, so that only that one is lost
            self._torn = True
            written = os.write(descriptor, data)
            if written < len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")
            self._torn = False
        finally:
            os.close(descriptor)
