"""`JsonLinesTelemetrySink`: telemetry events as lines of a file, behind a bounded buffer that empties itself."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

MAX_EVENTS_PER_WRITE = 1_000
GATHER_SECONDS = 0.2
"""How long the first event waits for others, unless half the buffer (`GATHER_EVENTS` at least) is full before."""
GATHER_EVENTS = 500
FLUSH_SECONDS = 1.0
MAX_FILE_BYTES = 50_000_000

_log = logging.getLogger(__name__)


class JsonLinesTelemetrySink:
    """Up to `capacity` events wait in memory, a moment, until a thread of the sink's own appends them to `path`.

    An event is written as it was when it was emitted, as far as it is flat: it is copied, a tenth of what encoding it
    and keeping the line would cost the caller. The file may be shared: every write is one append. A file of `max_bytes`
    becomes `<name>.old<suffix>`, in place of the one before.
    """

    def __init__(self, path: Path, capacity: int = 10_000, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._path = path
        self._old = path.with_name(f"{path.stem}.old{path.suffix}")
        self._capacity = capacity
        self._many = max(GATHER_EVENTS, capacity // 2)
        self._max_bytes = max_bytes
        self._events: list[dict[str, Any]] = []  # appended to by anybody, cut at its front by the thread alone
        self._dropped = 0  # by emit, on the caller's thread
        self._undelivered = 0  # by the writing thread: two counters, so that no increment is lost between them
        self._busy = False  # the thread has been told of what is buffered
        self._hurry = threading.Event()
        self._torn = False
        self._trouble = ""
        self._closed = False
        # No event loop takes part: one that blocks or ends keeps nothing from the file.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telemetry")

    @property
    def trouble(self) -> str:
        """Why the newest events are not in the file, "" when they are."""
        return self._trouble

    @property
    def dropped(self) -> int:
        """How many events were lost since the start, those included that wait and are no JSON."""
        lost = self._dropped + self._undelivered
        waiting = self._events[:]
        return lost + len(waiting) - _encoded(waiting)[1]

    def emit(self, event: dict[str, Any]) -> None:
        """Buffer the event; what does not fit is counted instead."""
        waiting = len(self._events)
        if self._closed or waiting >= self._capacity:
            self._dropped += 1
            return
        self._events.append(event.copy())
        if not self._busy:
            self._begin()
        elif waiting == self._many:
            self._hurry.set()

    async def flush(self) -> None:
        """Write what is buffered. After `FLUSH_SECONDS` a slow disk is left to it: nobody waits any longer."""
        if self._closed or not (self._busy or self._events):
            return
        self._hurry.set()
        try:
            work = self._thread.submit(self._drain)
        except RuntimeError as error:  # no thread can be started: what is buffered waits for the next time
            _log.warning("telemetry cannot be written now: %s", error)
        else:
            await self._bounded(work)

    async def close(self) -> None:
        """Flush, then drop and count what comes later."""
        await self.flush()
        self._closed = True
        self._hurry.set()
        self._thread.shutdown(wait=False)

    @staticmethod
    async def _bounded(work: Future[None]) -> None:
        await asyncio.wait([asyncio.wrap_future(work)], timeout=FLUSH_SECONDS)

    def _begin(self) -> None:
        self._busy = True
        try:
            self._thread.submit(self._gather)
        except RuntimeError:  # no thread can be started: the next event tries again
            self._busy = False

    def _gather(self) -> None:
        """On the thread: let a few events come together, then write them."""
        self._hurry.wait(GATHER_SECONDS)
        try:
            self._drain()
        finally:
            self._busy = False
            if self._events:  # emitted after the last look, and before the line above
                self._begin()

    def _drain(self) -> None:
        """On the thread, so never twice at once."""
        self._hurry.clear()
        while batch := self._events[:MAX_EVENTS_PER_WRITE]:
            del self._events[: len(batch)]
            lines, written = _encoded(batch)
            try:
                if written:
                    self._append(lines)
                    self._trouble = ""
            except OSError as error:
                written = 0
                if not self._trouble:  # once for each outage: this comes several times a second
                    _log.warning("%d telemetry events lost, and more until it works again: %s", len(batch), error)
                self._trouble = f"telemetry cannot be written: {type(error).__name__}"
            self._undelivered += len(batch) - written

    def _append(self, lines: bytearray) -> None:
        if self._is_full():
            self._path.replace(self._old)
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

    def _is_full(self) -> bool:
        try:
            return self._path.stat().st_size >= self._max_bytes
        except FileNotFoundError:
            return False


def _encoded(events: Sequence[dict[str, Any]]) -> tuple[bytearray, int]:
    """Their lines, and how many are JSON at all."""
    lines, number = bytearray(), 0
    for event in events:
        try:
            lines += orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # orjson's own error is one
            continue
        number += 1
    return lines, number
