"""The receiving side of published events: which subscriber still has to get which event, and when to try again.

An event stays in the file until every subscriber got it or was given up on. Only trouble is written besides: a failed
attempt, or "done" for one subscriber while another still fails. A crash therefore repeats a few deliveries and loses
none. At most `WINDOW` events are looked at ahead and few bodies are kept, so a long backlog costs no memory.
"""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from shared.adapters.embedded.lanes import SqliteLanes

WINDOW = 1000
KEPT_BODY_CHARACTERS = 4_000_000
_EVENTS = "SELECT sequence, taken_at FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?"
_BODY = "SELECT body FROM event WHERE sequence = ?"
_DELIVERIES = "SELECT sequence, subscriber, attempts, next_at FROM event_delivery WHERE sequence BETWEEN ? AND ?"
_NOTE = "INSERT OR REPLACE INTO event_delivery (sequence, subscriber, attempts, next_at) VALUES (?,?,?,?)"
_DONE = -1.0


class Delivery(NamedTuple):
    """One event for one subscriber; `attempts` already failed. `body` (JSON) is filled in by `take`."""

    sequence: int
    subscriber: str
    attempts: int
    taken_at: float
    body: str = ""


class EventTopic:
    """For the one process that delivers. `wake` is called when `take` may have something."""

    def __init__(self, lanes: SqliteLanes, subscribers: Sequence[str], wake: Callable[[], None]) -> None:
        self._lanes = lanes
        self._reader = lanes.reader()
        self._subscribers = tuple(subscribers)
        self._wake = wake
        self._ready: deque[Delivery] = deque()
        self._later: list[tuple[float, int, str, Delivery]] = []
        self._open: dict[int, int] = {}  # event -> subscribers that still have to get it
        self._bodies: dict[int, str] = {}
        self._kept = 0
        self._read_through = 0
        self._more = True
        self._data_version = -1
        self._loop: asyncio.AbstractEventLoop | None = None

    def load(self) -> None:
        """Find what the file holds, and hear of what is published from now on."""
        self._read_on()
        self._loop = asyncio.get_running_loop()
        self._lanes.on_publish(self._published)

    def take(self, now: float) -> Delivery | None:
        """The next delivery to attempt, or None."""
        if not self._ready and self._more:
            self._read_on()
        while (is_due := bool(self._later) and self._later[0][0] <= now) or self._ready:
            delivery = self._later[0][3] if is_due else self._ready[0]
            body = self._body(delivery.sequence)  # before it is taken off: a read that fails must not lose it
            if is_due:
                heapq.heappop(self._later)
            else:
                self._ready.popleft()
            if body is not None:
                return delivery._replace(body=body)
            self._open.pop(delivery.sequence, None)  # gone from the file: somebody removed it by hand
        return None

    def _body(self, sequence: int) -> str | None:
        if (kept := self._bodies.get(sequence)) is not None:
            return kept
        row = self._reader.execute(_BODY, (sequence,)).fetchone()
        return None if row is None else str(row[0])

    def delivered(self, delivery: Delivery) -> None:
        """The subscriber has it (or was given up on)."""
        sequence = delivery.sequence
        left = self._open[sequence] = self._open[sequence] - 1
        if left:
            self._post(_NOTE, (sequence, delivery.subscriber, delivery.attempts, _DONE))
            return
        del self._open[sequence]
        self._kept -= len(self._bodies.pop(sequence, ""))
        self._post("DELETE FROM event WHERE sequence = ?", (sequence,))
        if len(self._subscribers) > 1 or delivery.attempts:
            self._post("DELETE FROM event_delivery WHERE sequence = ?", (sequence,))

    def failed(self, delivery: Delivery, next_at: float) -> None:
        """The attempt failed; try again at `next_at` (seconds since the epoch), also after a restart."""
        again = delivery._replace(attempts=delivery.attempts + 1, body="")
        heapq.heappush(self._later, (next_at, again.sequence, again.subscriber, again))
        self._post(_NOTE, (again.sequence, again.subscriber, again.attempts, next_at))

    def tick(self, now: float) -> None:
        """Notice what has become due and what other processes have published."""
        version = self._reader.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._data_version, self._more = version, True
        if self._more and not self._ready:
            self._read_on()
        if self._ready or (self._later and self._later[0][0] <= now):
            self._wake()

    def close(self) -> None:
        """Nothing is held that is not in the file or posted to it."""
        self._reader.close()

    def _published(self, events: Sequence[tuple[int, str]]) -> None:
        if asyncio.get_running_loop() is not self._loop:
            return  # published from a thread's own loop: the next tick reads it from the file
        now = self._lanes.clock()
        if events and events[0][0] == self._read_through + 1 and len(self._ready) < WINDOW:
            for sequence, body in events:
                self._open_for(sequence, now, {})
                if sequence in self._open and self._kept + len(body) <= KEPT_BODY_CHARACTERS:
                    self._bodies[sequence] = body
                    self._kept += len(body)
            self._read_through = events[-1][0]
        else:
            self._more = True
        self._wake()

    def _read_on(self) -> None:
        rows = self._reader.execute(_EVENTS, (self._read_through, WINDOW)).fetchall()
        self._more = len(rows) == WINDOW
        if not rows:
            return
        noted: dict[tuple[int, str], tuple[int, float]] = {
            (sequence, subscriber): (attempts, next_at)
            for sequence, subscriber, attempts, next_at in self._reader.execute(_DELIVERIES, (rows[0][0], rows[-1][0]))
        }
        for sequence, taken_at in rows:
            self._open_for(sequence, taken_at, noted)
        self._read_through = rows[-1][0]

    def _open_for(self, sequence: int, taken_at: float, noted: dict[tuple[int, str], tuple[int, float]]) -> None:
        waiting = 0
        for subscriber in self._subscribers:
            attempts, next_at = noted.get((sequence, subscriber), (0, 0.0))
            if next_at == _DONE:
                continue
            waiting += 1
            delivery = Delivery(sequence, subscriber, attempts, taken_at)
            if next_at:
                heapq.heappush(self._later, (next_at, sequence, subscriber, delivery))
            else:
                self._ready.append(delivery)
        if waiting:
            self._open[sequence] = waiting
        else:  # a topic without subscribers keeps nothing
            self._post("DELETE FROM event WHERE sequence = ?", (sequence,))

    def _post(self, sql: str, row: tuple[Any, ...]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(sql, row)

        self._lanes.post(write)
