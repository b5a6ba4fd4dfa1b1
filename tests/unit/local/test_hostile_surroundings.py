"""A clock that is set back, a file that fails once, rubbish for the host's own addresses."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.event_grid import EventGrid
from local.host import Host
from local.http_app import HttpApp
from local.http_parser import Request
from local.timers import Timers
from shared.adapters.embedded.event_publisher import SqliteEventPublisher
from shared.adapters.embedded.lanes import SqliteLanes
from shared.adapters.embedded.telemetry_sink import JsonLinesTelemetrySink
from shared.errors import ConfigurationError
from tests.unit.local.clock import Clock
from tests.unit.local.stand_ins import ScriptedRuntime

ROOT = Path(__file__).parents[3]
EVERY_MINUTE = "0 * * * * *"
HOOK = "/runtime/webhooks/EventGrid?functionName=grid"


@pytest.fixture
async def lanes(tmp_path: Path) -> AsyncIterator[SqliteLanes]:
    made = SqliteLanes(tmp_path / "lanes.db", clock=Clock())
    yield made
    await made.close()


@pytest.mark.parametrize("restart", [False, True])
async def test_a_clock_that_is_set_back_does_not_stop_the_timers(lanes: SqliteLanes, restart: bool):
    fired, clock = [], Clock()

    async def handle(status: dict[str, Any]) -> None:
        fired.append(status)

    runtime = ScriptedRuntime({("timer", "often"): handle}, often={"schedule": EVERY_MINUTE})
    timers = Timers(runtime=runtime, lanes=lanes, clock=clock)
    await timers.start()
    clock.now -= 86_400
    if restart:
        await timers.stop()
        timers = Timers(runtime=runtime, lanes=lanes, clock=clock)
        await timers.start()
    for _ in range(5):
        timers.tick()
        clock.now += 60
        await asyncio.sleep(0.05)
    await timers.stop()
    assert len(fired) >= 2


async def test_an_event_whose_body_cannot_be_read_once_is_delivered_later(lanes: SqliteLanes, tmp_path: Path):
    told: list[Any] = []

    async def handle(event: dict[str, Any]) -> None:
        told.append(event["id"])

    runtime = ScriptedRuntime({("event_grid", "grid"): handle})
    await SqliteEventPublisher(lanes).publish([{"specversion": "1.0", "id": "e", "source": "/s", "type": "t"}])
    grid = EventGrid(runtime=runtime, lanes=lanes, dead_letters=tmp_path / "dead.jsonl", clock=lanes.clock)
    topic = grid._topic
    topic.load()
    good = topic._reader
    topic._reader = Unreadable()
    with pytest.raises(sqlite3.OperationalError):
        grid.wake()
    topic._reader = good
    for _ in range(5):
        grid.tick()
        await asyncio.sleep(0.01)
    await grid.stop()
    grid.close()
    assert told == ["e"]


class Unreadable:
    def execute(self, *given: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")


def app() -> HttpApp:
    async def handle(given: Any) -> None:
        """Nothing to do."""

    return HttpApp(runtime=ScriptedRuntime({("event_grid", "grid"): handle}), route_prefix="api", run=lambda *_: None)


def request(method: str, target: str, body: bytes = b"", **headers: str) -> Request:
    return Request(method, target, {"host": "localhost", **headers}, body, True)


@pytest.mark.parametrize(
    "asked",
    [
        request("GET", "http://[/x"),
        request("GET", "/admin/host/status", origin="http://["),
        request("POST", HOOK, b"[" * 100_000),
        request("POST", "/admin/functions/grid", b"[" * 100_000),
        request("POST", "/admin/functions/grid", json.dumps({"input": "\ud800"}).encode()),
    ],
    ids=["target", "origin", "deep event", "deep input", "surrogate input"],
)
async def test_rubbish_for_the_hosts_own_addresses_is_a_4xx(asked: Request):
    assert 400 <= (await app().handle(asked)).status < 500


@pytest.mark.parametrize("origin", ["null"])
async def test_a_page_of_another_origin_reaches_none_of_the_hosts_own_addresses(origin: str):
    answers = [await app().handle(request("POST", "/admin/functions/grid", b'{"input": "{}"}', origin=origin)),
               await app().handle(request("POST", HOOK, b"{}", origin=origin))]  # fmt: skip
    assert [answer.status for answer in answers] == [403, 403]


FULL_DISK = """
import asyncio, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.contracts.kinds import KINDS
from shared.errors import RetryableError
from shared.ports.document_store import Schemas

async def main():
    schemas = Schemas({name: kind.schema_version for name, kind in KINDS.items()})
    store = SqliteDocumentStore(Path(sys.argv[1]), schemas=schemas, now=lambda: datetime.now(UTC))
    await store.ping()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        await store.ping()
    except RetryableError:
        return
    sys.exit(3)

asyncio.run(main())
"""


def test_the_stores_ping_notices_a_full_disk(tmp_path: Path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "store.db")]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=30, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_telemetry_is_written_while_the_process_runs(tmp_path: Path):
    sink = JsonLinesTelemetrySink(tmp_path / "telemetry.jsonl", capacity=1_000)
    for number in range(5_000):
        sink.emit({"n": number})
        if number % 100 == 0:
            await asyncio.sleep(0.01)
    await sink.close()
    assert sink.dropped == 0


async def test_amqp_without_its_engine_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="make serve AMQP=1"):
        await Host(ROOT, tmp_path / "data", port=0, amqp_port=0).start()
