"""The host that chaos kills, the clients that upload to it, and the questions asked of it afterwards."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.chaos_plan import Upload
from local.child_host import SERVE, own_environment
from local.job import JobFailedError

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 30.0
CALL_SECONDS = 60.0
ANYBODY = "chaos; roles=member,auditor,operator"
HURRIED = """
import shared.delivery.outbox
shared.delivery.outbox.GRACE_SECONDS = 2
from local.__main__ import main
main()
"""
"""What a killed invocation has not sent waits 20 seconds for the timer; where there is no time for that, 2."""

running: set[subprocess.Popen[str]] = set()
"""Whoever starts a process notes it here."""


def end_all() -> None:
    """Nothing of ours may outlive us."""
    for process in list(running):
        process.kill()


class Victim:
    """A local host in a process of its own. `url` is empty while it is down. settings: its environment, beside ours."""

    def __init__(self, folder: Path, *, hurried: bool, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._command = [sys.executable, "-c", HURRIED, *SERVE[3:]] if hurried else [*SERVE]
        self._settings = settings or {}
        self.url = ""
        self._starts = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, *, stillborn_seconds: float = 0.0) -> None:
        """Until it listens; `JobFailedError` when it does not. stillborn_seconds: before it one is killed so young."""
        if stillborn_seconds:
            self._launch()
            time.sleep(stillborn_seconds)
            self.kill()
        process = self._launch()
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        line = process.stdout.readline()
        watchdog.cancel()
        try:
            self.url = str(json.loads(line)["url"])
        except (ValueError, KeyError, TypeError):
            raise JobFailedError(f"the host did not start again: see {self.folder}/host-{self._starts}.log") from None

    def _launch(self) -> subprocess.Popen[str]:
        self._starts += 1
        with (self.folder / f"host-{self._starts}.log").open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                [*self._command, "--data", str(self.folder / "data")],
                cwd=ROOT,
                env={**own_environment(), "AUTH_MODE": "dev", "PYTHONUNBUFFERED": "1", **self._settings},
                stdin=subprocess.PIPE,  # it closes when we end, however that is: the host must not outlive us
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        running.add(self._process)
        return self._process

    def kill(self, *, outlived: bool = False) -> None:
        """kill -9: nothing in the processes hears of it. outlived: its second app ends by itself, a moment later."""
        children = _children_of(self._process) if self._process is not None and not outlived else []
        self._end(signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process, self.url = self._process, ""
        if process is None or process.poll() is not None:
            return process.returncode if process else 0
        process.send_signal(number)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        running.discard(process)
        return code


def _children_of(process: subprocess.Popen[str]) -> list[int]:
    """Process ids, where the system tells them."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(one) for one in listed.read_text().split()] if listed.exists() else []


def call(
    url: str, method: str, path: str, body: Any = None, *, tenant: str, key: str = "", who: str = ANYBODY
) -> tuple[int, Any]:
    """One request on a connection of its own: (status, JSON). `OSError` or `HTTPException` when nobody answers.

    who: "name; roles=role,role".
    """
    status, content = exchange(url, method, path, body, tenant=tenant, key=key, who=who)
    return status, json.loads(content) if content else None


def exchange(url: str, method: str, path: str, body: Any, *, tenant: str, key: str, who: str) -> tuple[int, bytes]:
    """The same, whatever the content is."""
    headers = {"X-Dev-Caller": f"{who}; tenants={tenant}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=CALL_SECONDS)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


class Client(threading.Thread):
    """Uploads until it has its 202, with the same key each time, as a careful client does."""

    def __init__(self, upload: Upload, address: Callable[[], str], until: float) -> None:
        super().__init__(daemon=True)
        self.upload = upload
        self.answers: list[int] = []
        self.answer: dict[str, Any] = {}
        self.repeats = 0
        self._address = address
        self._until = until

    def run(self) -> None:
        body = {"transactions": list(self.upload.rows)}
        while time.monotonic() < self._until and not self.answer:
            url = self._address()
            if url:
                self._try(url, body)
            if not self.answer:
                time.sleep(0.1)

    def _try(self, url: str, body: dict[str, Any]) -> None:
        try:
            status, told = call(
                url, "POST", "/api/v1/transactions", body, tenant=self.upload.tenant, key=self.upload.key
            )
        except (OSError, http.client.HTTPException, ValueError):
            self.repeats += 1  # the host died, or was not back yet
            return
        self.answers.append(status)
        if status == 202:
            self.answer = told
        else:
            self.repeats += 1
