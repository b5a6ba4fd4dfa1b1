"""Receiving from the lanes: peek-lock over the file, by the one process that holds the data folder.

The working set (which messages are ready, in which session) is in memory, loaded once; locks live in memory alone, so
after a crash every message is free again, with the delivery count it had. Bodies of what this process has just sent
are kept up to a bound; others are read when they are handed out.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from shared.adapters.embedded.lane_queue import Holder, LaneQueue, Lock
from shared.adapters.embedded.lanes import Arrival, NewMessage, SqliteLanes
from shared.contracts.lanes import DEAD_LETTER_SUFFIX
from shared.errors import RetryableError

logger = logging.getLogger("countersign.lanes")

KEPT_BODY_BYTES = 8_000_000
_READ = (
    "SELECT queue, session_id, visible_at, message_id, correlation_id, subject, properties, body, enqueued_at,"
    " dead_reason, dead_description FROM message WHERE sequence = ?"
)
_ARRIVED = "SELECT sequence, queue, session_id, delivery_count, visible_at FROM message WHERE sequence > ? ORDER BY 1"
_DELETE = "DELETE FROM message WHERE sequence = ?"
_DELETE_ALL = "DELETE FROM message WHERE sequence IN (SELECT value FROM json_each(?))"
_COUNT_ALL = "UPDATE message SET delivery_count = delivery_count + 1 WHERE sequence IN (SELECT value FROM json_each(?))"
_BURY = "UPDATE message SET queue = ?, delivery_count = ?, dead_reason = ?, dead_description = ? WHERE sequence = ?"
_AGAIN = (
    "INSERT INTO message (queue, session_id, delivery_count, enqueued_at, message_id, correlation_id, subject,"
    " properties, body) SELECT queue, session_id, delivery_count, ?, message_id, correlation_id, subject, properties,"
    " body FROM message WHERE sequence = ?"
)


class Received(NamedTuple):
    """A message under lock. `lock.delivery_count` is 1 the first time, as the trigger shows it."""

    queue: str
    lock: Lock
    message: NewMessage
    enqueued_at: float
    dead_reason: str = ""
    dead_description: str = ""


class LaneReceiver:
    """Call `load` once, then `tick` about ten times a second; both on the event loop that the pumps run on."""

    def __init__(self, lanes: SqliteLanes) -> None:
        self._lanes = lanes
        self._reader = lanes.reader()
        self._queues: dict[str, LaneQueue] = {}
        self._wake: dict[str, list[Callable[[], None]]] = {}
        self._read_through = self._found_through = 0
        self._scheduled: list[tuple[float, int]] = []
        self._activating: asyncio.Task[None] | None = None
        self._kept: dict[int, Arrival] = {}
        self._kept_bytes = 0
        self._data_version = -1
        self._deleted: list[int] = []
        self._counted: list[int] = []
        self._burials: set[asyncio.Task[None]] = set()
        self._flush_due = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def load(self) -> None:
        """Find what the file holds, and hear of what is sent from now on."""
        self._read_on()
        self._found_through = self._read_through
        self._loop = asyncio.get_running_loop()
        self._lanes.on_send(self._arrived)

    def lists(self, queue: str) -> bool:
        """Whether the queue is one of the lanes, or the dead-letter queue of one."""
        return queue.removesuffix(DEAD_LETTER_SUFFIX) in self._lanes.lanes

    def on_ready(self, queue: str, wake: Callable[[], None]) -> None:
        """Call `wake` whenever the queue has got something that may be received."""
        self._wake.setdefault(queue, []).append(wake)

    def queue(self, name: str) -> LaneQueue:
        """The working set of a queue, or of its dead-letter queue, which has neither sessions nor a last delivery."""
        if (known := self._queues.get(name)) is None:
            lane = self._lanes.lanes.get(name)
            dead = self._lanes.lanes.get(name.removesuffix(DEAD_LETTER_SUFFIX))
            known = self._queues[name] = LaneQueue(
                sessions=lane.sessions if lane else False,
                lock_seconds=(lane or dead).lock_seconds if lane or dead else 60,  # type: ignore[union-attr]
                max_delivery_count=lane.max_delivery_count if lane else 0,
            )
        return known

    def accept_session(self, queue: str, session: str | None = None) -> Holder | None:
        """Hold this session, or the one that has waited longest; None when that cannot be."""
        return self.queue(queue).accept_session(self._lanes.clock(), session)

    def release_session(self, queue: str, holder: Holder) -> None:
        """Let others have the session."""
        self.queue(queue).release_session(holder)

    def receive(self, queue: str, holder: Holder | None = None) -> Received | None:
        """Lock the next message (of the held session); None when there is none."""
        working = self.queue(queue)
        while (lock := working.take(self._lanes.clock(), holder)) is not None:
            received = self._read(queue, lock)
            if received is not None:
                self._counted.append(lock.sequence)
                self._flush_soon()
                return received
            working.settle(lock)  # gone from the file: somebody removed it by hand
        return None

    def complete(self, received: Received) -> bool:
        """Done with. False: the lock was lost, and the message comes (or has come) again."""
        if not self.queue(received.queue).settle(received.lock):
            return False
        self._forget(received.lock.sequence)
        self._deleted.append(received.lock.sequence)
        self._flush_soon()
        return True

    def abandon(self, received: Received, *, reason: str = "", counted: bool = True) -> bool:
        """Give it back at once; after the last delivery it goes to the dead-letter queue instead.

        counted: false for one that nobody has looked at (the file counts it: that shows after a restart alone)."""
        working = self.queue(received.queue)
        if counted and working.exhausted(received.lock):
            return self.dead_letter(received, "MaxDeliveryCountExceeded", reason)
        if not working.abandon(received.lock, counted=counted):
            return False
        self.call(received.queue)
        return True

    def dead_letter(self, received: Received, reason: str, description: str) -> bool:
        """Move it to `<queue>/$deadletterqueue`. False: the lock was lost."""
        if not self.queue(received.queue).settle(received.lock):
            return False
        self._bury(received.queue, received.lock, reason, description)
        return True

    def renew(self, received: Received) -> bool:
        """Keep it for another lock's length."""
        return self.queue(received.queue).renew(received.lock, self._lanes.clock())

    def tick(self) -> None:
        """Take back lapsed locks, bring out due messages, and `look`."""
        now = self._lanes.clock()
        for name, working in list(self._queues.items()):
            dead, freed = working.expire(now)
            for lock in dead:
                self._bury(name, lock, "MaxDeliveryCountExceeded", "its lock lapsed on the last delivery")
            if freed:
                self.call(name)
        if self._scheduled and self._scheduled[0][0] <= now and self._activating is None:
            self._activating = asyncio.get_running_loop().create_task(self._activate(now))
        self.look()

    def look(self) -> None:
        """Notice what other processes have sent."""
        version = self._reader.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._read_on()
            self._data_version = version  # only now: a read that fails is tried again by the next tick

    async def close(self) -> None:
        """Hand the last notes to the writer; they are written when the lanes close."""
        self._flush()
        if pending := [*self._burials, *([self._activating] if self._activating else [])]:
            await asyncio.wait(pending)
        self._reader.close()

    def _arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Take over what this process sent, in the file's order; after a gap the file itself is read."""
        if not arrivals or arrivals[-1].sequence <= self._read_through:
            return
        if asyncio.get_running_loop() is not self._loop:
            return  # sent from a thread's own loop: the next tick reads it from the file
        if arrivals[0].sequence != self._read_through + 1:
            self._read_on()  # another process, or a sender that was cancelled, wrote in between
            return
        for arrival in arrivals:
            message = arrival.message
            self._keep(arrival)
            self._add(arrival.sequence, message.queue, message.session_id, 0, message.visible_at)
        self._read_through = arrivals[-1].sequence
        for queue in {arrival.message.queue for arrival in arrivals}:
            self.call(queue)

    def _read_on(self) -> None:
        queues = set()
        for sequence, queue, session, count, visible_at in self._reader.execute(_ARRIVED, (self._read_through,)):
            self._add(sequence, queue, session, count, visible_at)
            self._read_through = sequence
            queues.add(queue)
        for queue in queues:
            self.call(queue)

    def _add(self, sequence: int, queue: str, session: str, count: int, visible_at: float) -> None:
        if visible_at > self._lanes.clock():
            heapq.heappush(self._scheduled, (visible_at, sequence))
            return
        self.queue(queue).add(sequence, session, count)

    async def _activate(self, now: float) -> None:
        """Due messages go to the end of their queue under new sequence numbers, as Service Bus has it."""
        due: list[tuple[float, int]] = []
        while self._scheduled and self._scheduled[0][0] <= now and len(due) < 500:
            due.append(heapq.heappop(self._scheduled))

        def move(connection: sqlite3.Connection) -> None:
            for _, sequence in due:
                connection.execute(_AGAIN, (now, sequence))
                connection.execute(_DELETE, (sequence,))

        try:
            await self._lanes.submit(move)
            self._read_on()
        except RetryableError:
            logger.exception("%d due messages could not be brought out; the next tick tries again", len(due))
            for entry in due:
                heapq.heappush(self._scheduled, entry)
        finally:
            self._activating = None

    def _bury(self, queue: str, lock: Lock, reason: str, description: str) -> None:
        task = asyncio.get_running_loop().create_task(self._bury_durably(queue, lock, reason, description[:4096]))
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    async def _bury_durably(self, queue: str, lock: Lock, reason: str, description: str) -> None:
        """Into the file first, then to whoever works the dead-letter queue; when that fails, back to where it was."""
        grave = queue if queue.endswith(DEAD_LETTER_SUFFIX) else queue + DEAD_LETTER_SUFFIX
        row = (grave, lock.delivery_count, reason, description, lock.sequence)
        try:
            await self._lanes.submit(lambda connection: connection.execute(_BURY, row) and None)
        except RetryableError:
            logger.exception("a message of %s could not be dead-lettered: it is delivered again", queue)
            grave = queue
        self._forget(lock.sequence)
        self.queue(grave).add(lock.sequence, lock.session, lock.delivery_count)
        self.call(grave)

    def call(self, queue: str) -> None:
        """Tell whoever works the queue that something may be received."""
        for wake in self._wake.get(queue, ()):
            wake()

    def _keep(self, arrival: Arrival) -> None:
        size = len(arrival.message.body) + len(arrival.message.properties)
        if not arrival.message.visible_at and self._kept_bytes + size <= KEPT_BODY_BYTES:
            self._kept[arrival.sequence] = arrival
            self._kept_bytes += size

    def _forget(self, sequence: int) -> None:
        if (kept := self._kept.pop(sequence, None)) is not None:
            self._kept_bytes -= len(kept.message.body) + len(kept.message.properties)

    def _read(self, queue: str, lock: Lock) -> Received | None:
        if (kept := self._kept.get(lock.sequence)) is not None:
            return Received(queue, lock, kept.message, kept.enqueued_at)
        row = self._reader.execute(_READ, (lock.sequence,)).fetchone()
        return None if row is None else Received(queue, lock, NewMessage(*row[:8]), *row[8:])

    def _flush_soon(self) -> None:
        """One write for everything noted in this turn of the loop: "complete n" and "lock n + 1" share it."""
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if not (self._deleted or self._counted):
            return
        counted, deleted, self._counted, self._deleted = self._counted, self._deleted, [], []

        def write(connection: sqlite3.Connection) -> None:
            if counted:
                connection.execute(_COUNT_ALL, (json.dumps(counted),))
            if deleted:
                connection.execute(_DELETE_ALL, (json.dumps(deleted),))

        if counted and min(counted) <= self._found_through:
            # It may be what killed the process before. A rider could wait too long to outlive it once more.
            written = asyncio.ensure_future(self._lanes.submit(write))
            written.add_done_callback(_log_lost)
        else:
            self._lanes.post(write)


def _log_lost(written: asyncio.Future[None]) -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        logger.warning("delivery counts were not written: %s", error)
