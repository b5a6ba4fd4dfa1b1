"""The writer of one SQLite file: jobs from any number of event loops share transactions, and so share disk flushes.

A *job* is a function of a connection. What is queued when the writer becomes free is one *group*: one
`BEGIN IMMEDIATE` transaction, one flush. A job must be ready to run again (a group may be replayed), must leave
transactions alone and must not change the schema; that is what migrations are for.

* When a job's result arrives, its writes survive a crash. When it raises its own error, it wrote nothing and its
  neighbours are untouched. When the file is locked, full or failing, every job of the group gets `RetryableError`,
  nothing of the group is stored, and the next group starts afresh.
* *Items* handed to one `Batch` function are handled together, a whole run of them in one call. The interpreter lock
  is given up at every SQLite step, and a busy event loop is slow to give it back: the fewer steps a group takes, the
  more of its work is done beside the loop instead of in its way.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from shared.adapters.embedded.sqlite_file import Schema
from shared.adapters.embedded.sqlite_transactions import Batch, Job, Outcome, Transactions
from shared.errors import ConflictError, RetryableError

MAX_GROUP = 256
RIDER_WAIT_SECONDS = 0.05
"""How long a posted job waits for company before it is written by itself."""

Executor = Literal["thread", "inline"]

_log = logging.getLogger(__name__)


class SqliteWriter:
    """See the module docstring. executor: "thread" owns the file in a thread of its own and groups what is queued;
    "inline" runs each job at once, in the caller, a group of its own: for a simulated event loop.

    Opening migrates the file: `ConfigurationError` when a newer program wrote it, `RetryableError` when it is locked.
    """

    def __init__(self, path: Path, schema: Schema, *, executor: Executor = "thread", busy_seconds: float = 5.0) -> None:
        self._transactions = Transactions(path, schema, busy_seconds=busy_seconds)
        self._queue: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._turns: dict[asyncio.AbstractEventLoop | None, list[Job]] = {}
        self._gate = threading.Lock()  # no job may slip in behind the one that ends the thread
        self._closed = False
        self._thread: threading.Thread | None = None
        if executor == "thread":
            # A daemon: whoever forgets to close must still be able to exit, and what was answered is on the disk.
            self._thread = threading.Thread(target=self._work, name=f"writer of {path.name}", daemon=True)
            self._thread.start()

    def submit[T](self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        """Run `work` in the next group; its result arrives once the group is on the disk."""
        return self._wait_for(None, work)

    def submit_item[Item, Result](self, batch: Batch[Item, Result], item: Item) -> Awaitable[Result]:
        """As `submit`, for one item of a batch. Pass the same function object each time."""
        return self._wait_for(batch, item)

    def post(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Let `work` ride along with the next group, or go alone shortly after. A failure is logged."""
        self._put(Job(None, work), asyncio.get_running_loop())

    def post_item[Item, Result](self, batch: Batch[Item, Result], item: Item) -> None:
        """As `post`, for one item of a batch; losing a race is no failure."""
        self._put(Job(batch, item), asyncio.get_running_loop())

    async def close(self) -> None:
        """Finish what is queued, then close the file. Later jobs get `RetryableError`."""
        with self._gate:
            first, self._closed = not self._closed, True
            if first and self._thread is not None:
                for jobs in self._turns.values():
                    self._queue.put(jobs)
                self._turns.clear()
                self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._transactions.close()

    def _wait_for(self, batch: Batch[Any, Any] | None, what: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._put(Job(batch, what, future), loop)
        return future

    def _put(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Collect what one turn of the event loop brings: the writer, once awake, fights the loop for the lock."""
        with self._gate:
            if self._closed:
                raise RetryableError("the store is closed; another instance may take over", code="store_closed")
            if self._thread is not None:
                turn = self._turns.get(loop)
                if turn is None:
                    self._turns[loop] = [job]
                    loop.call_soon(self._end_turn, loop)
                else:
                    turn.append(job)
                return
        outcome = self._transactions.run([job])[0]
        if job.future is None:
            _log_lost(outcome)
        else:
            _settle([(job.future, outcome)])

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._gate:
            jobs = self._turns.pop(loop, None)
            if jobs:  # else `close` was faster
                self._queue.put(jobs)

    def _work(self) -> None:
        last = False
        while not last:
            jobs, last = self._next_group()
            if jobs:
                _hand_back(jobs, self._transactions.run(jobs))

    def _next_group(self) -> tuple[list[Job], bool]:
        """What is queued, and whether the end was among it. Waits once for company when all are riders."""
        jobs: list[Job] = []
        turn, riders_only, waited = self._queue.get(), True, False
        while turn is not None:
            jobs += turn
            if len(jobs) >= MAX_GROUP:
                return jobs, False
            riders_only = riders_only and all(job.future is None for job in turn)
            wait = riders_only and not waited and self._queue.empty()
            waited = waited or wait
            try:
                turn = self._queue.get(timeout=RIDER_WAIT_SECONDS) if wait else self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True


def _hand_back(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.future is None:
            _log_lost(outcome)
        else:
            by_loop.setdefault(job.future.get_loop(), []).append((job.future, outcome))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, settled)
        except RuntimeError:  # that loop is closed: its jobs are done, nobody is left to hear of it
            _log.info("%d jobs finished after their event loop was closed", len(settled))


def _settle(settled: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, (result, error) in settled:
        if future.done():  # cancelled while it waited; the job itself was carried out
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _log_lost(outcome: Outcome) -> None:
    if outcome[1] is not None and not isinstance(outcome[1], ConflictError):
        _log.warning("a posted job was lost: %s", outcome[1])
