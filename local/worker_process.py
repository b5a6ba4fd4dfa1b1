"""The process that runs functions for the local host on another core; see `local/workers.py` for who does what.

It indexes the app with the same runtime, opens the same files, and talks over the socket that is its stdin:

    host    [kind, function, invocation id, fields, properties] and a message's body, or [kind, function, invocation id]
            and an event
    process ["up"] once, or ["down", why]; ["done", invocation id, ok, error] for each; ["sent"] whenever the
            lanes' file has got something that the host should look for

When the socket ends the host is gone or asks for the end: what runs is cut short (it is delivered again), what is
being written is written.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from local import log
from local.frames import Frames, Header
from local.runtime import Outcome, Runtime
from local.surroundings import settle_heap
from shared.errors import CountersignError

STDIN = 0
STUCK_SECONDS = 5.0
"""For what is being written once the host is gone or asks for the end."""


class Worker:
    """`run` serves until the host closes the connection."""

    def __init__(self, app_dir: Path, timeout_seconds: float) -> None:
        self._app_dir = app_dir
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._frames = Frames(self._take, self._ended.set)
        self._runtime: Runtime | None = None

    async def run(self) -> int:
        """The exit code."""
        self._loop.add_signal_handler(signal.SIGTERM, self._ended.set)
        await self._loop.create_connection(lambda: self._frames, sock=socket.socket(fileno=os.dup(STDIN)))
        try:
            self._runtime = await Runtime.start(self._app_dir, timeout_seconds=self._timeout_seconds)
            bootstrap = importlib.import_module("shared.bootstrap")
            bootstrap.delivery()
        except CountersignError as error:
            self._frames.send(["down", str(error)])
            self._frames.close()
            return 1
        lanes = bootstrap.lanes()
        lanes.on_send(self._sent)
        lanes.on_publish(self._sent)
        settle_heap()
        self._frames.send(["up"])
        await self._ended.wait()
        for task in self._tasks:
            task.cancel()
        await bootstrap.shutdown()
        return 0

    def _sent(self, what: object) -> None:
        if what and asyncio.get_running_loop() is self._loop:  # else from a thread's own loop: the host's tick finds it
            self._frames.send(["sent"])

    def _take(self, header: Header, body: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._invoke(header, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _invoke(self, header: Header, body: bytes) -> None:
        kind, name, invocation_id, *rest = header
        assert self._runtime is not None  # noqa: S101 the host sends nothing before it has heard "up"
        function = self._runtime.functions.get(name)
        if function is None or function.kind != kind:
            outcome = Outcome(False, None, f"function {name} is not indexed here: was the code changed?")
        elif kind == "service_bus":
            outcome = await self._runtime.service_bus(function, invocation_id, body, *rest)
        else:
            outcome = await self._runtime.event_grid(function, invocation_id, body.decode())
        error = outcome.error.encode(errors="replace").decode()
        self._frames.send(["done", invocation_id, outcome.ok, error])


def _do_not_outlive_the_host() -> None:
    """Beside the loop, which may be stuck, and so may a function in a thread."""
    end = select.poll()
    end.register(STDIN, getattr(select, "POLLRDHUP", 0))
    end.poll()
    time.sleep(STUCK_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve; the exit code says whether it was up."""
    parser = argparse.ArgumentParser(prog="python -m local.worker_process", description=__doc__)
    parser.add_argument("--app-dir", type=Path, required=True)
    parser.add_argument("--timeout-seconds", type=float, required=True)
    options = parser.parse_args()
    log.set_up()
    threading.Thread(target=_do_not_outlive_the_host, name="end", daemon=True).start()
    code = asyncio.run(serve(options.app_dir, options.timeout_seconds))
    if "azure_functions_runtime" in sys.modules:
        Runtime.stop()
    sys.exit(code)


async def serve(app_dir: Path, timeout_seconds: float) -> int:
    """On the loop that everything is made for."""
    return await Worker(app_dir, timeout_seconds).run()


if __name__ == "__main__":
    main()
