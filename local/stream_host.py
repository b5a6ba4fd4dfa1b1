"""The process of `stream_app.py`: Microsoft's runtime with HTTP v2, driven by the local host over stdin.

As on the platform, the host sends each HTTP request to the worker's own web server, and beside it the invocation that
belongs to it, here as one JSON line on stdin: {"id", "function", "method", "url", "route", "trace"}. One line
on stdout says where that server listens and which routes there are, or {"error"}. When stdin ends the host is gone, and
so are we.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from local import log
from local.runtime import Runtime
from shared.errors import ConfigurationError, CountersignError

logger = logging.getLogger("countersign.local.stream")

GRACE_SECONDS = 5.0
"""For what was begun and is still to be stored, once the host is gone or asks for the end."""
STUCK_SECONDS = 8.0
STDIN, STDOUT, STDERR = 0, 1, 2


class StreamHost:
    """`run` serves until stdin ends, or SIGTERM."""

    def __init__(self, app_dir: Path, timeout_seconds: float, announce: IO[str]) -> None:
        self._app_dir = app_dir
        self._timeout_seconds = timeout_seconds
        self._announce = announce
        self._invoked: set[asyncio.Task[None]] = set()  # the loop itself does not keep them
        self._runtime: Runtime | None = None

    async def run(self) -> None:
        """Index the app, say so, serve; `ConfigurationError` when it cannot be served."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        _follow_stdin(loop, self._take, stopping.set)
        runtime = await Runtime.start(self._app_dir, timeout_seconds=self._timeout_seconds)
        others = [name for name, function in runtime.functions.items() if function.kind != "http"]
        if others or not runtime.web_server:
            what = f"function {others[0]} is none" if others else "it does not import the HTTP v2 extension"
            raise ConfigurationError(f"the stream app may hold streaming HTTP functions only: {what}")
        self._runtime = runtime
        self._tell(runtime)
        await stopping.wait()
        signal.raise_signal(signal.SIGTERM)  # the web server has added a handler of its own: it ends by it alone
        end = loop.time() + GRACE_SECONDS
        # The web server's own task is among them; one that ends may leave another behind, which counts as begun.
        while (left := asyncio.all_tasks() - {asyncio.current_task()}) and loop.time() < end:
            await asyncio.wait(left, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        if bootstrap := sys.modules.get("shared.bootstrap"):
            await bootstrap.shutdown()

    def _tell(self, runtime: Runtime) -> None:
        functions = [
            {"name": f.name, "route": f.binding.get("route") or f.name, "methods": f.binding.get("methods") or []}
            for f in runtime.of_kind("http")
        ]
        told = {"url": runtime.web_server, "functions": functions}
        try:
            self._announce.write(json.dumps(told) + "\n")
            self._announce.flush()
        except BrokenPipeError:
            logger.warning("the host ended before %s was up", self._app_dir)

    def _take(self, line: bytes) -> None:
        """One invocation, in the background."""
        task = asyncio.get_running_loop().create_task(self._invoke(json.loads(line)))
        self._invoked.add(task)
        task.add_done_callback(self._invoked.discard)

    async def _invoke(self, told: dict[str, object]) -> None:
        assert self._runtime is not None  # noqa: S101 the host sends nothing before it has heard of the functions
        function = self._runtime.functions[str(told.pop("function"))]
        outcome = await self._runtime.http_v2(function, str(told.pop("id")), **told)  # type: ignore[arg-type]
        if not outcome.ok:
            logger.error("function %s failed: %s", function.name, outcome.error)


def _follow_stdin(loop: asyncio.AbstractEventLoop, take: Callable[[bytes], None], ended: Callable[[], None]) -> None:
    """Lines to `take`, the end to `ended`; in a thread, so that the end is the end also when the loop is stuck."""

    def follow() -> None:
        rest = b""
        while data := os.read(STDIN, 65_536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(take, line)
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended)
        time.sleep(STUCK_SECONDS)
        os._exit(1)

    threading.Thread(target=follow, name="stdin", daemon=True).start()


def _own_stdout() -> IO[str]:
    """stdout for the one line; whatever else is printed, by the app or a library, goes to stderr."""
    announce = os.fdopen(os.dup(STDOUT), "w", encoding="utf-8")
    os.dup2(STDERR, STDOUT)
    return announce


def main() -> None:
    """Serve; exit code 1 after one line that says why not."""
    parser = argparse.ArgumentParser(prog="python -m local.stream_host", description=__doc__)
    parser.add_argument("--app-dir", type=Path, required=True)
    parser.add_argument("--timeout-seconds", type=float, required=True)
    options = parser.parse_args()
    announce = _own_stdout()
    log.set_up()
    code = 0
    try:
        asyncio.run(StreamHost(options.app_dir, options.timeout_seconds, announce).run())
    except CountersignError as error:
        announce.write(json.dumps({"error": str(error)}) + "\n")
        announce.flush()
        code = 1
    signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
    signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)  # a function in a thread that never ends holds up nobody
    if "azure_functions_runtime" in sys.modules:
        Runtime.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
