"""The lanes' file: queues, their duplicate detection, scheduled messages, the events' topic and the timers' memory.

One SQLite file. Any process may send through its own `SqliteLanes`; one process, the local host, receives
(`lane_receiver.py`, `event_topic.py`). Sending returns after the group commit. What a receiver notes (delivery counts,
completions) is collected for one turn of the event loop and rides with the next group.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from shared.adapters.embedded.sqlite_file import connect
from shared.adapters.embedded.sqlite_writer import Executor, SqliteWriter
from shared.contracts.lanes import LANES, Lane

# A sequence number is never used twice (AUTOINCREMENT): receivers remember how far they have read.
# visible_at: 0 for now, else seconds since the epoch. event_delivery.next_at below 0: this subscriber has it.
SCHEMA = """
CREATE TABLE message (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, session_id TEXT NOT NULL,
  delivery_count INTEGER NOT NULL DEFAULT 0, visible_at REAL NOT NULL DEFAULT 0, enqueued_at REAL NOT NULL,
  message_id TEXT NOT NULL, correlation_id TEXT NOT NULL, subject TEXT NOT NULL, properties TEXT NOT NULL,
  dead_reason TEXT NOT NULL DEFAULT '', dead_description TEXT NOT NULL DEFAULT '', body BLOB NOT NULL);
