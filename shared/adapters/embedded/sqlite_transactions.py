"""Transactions on one SQLite connection: a group of jobs is stored together, and each job succeeds or fails alone.

Savepoints around every job would cost two steps each, to undo what almost never happens. So a group first runs
without; a job that fails before it has written anything fails alone (the change counter proves it); only when one
fails after it had written is the group rolled back and replayed, then with savepoints.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shared.adapters.embedded.sqlite_file import Schema, connect, is_storage_error, migrate, storage_failure
from shared.errors import CountersignError

type Batch[Item, Result] = Callable[[sqlite3.Connection, Sequence[Item]], Sequence[Result | Exception]]
"""Handles items in order; one result or error for each. It writes only after it knows which items succeed."""

LOOK_SECONDS = 0.0005
"""How soon a lock that another process has given back is noticed: a fraction of what a group takes."""

_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """`batch` None: `what` is a function of the connection; else `what` is an item. No `future`: nobody waits."""

    batch: Batch[Any, Any] | None
    what: Any
    future: asyncio.Future[Any] | None = None


type Outcome = tuple[Any, Exception | None]


class _SpoiledGroupError(Exception):
    """A job failed after it had written; only replaying the group with savepoints can tell its writes apart."""


class Transactions:
    """Runs one group after the other on a connection of its own. Not safe for two threads at once."""

    def __init__(self, path: Path, schema: Schema, *, busy_seconds: float) -> None:
        self._path = path
        self._schema = schema
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, busy_seconds=self._busy_seconds, writing=True)
        try:
            migrate(connection, self._schema, self._path)
            connection.execute("PRAGMA busy_timeout=0")  # from here on we wait ourselves, see _begin
        except CountersignError:
            connection.close()
            raise
        return connection

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome for each job. Never raises: the writer thread must survive everything."""
        try:
            if self._connection is None:  # closed after a failure: the file may be well again
                self._connection = self._open()
            try:
                return self._attempt(self._connection, jobs, savepoints=False)
            except _SpoiledGroupError:
                return self._attempt(self._connection, jobs, savepoints=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, every waiting caller must hear of it
            self._abandon()
            return [(None, self._failure(error)) for _ in jobs]

    def _attempt(self, connection: sqlite3.Connection, jobs: Sequence[Job], *, savepoints: bool) -> list[Outcome]:
        self._begin(connection)
        outcomes: list[Outcome] = []
        try:
            for batch, run in itertools.groupby(jobs, _batch_of):
                if batch is None:
                    for job in run:
                        outcomes += self._guarded(connection, None, [job], savepoints=savepoints)
                else:
                    outcomes += self._guarded(connection, batch, list(run), savepoints=savepoints)
        except _SpoiledGroupError:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return outcomes

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Wait for another process's transaction, up to `busy_seconds`. SQLite's own waiting sleeps longer from look to
        look, up to 100 ms while the file has long been free. Measured with two processes that hold it 3 ms and leave it
        3 ms: 72 to 98 transactions a second each instead of 120, the slowest percent after 50 to 100 ms, not 8."""
        until = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
            else:
                return
            time.sleep(LOOK_SECONDS)

    def _guarded(
        self, connection: sqlite3.Connection, batch: Batch[Any, Any] | None, jobs: list[Job], *, savepoints: bool
    ) -> list[Outcome]:
        """The jobs' outcomes; whoever failed has written nothing."""
        changes = connection.total_changes
        if savepoints:
            connection.execute("SAVEPOINT job")
        try:
            outcomes = _called(connection, batch, jobs)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and is_storage_error(error):
                raise
            if savepoints:
                connection.execute("ROLLBACK TO job")
            elif connection.total_changes != changes or not connection.in_transaction:
                raise _SpoiledGroupError from error
            outcomes = [(None, error) for _ in jobs]
        if savepoints:
            connection.execute("RELEASE job")
        return outcomes

    def _failure(self, error: Exception) -> Exception:
        return storage_failure(self._path, error) if isinstance(error, sqlite3.Error) else error

    def _abandon(self) -> None:
        """Undo the transaction; a connection that cannot even do that is closed, which undoes it as well."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _log.warning("%s: reopening after a failed rollback: %s", self._path.name, error)
            self.close()

    def close(self) -> None:
        """Close the file; the last one out also folds the write-ahead log into it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _batch_of(job: Job) -> Batch[Any, Any] | None:
    return job.batch


def _called(connection: sqlite3.Connection, batch: Batch[Any, Any] | None, jobs: list[Job]) -> list[Outcome]:
    if batch is None:
        return [(jobs[0].what(connection), None)]
    results = batch(connection, [job.what for job in jobs])
    if len(results) != len(jobs):
        raise RuntimeError(f"a batch of {len(jobs)} items gave {len(results)} results")
    return [(None, result) if isinstance(result, Exception) else (result, None) for result in results]
