"""The child process that holds the second app: started, watched, started again when it ends, stopped.

Microsoft's runtime hosts one app per process, so `stream_app.py` has a process of its own (`local/stream_host.py`).
It starts beside the host, which is up before it; whoever needs it waits, within bounds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, NamedTuple

from local.routes import Router
from local.surroundings import child_environment, restart_pause

logger = logging.getLogger("countersign.local.stream")

SCRIPT = "stream_app.py"
START_SECONDS = 30.0
STOP_SECONDS = 7.0
PATIENCE_SECONDS = 15.0
"""How long a request waits for a child that is starting."""
SHORT_PAUSE_SECONDS = 1.0
"""A pause that a request waits out, too."""
SETTLED_SECONDS = 60.0
"""A child that lived as long has shown that it can: its end is a first failure again."""
_LONGEST_LINE = 1_048_576


class Up(NamedTuple):
    """A child that serves: where its web server listens."""

    host: str
    port: int
    process: Process

    def invoke(self, told: dict[str, Any]) -> None:
        """Send an invocation (shape: `local/stream_host.py`). Whoever waits for the answer notices a child's end."""
        if self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(json.dumps(told).encode() + b"\n")


class Down(NamedTuple):
    """No child, why, and when to ask again."""

    reason: str
    again_seconds: int


class StreamChild:
    """`start`, then `now` whenever it is needed, and `stop`. routes: what it has served, None before it ever was up."""

    def __init__(self, app_dir: Path, *, route_prefix: str, timeout_seconds: float) -> None:
        self.app_dir = app_dir
        self.route_prefix = route_prefix
        self.routes: Router | None = None
        self.starts = 0
        self._timeout_seconds = timeout_seconds
        self._failures = 0
        self._watcher: asyncio.Task[None] | None = None
        self._state: asyncio.Future[Up | Down] | None = None

    def start(self) -> None:
        """In the background."""
        self._state = asyncio.get_running_loop().create_future()
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Let it end what it has begun, within its grace; then insist."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    async def now(self) -> Up | Down:
        """The child as soon as it serves, or why it does not."""
        state = self._state
        if state is None or not (await asyncio.wait([state], timeout=PATIENCE_SECONDS))[0]:
            return Down("it is still starting", 2)
        return state.result()

    async def next_after(self, gone: Up) -> Up | Down:
        """For who found that a child takes no connection: it may have ended before anybody noticed."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await gone.process.wait()
        except TimeoutError:
            return Down("it takes no connection", 1)
        await asyncio.sleep(0)  # the watcher has been told in the same moment
        return await self.now()

    def status(self) -> str:
        """`starting`, `running`, or why it is down."""
        if self._state is None or not self._state.done():
            return "starting"
        state = self._state.result()
        return "running" if isinstance(state, Up) else state.reason

    def health(self) -> str:
        """`ok`, or why it does not serve (yet)."""
        status = self.status()
        return "ok" if status == "running" else status

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            was_up, reason = await self._live()
            self._failures = 1 if time.monotonic() - began > SETTLED_SECONDS else self._failures + 1
            pause = restart_pause(self._failures)
            logger.error("%s: %s; it is started again in %g s", SCRIPT, reason, pause)
            if not was_up or pause > SHORT_PAUSE_SECONDS:
                self._settle(Down(reason, math.ceil(pause)))
            await asyncio.sleep(pause)

    async def _live(self) -> tuple[bool, str]:
        """One life of the child: whether it ever served, and how it ended."""
        self.starts += 1
        process = await self._spawn()
        was_up = False
        try:
            up = await self._told(process)
            if isinstance(up, str):
                return False, up
            was_up = True
            self._settle(up)
            code = await process.wait()
            self._state = asyncio.get_running_loop().create_future()  # who asks from now on waits for the next life
        finally:
            await _ended(process, at_once=not was_up)
        return was_up, f"it ended with exit code {code}"

    async def _spawn(self) -> Process:
        seconds = str(self._timeout_seconds)
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "local.stream_host", "--app-dir", str(self.app_dir), "--timeout-seconds", seconds,
            env={**child_environment(), "PYTHON_SCRIPT_FILE_NAME": SCRIPT},
            stdin=PIPE,  # it closes when we end, however that is: the child must not outlive us
            stdout=PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, after a clean stop
        )  # fmt: skip

    async def _told(self, process: Process) -> Up | str:
        """The one line of a child: up, or why not."""
        assert process.stdout is not None  # noqa: S101 a pipe, see _spawn
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
            told = json.loads(line)
        except TimeoutError:
            return f"it did not start within {START_SECONDS:g} s"
        except ValueError:
            return "it ended before it was up; the log says why"
        if "error" in told:
            return str(told["error"])
        routes = [(one["name"], one["route"], one["methods"]) for one in told["functions"]]
        self.routes = Router(routes, prefix=self.route_prefix)
        host, _, port = told["url"].rpartition("/")[2].partition(":")
        return Up(host, int(port), process)

    def _settle(self, state: Up | Down) -> None:
        if self._state is None or self._state.done():
            self._state = asyncio.get_running_loop().create_future()
        self._state.set_result(state)


async def _ended(process: Process, *, at_once: bool) -> None:
    """Close its stdin, which asks it to end, and in the end insist. at_once: it has begun nothing worth a wait."""
    if at_once and process.returncode is None:
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
