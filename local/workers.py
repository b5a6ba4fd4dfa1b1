"""Worker processes: the lanes' and the topic's invocations on more than one core, as the platform's host does it.

`FUNCTIONS_WORKER_PROCESS_COUNT` processes run the functions. This one is the first of them; it alone receives from the
lanes, holds the locks, fires timers and serves HTTP. The others (`local/worker_process.py`) index the same app and are
sent invocations; what they commit, send and publish goes to the shared files directly. An invocation goes to the
process with the fewest running, to this one when it is no busier than they: a lone message pays for no detour.

A worker process that ends fails what it was running, so those messages are delivered again, here or by its successor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from local.frames import Frames, Header
from local.runtime import Function, Outcome
from local.surroundings import child_environment, restart_pause
from shared.errors import ConfigurationError

logger = logging.getLogger("countersign.local.workers")

STDERR = 2
START_SECONDS = 30.0
STOP_SECONDS = 7.0
LATE_SECONDS = 5.0
"""How much longer than `functionTimeout`, which the process itself watches over, until it is taken to be stuck."""
SETTLED_SECONDS = 60.0
"""A process that lived as long has shown that it can: its end is a first failure again."""


class Invoker(Protocol):
    """What delivers messages and events to functions: `Runtime` in this process, `Workers` over several."""

    def of_kind(self, kind: str) -> list[Function]:
        """As `Runtime.of_kind`."""

    async def service_bus(
        self, function: Function, invocation_id: str, body: bytes, fields: Mapping[str, str | int], properties: str
    ) -> Outcome:
        """As `Runtime.service_bus`."""

    async def event_grid(self, function: Function, invocation_id: str, event_json: str) -> Outcome:
        """As `Runtime.event_grid`."""


class _Running(NamedTuple):
    began: float
    outcome: asyncio.Future[Outcome]


class WorkerProcess:
    """One more process: `start`, then `invoke` while it is `up`; it is started again whenever it ends."""

    def __init__(self, number: int, app_dir: Path, timeout_seconds: float, on_sent: Callable[[], None]) -> None:
        self.running: dict[str, _Running] = {}
        self.up = False
        self.process: Process | None = None
        self._name = f"worker process {number}"
        self._app_dir = app_dir
        self._timeout_seconds = timeout_seconds
        self._on_sent = on_sent
        self._frames: Frames | None = None
        self._told: asyncio.Future[str] | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Until it is up; `ConfigurationError` with its own words when it cannot be."""
        if reason := await self._begin():
            await self._end(at_once=True)
            raise ConfigurationError(f"{self._name} did not start: {reason}")
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Let it write what it has begun to write, and insist in the end."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await self._end(at_once=False)

    async def invoke(self, header: Header, body: bytes) -> Outcome:
        """header: [kind, function, invocation id, ...], as `local/worker_process.py` reads it."""
        assert self._frames is not None  # noqa: S101 it is up
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.running[header[2]] = _Running(time.monotonic(), outcome)
        self._frames.send(header, body)
        try:
            return await outcome
        finally:
            self.running.pop(header[2], None)

    def tick(self) -> None:
        """A process that does not even answer that something took too long is ended, and with it what it runs."""
        oldest = next(iter(self.running.values()), None)
        late = oldest is not None and time.monotonic() - oldest.began > self._timeout_seconds + LATE_SECONDS
        if late and self.process is not None and self.process.returncode is None:
            logger.error("%s does not answer: it is ended", self._name)
            self.process.kill()

    async def _watch(self) -> None:
        failures = 0
        while True:
            assert self.process is not None  # noqa: S101 begun before
            began = time.monotonic()
            code = await self.process.wait()
            await self._end(at_once=True)
            failures = 1 if time.monotonic() - began > SETTLED_SECONDS else failures + 1
            reason: str = f"it ended with exit code {code}"
            while reason:
                pause = restart_pause(failures)
                logger.error("%s: %s; it is started again in %g s", self._name, reason, pause)
                await asyncio.sleep(pause)
                if reason := await self._begin():
                    failures += 1
                    await self._end(at_once=True)

    async def _begin(self) -> str:
        """Start it and wait for its first words: "" when it is up, else why it is not."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        told: asyncio.Future[str] = loop.create_future()
        self._told = told
        with theirs:
            arguments = ("--app-dir", str(self._app_dir), "--timeout-seconds", str(self._timeout_seconds))
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "local.worker_process", *arguments,
                env=child_environment(),
                stdin=theirs.fileno(),  # it ends when we end, however that is: the process must not outlive us
                stdout=STDERR,
                start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, after a clean stop
            )  # fmt: skip
        frames = self._frames = Frames(self._take, lambda: self._lost(frames))
        await loop.create_connection(lambda: frames, sock=ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                reason = await told
        except TimeoutError:
            reason = f"it was not up within {START_SECONDS:g} s"
        self.up = not reason
        return reason

    def _take(self, header: Header, body: bytes) -> None:
        del body
        match header:
            case ["done", str(invocation_id), bool(ok), str(error)]:
                running = self.running.get(invocation_id)
                if running is not None and not running.outcome.done():
                    running.outcome.set_result(Outcome(ok, None, error))
            case ["sent"]:
                self._on_sent()
            case ["up"]:
                self._tell("")
            case ["down", str(reason)]:
                self._tell(reason)

    def _lost(self, frames: Frames) -> None:
        if frames is not self._frames:
            return  # of an earlier life
        self.up = False
        self._tell("it ended before it was up; the log says why")
        for running in self.running.values():
            if not running.outcome.done():
                running.outcome.set_result(Outcome(False, None, f"{self._name} ended"))

    def _tell(self, reason: str) -> None:
        if self._told is not None and not self._told.done():
            self._told.set_result(reason)

    async def _end(self, *, at_once: bool) -> None:
        """Close the connection, which asks it to end, and insist in the end."""
        process, frames, self.up = self.process, self._frames, False
        if frames is not None:
            frames.close()
        if process is None or process.returncode is not None:
            return
        if at_once:
            process.kill()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class Workers:
    """An `Invoker` over `runtime`, in this process, and over `count - 1` more. on_sent: one of those has sent or
    published something, which this process finds in the lanes' file."""

    def __init__(self, runtime: Invoker, count: int, *, app_dir: Path, on_sent: Callable[[], None]) -> None:
        self.processes: list[WorkerProcess] = []
        self._runtime = runtime
        self._more = count - 1
        self._app_dir = app_dir
        self._on_sent = on_sent
        self._here = 0

    async def start(self, *, timeout_seconds: float) -> None:
        """All of them, side by side; `ConfigurationError` when one cannot be started."""
        numbers = range(2, self._more + 2)
        self.processes = [WorkerProcess(n, self._app_dir, timeout_seconds, self._on_sent) for n in numbers]
        async with asyncio.TaskGroup() as group:
            starts = [group.create_task(_started(one)) for one in self.processes]
        if failed := [error for start in starts if (error := start.result()) is not None]:
            raise failed[0]

    async def stop(self) -> None:
        """When nothing is invoked any more."""
        if self.processes:
            await asyncio.gather(*(one.stop() for one in self.processes))

    def tick(self) -> None:
        """Called about ten times a second."""
        for one in self.processes:
            one.tick()

    def of_kind(self, kind: str) -> list[Function]:
        """The same functions everywhere."""
        return self._runtime.of_kind(kind)

    async def service_bus(
        self, function: Function, invocation_id: str, body: bytes, fields: Mapping[str, str | int], properties: str
    ) -> Outcome:
        """As `Runtime.service_bus`."""
        if (idlest := self._idlest()) is not None:
            return await idlest.invoke([function.kind, function.name, invocation_id, fields, properties], body)
        self._here += 1
        try:
            return await self._runtime.service_bus(function, invocation_id, body, fields, properties)
        finally:
            self._here -= 1

    async def event_grid(self, function: Function, invocation_id: str, event_json: str) -> Outcome:
        """As `Runtime.event_grid`."""
        if (idlest := self._idlest()) is not None:
            return await idlest.invoke([function.kind, function.name, invocation_id], event_json.encode())
        self._here += 1
        try:
            return await self._runtime.event_grid(function, invocation_id, event_json)
        finally:
            self._here -= 1

    def _idlest(self) -> WorkerProcess | None:
        """None: this process."""
        best, fewest = None, self._here
        for one in self.processes:
            if one.up and len(one.running) < fewest:
                best, fewest = one, len(one.running)
        return best


async def _started(one: WorkerProcess) -> ConfigurationError | None:
    """Not raised: the others are started or refused first, so that none is left half begun."""
    try:
        await one.start()
    except ConfigurationError as refused:
        return refused
    return None
