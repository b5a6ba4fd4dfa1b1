"""Timer functions: six-field NCRONTAB in UTC, the next occurrence kept in the lanes' file.

An occurrence missed while the host was down is fired once, at start, with `past_due`. An occurrence that falls into a
run of the same function is skipped, as on the platform. A failure is logged and not retried. When the clock is set
back, the next occurrence is counted anew: it may come a second time, but nothing waits for the old time to return.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from local.runtime import Function, Runtime, new_invocation_id
from shared.adapters.embedded.lanes import SqliteLanes
from shared.errors import ConfigurationError, RetryableError

logger = logging.getLogger("countersign.local.timers")

SET_BACK_SECONDS = 60.0
"""A clock corrected by less only delays: what has just been fired must not come again for it."""

_SAVE = "INSERT OR REPLACE INTO timer (name, schedule, due_at, last_at) VALUES (?,?,?,?)"


def following(schedule: str, after: float) -> float:
    """The first occurrence after `after` (seconds since the epoch, UTC). Pure."""
    return float(next(CronSim(schedule, datetime.fromtimestamp(after, UTC))).timestamp())


def check(name: str, schedule: str) -> None:
    """Refuse what this host, or the platform, would read differently."""
    fields = schedule.split()
    if len(fields) != 6:
        raise ConfigurationError(f"function {name}: {schedule!r} is no NCRONTAB schedule of six fields, seconds first")
    if fields[3] != "*" and fields[5] != "*":
        raise ConfigurationError(f"function {name}: {schedule!r} names a day of the month and of the week; name one")
    try:
        following(schedule, 0.0)
    except (CronSimError, StopIteration) as error:
        raise ConfigurationError(f"function {name}: {schedule!r} never fires ({error})") from error


class _Timer:
    def __init__(self, function: Function, due_at: float, last_at: float) -> None:
        self.function = function
        self.schedule = str(function.binding["schedule"])
        self.due_at = due_at
        self.last_at = last_at
        self.past_due = False
        self.running = asyncio.Lock()

    def not_later(self, now: float) -> None:
        """An occurrence further away than the next one was counted by a clock that has been set back."""
        if self.due_at > following(self.schedule, now + SET_BACK_SECONDS):
            logger.warning("the clock was set back: %s is counted anew", self.function.name)
            self.due_at = following(self.schedule, now)


class Timers:
    """All timer functions of the app. `tick` fires what is due; `fire` fires one now."""

    def __init__(self, *, runtime: Runtime, lanes: SqliteLanes, clock: Callable[[], float] = time.time) -> None:
        self._runtime = runtime
        self._lanes = lanes
        self._clock = clock
        self._latest = 0.0
        self._timers: dict[str, _Timer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for function in runtime.of_kind("timer"):
            check(function.name, str(function.binding["schedule"]))

    async def start(self) -> None:
        """Find out what was missed, and keep the next occurrences."""
        reader = self._lanes.reader()
        saved = {name: rest for name, *rest in reader.execute("SELECT name, schedule, due_at, last_at FROM timer")}
        reader.close()
        now = self._latest = self._clock()
        for function in self._runtime.of_kind("timer"):
            schedule, due_at, last_at = saved.get(function.name, ("", 0.0, 0.0))
            timer = self._timers[function.name] = _Timer(function, due_at, last_at)
            if schedule != timer.schedule:
                timer.due_at = following(timer.schedule, now)
            timer.not_later(now)
            timer.past_due = timer.due_at <= now
            if function.binding.get("runOnStartup") is True:
                timer.due_at = now
            await self._save(timer)

    def tick(self) -> None:
        """Called about ten times a second."""
        now = self._clock()
        if now < self._latest:
            for timer in self._timers.values():
                timer.not_later(now)
        self._latest = now
        for timer in self._timers.values():
            if timer.due_at <= now and not timer.running.locked():
                timer.due_at = following(timer.schedule, now)  # until the run has ended; then it is counted anew
                self._begin(timer)

    def fire(self, name: str) -> None:
        """Fire one now, after the run that may be going on."""
        self._begin(self._timers[name])

    async def stop(self) -> None:
        """Returns when what is running has ended."""
        self._timers.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cut short what runs; its occurrence is fired again, past due, after the next start."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, timer: _Timer) -> None:
        task = asyncio.get_running_loop().create_task(self._run(timer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, timer: _Timer) -> None:
        async with timer.running:
            status = {
                "IsPastDue": timer.past_due,
                "ScheduleStatus": {
                    "Last": _iso(timer.last_at),
                    "Next": _iso(following(timer.schedule, self._clock())),
                    "LastUpdated": _iso(timer.last_at),
                },
                "Schedule": {"AdjustForDST": True},
            }
            timer.past_due, timer.last_at = False, self._clock()
            outcome = await self._runtime.timer(timer.function, new_invocation_id(), json.dumps(status))
            if not outcome.ok:
                logger.error("timer function %s failed: %s", timer.function.name, outcome.error)
            # Only now: a crash during the run leaves the occurrence due, and it is fired again.
            timer.due_at = following(timer.schedule, self._clock())
            await self._save(timer)

    async def _save(self, timer: _Timer) -> None:
        row = (timer.function.name, timer.schedule, timer.due_at, timer.last_at)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_SAVE, row)

        try:
            await self._lanes.submit(write)
        except RetryableError:
            logger.exception("the next occurrence of %s could not be kept", timer.function.name)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
