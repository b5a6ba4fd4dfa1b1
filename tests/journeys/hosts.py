"""A local host in a process of its own, for journeys: real sockets, real files, a real end."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from local.child_host import AZURE
from tests.bench import facts

if TYPE_CHECKING:
    from tests.doubles.serving import Served

ROOT = Path(__file__).parents[2]
ON_AZURE, ON_EMULATORS = (os.environ.get("JOURNEYS_ON") == where for where in ("azure", "emulators"))
"""The same journeys over Azure's adapters: `JOURNEYS_ON=azure pytest tests/journeys/test_conversation.py`."""
ALL_ROLES = "member,reviewer,auditor,operator"
SHORT_WAITS = """
import shared.delivery.outbox, shared.delivery.retry
shared.delivery.outbox.GRACE_SECONDS = 1
shared.delivery.retry.OUTAGE_DELAY_SECONDS = 1.0
"""
"""Waits that are minutes in all would prove no more than seconds do."""


class Reply(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


def dev(name: str = "alice", tenant: str = "household", roles: str = ALL_ROLES) -> dict[str, str]:
    return {"X-Dev-Caller": f"{name}; tenants={tenant}; roles={roles}"}


def rows(*ids: str, **changes: Any) -> dict[str, Any]:
    return {"transactions": [facts(one, **changes) for one in ids]}


class LocalHost:
    """`with LocalHost(folder) as host` serves at `host.address`. `before`: Python that the process runs first;
    `arguments`: of `serve`."""

    def __init__(self, data: Path, *, before: str = "", arguments: tuple[str, ...] = (), **environment: str) -> None:
        self.data = data
        self.address = self.amqp = ""
        self.log = data.parent / f"{data.name}.log"
        self._before = before
        self._arguments = arguments
        self._environment = {"AUTH_MODE": "dev", "PYTHONUNBUFFERED": "1", **environment}
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        on_azure = _azure_for(self.data) if ON_AZURE else None
        environment = _own_environment(on_azure) | (_emulated(self.data) if ON_EMULATORS else {}) | self._environment
        program = f"{self._before}\nfrom local.__main__ import main\nmain()"
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, "serve", "--port", "0", "--data", str(self.data), *self._arguments],
                cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        timer = threading.Timer(30, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line, self.log.read_text(encoding="utf-8")[-2000:]
        told = json.loads(line)
        self.address, self.amqp = told["url"].removeprefix("http://"), told["amqp"]
        if on_azure is not None:
            on_azure.address = self.address

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.kill()
        return code

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """Until the end of the block the process cannot make any file longer, or write anything to one."""
        before = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, before)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Another program holds the file's write lock."""
        with closing(sqlite3.connect(self.data / name, timeout=10, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=30)

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *,
             as_: dict[str, str] | None = None, over: http.client.HTTPConnection | None = None) -> Reply:  # fmt: skip
        """`body`: bytes as they are, anything else as JSON. `over`: a connection to go on using."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(dev() if as_ is None else as_), **(headers or {})}
        connection = over or self.connection()
        try:
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            if over is None:
                connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        is_json = "json" in told.get("content-type", "") and "ndjson" not in told["content-type"]
        return Reply(answer.status, json.loads(content) if is_json and content else content, told)

    def get(self, path: str, **options: Any) -> Any:
        reply = self.call("GET", path, **options)
        assert reply.status == 200, reply
        return reply.body

    def items(self, path: str, **options: Any) -> list[Any]:
        """All items of a paged list."""
        found, cursor = [], ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit=200&cursor={cursor}", **options)
            found += page["items"]
            cursor = page["cursor"]
            if not cursor:
                return found

    def upload(self, body: Any, *, key: str = "", **options: Any) -> Reply:
        return self.call("POST", "/api/v1/transactions", body, {"Idempotency-Key": key} if key else None, **options)

    def states(self, **options: Any) -> dict[str, int]:
        """Transactions by review state, read one by one."""
        found: dict[str, int] = {}
        for one in self.items("/api/v1/transactions", **options):
            found[one["review_state"]] = found.get(one["review_state"], 0) + 1
        return found

    def counted(self, **options: Any) -> dict[str, int]:
        """Transactions by review state, as the counters have them."""
        told = self.get("/api/v1/counters", **options)["by_review_state"]
        return {state: number for state, number in told.items() if number}

    def settled(self, number: int, *, seconds: float = 30, **options: Any) -> dict[str, int]:
        """The states, once `number` transactions are decided and counted."""
        wait_for(lambda: sum(self.counted(**options).values()) == number, f"{number} decisions", seconds)
        states = self.states(**options)
        assert states == self.counted(**options)
        return states

    def verified(self, **options: Any) -> dict[str, Any]:
        reply = self.call("POST", "/api/v1/audit/verify", {"from": 0}, **options)
        assert reply.status == 200
        assert reply.body["ok"], reply.body
        return reply.body

    def on_lanes(self) -> int:
        """Messages in the file, scheduled ones too."""
        with closing(sqlite3.connect(f"file:{self.data / 'lanes.db'}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute("SELECT count(*) FROM message").fetchone()[0]


def _azure_for(folder: Path) -> Served:
    from tests.doubles.serving import services

    return services().of(folder)


def _emulated(folder: Path) -> dict[str, str]:
    from tests.journeys.on_emulators import settings_of

    return settings_of(folder)


def _own_environment(on_azure: Served | None) -> dict[str, str]:
    """Ours, without what a live test was told of services elsewhere."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(AZURE)}
    if on_azure is None:
        return own
    return own | {name: value for name, value in on_azure.azure.settings.items() if name != "SERVICEBUS_CONNECTION"}


def wait_for(look: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """What `look` finds, once it finds something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found