CREATE TABLE seen (key TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event (sequence INTEGER PRIMARY KEY AUTOINCREMENT, taken_at REAL NOT NULL, body TEXT NOT NULL);
CREATE TABLE event_delivery (
  sequence INTEGER NOT NULL, subscriber TEXT NOT NULL, attempts INTEGER NOT NULL, next_at REAL NOT NULL,
  PRIMARY KEY (sequence, subscriber)) WITHOUT ROWID;
CREATE TABLE timer (
  name TEXT PRIMARY KEY, schedule TEXT NOT NULL, due_at REAL NOT NULL, last_at REAL NOT NULL) WITHOUT ROWID;
"""

_ROWS_PER_STEP = (32, 8, 1)
_INSERT = (
    "INSERT INTO message (sequence, queue, session_id, visible_at, enqueued_at, message_id, correlation_id, subject,"
    " properties, body) VALUES (?,?,?,?,?,?,?,?,?,?)"
)
_KNOWN = "SELECT key FROM seen WHERE key IN (SELECT value FROM json_each(?)) AND until > ?"
_REMEMBER = "INSERT OR REPLACE INTO seen (key, until) SELECT value, ? FROM json_each(?)"
_SWEEP_SECONDS = 2
_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


class NewMessage(NamedTuple):
    """What is written of a sent message. `visible_at` 0: at once. `properties`: JSON text, "" for none."""

    queue: str
    session_id: str
    visible_at: float
    message_id: str
    correlation_id: str
    subject: str
    properties: str
    body: bytes


class Arrival(NamedTuple):
    """A committed message, as it is announced inside this process."""

    sequence: int
    enqueued_at: float
    message: NewMessage


class _Keyed(NamedTuple):
    message: NewMessage
    key: str
    window: int


type _Sending = tuple[float, Sequence[_Keyed]]


class SqliteLanes:
    """Open for sending at once. `lanes` is the closed list of queues; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        path: Path,
        *,
        lanes: Mapping[str, Lane] = LANES,
        clock: Callable[[], float] = time.time,
        executor: Executor = "thread",
    ) -> None:
        self.path = path
        self.lanes = lanes
        self.clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = SqliteWriter(path, SCHEMA, executor=executor)
        self._batch = _Batch()
        self._on_message: list[Callable[[Sequence[Arrival]], None]] = []
        self._on_event: list[Callable[[Sequence[tuple[int, str]]], None]] = []

    def on_send(self, callback: Callable[[Sequence[Arrival]], None]) -> None:
        """Call back, on the event loop, with what this process has sent, once it is durable."""
        self._on_message.append(callback)

    def on_publish(self, callback: Callable[[Sequence[tuple[int, str]]], None]) -> None:
        """Call back with (sequence, JSON) of the events this process has published, once they are durable."""
        self._on_event.append(callback)

    async def send(self, messages: Sequence[NewMessage]) -> list[Arrival]:
        """Durable on return; repeats within a lane's window are dropped. All in one transaction. What was written."""
        keyed = [_Keyed(message, _key_of(message), self._window(message.queue)) for message in messages]
        arrivals = await self._writer.submit_item(self._batch, (self.clock(), keyed))
        for callback in self._on_message:
            callback(arrivals)
        return arrivals

    async def publish(self, events: Sequence[str]) -> None:
        """Take over events (JSON texts); durable on return. All in one transaction."""
        now = self.clock()

        def insert(connection: sqlite3.Connection) -> list[tuple[int, str]]:
            sql = "INSERT INTO event (taken_at, body) VALUES (?,?)"
            return [(connection.execute(sql, (now, event)).lastrowid or 0, event) for event in events]

        taken = await self._writer.submit(insert)
        for callback in self._on_event:
            callback(taken)

    def reader(self) -> sqlite3.Connection:
        """A connection that only reads, for a receiver on the event loop: point reads from a local file."""
        connection = connect(self.path, busy_seconds=1, writing=False)
        connection.execute("PRAGMA cache_size = -2000")
        return connection

    def submit[T](self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        """Run `work` in the next group; durable when awaited."""
        return self._writer.submit(work)

    def post(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Let `work` ride with the next group; nobody waits for it."""
        self._writer.post(work)

    async def ping(self) -> None:
        """Prove that a commit could be made."""
        await self._writer.submit(_touch)

    async def close(self) -> None:
        """Write what was posted, then close the file."""
        await self._writer.close()

    def _window(self, queue: str) -> int:
        lane = self.lanes.get(queue)
        return lane.duplicate_window_seconds if lane else 0


def _key_of(message: NewMessage) -> str:
    """22 characters instead of two names: more ids to a page, and a shared page is a page less to sync."""
    digest = hashlib.blake2b(f"{message.queue}\0{message.message_id}".encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest)[:22].decode()


def _touch(connection: sqlite3.Connection) -> None:
    """A row of no meaning, really written: a full disk shows only then."""
    connection.execute("INSERT OR REPLACE INTO timer (name, schedule, due_at, last_at) VALUES ('', '', 0, 0)")


class _Batch:
    """A whole group's messages in a few SQLite steps (see `sqlite_writer`: each step hands the interpreter over)."""

    def __init__(self) -> None:
        self._swept = ""

    def __call__(self, connection: sqlite3.Connection, sendings: Sequence[_Sending]) -> list[list[Arrival]]:
        now = sendings[-1][0]
        known = _known(connection, sendings, now)
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
        sequence = last[0] if last else 0
        rows: list[tuple[object, ...]] = []
        fresh: dict[int, list[str]] = {}
        results = []
        for at, sending in sendings:
            arrivals = []
            for message, key, window in sending:
                if window:
                    if key in known:
                        continue
                    known.add(key)
                    fresh.setdefault(window, []).append(key)
                sequence += 1
                rows.append((sequence, *message[:3], at, *message[3:]))
                arrivals.append(Arrival(sequence, at, message))
            results.append(arrivals)
        _write(connection, rows)
        for window, keys in fresh.items():
            connection.execute(_REMEMBER, (int(now) + window, json.dumps(keys)))
        self._sweep(connection, now)
        return results

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Forget ids whose window is over, a 64th of the key space every few seconds: no second index to keep up."""
        first = _ALPHABET[int(now) // _SWEEP_SECONDS % len(_ALPHABET)]
        if first != self._swept:
            self._swept = first
            span = (first, first + "~", int(now))
            connection.execute("DELETE FROM seen WHERE key >= ? AND key < ? AND until <= ?", span)


def _known(connection: sqlite3.Connection, sendings: Sequence[_Sending], now: float) -> set[str]:
    asked = [key for _, sending in sendings for _, key, window in sending if window]
    if not asked:
        return set()
    return {key for (key,) in connection.execute(_KNOWN, (json.dumps(asked), int(now)))}


def _write(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    start = 0
    for size in _ROWS_PER_STEP:
        statement = _INSERT + ",(?,?,?,?,?,?,?,?,?,?)" * (size - 1)
        while len(rows) - start >= size:
            connection.execute(statement, [value for row in rows[start : start + size] for value in row])
            start += size
