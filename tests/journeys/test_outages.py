"""Disks that are full, files that are locked, topics that are down, hosts that are stopped: nothing accepted is lost.

The outages last seconds and are independent of each other, so they are played side by side; each test asks for one.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.hosts import ROOT, SHORT_WAITS, LocalHost, Reply, rows, wait_for

Scenario = Callable[[Path], None]
ROWS = 240
DIES_AT_RELAY = """
import os, signal
import shared.delivery.inbox, shared.delivery.outbox
relay, calls = shared.delivery.outbox.relay_promptly, []
async def dies(*given):
    calls.append(1)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    await relay(*given)
shared.delivery.outbox.relay_promptly = dies
"""
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    SCENARIOS[play.__name__] = play
    return play


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    folder = tmp_path_factory.mktemp("outages")
    with ThreadPoolExecutor(5) as pool:
        yield {name: pool.submit(play, folder / name) for name, play in SCENARIOS.items()}


@pytest.mark.parametrize("name", [
    "a_full_disk",
    "telemetry_and_checkpoints_that_cannot_be_written",
    "a_locked_store", "locked_lanes", "a_topic_that_refuses", "sigterm_in_the_middle",
    "killed_between_commit_and_relay", "killed_between_a_decision_and_its_event", "two_hosts_on_one_folder",
])  # fmt: skip
def test_nothing_accepted_is_lost_after(played: dict[str, Future[None]], name: str):
    played[name].result(timeout=120)


def ids(prefix: str, number: int = ROWS) -> list[str]:
    return [f"{prefix}-{n:03}" for n in range(number)]


def in_the_middle(host: LocalHost) -> None:
    """Upload, and return when some of it is decided and some is not."""
    assert host.upload(rows(*ids("early")), key="early").status == 202
    wait_for(host.counted, "a first decision")


def is_told(host: LocalHost, *names: str) -> None:
    """Health stays, readiness says what fails."""
    told: dict[str, str] = {}

    def failing() -> bool:
        reply = host.call("GET", "/api/ready")
        told.update(reply.body["checks"])
        return reply.status == 503 and {name for name, said in told.items() if said != "ok"} == set(names)

    wait_for(failing, f"{names}, not {told}", 15)
    assert host.get("/api/health") == {"status": "alive"}


def heals(host: LocalHost, answer: Reply, number: int) -> None:
    """Ready again; the upload of the outage was refused cleanly, or is kept; all is decided, once."""
    wait_for(lambda: host.call("GET", "/api/ready").status == 200, "ready again", 10)
    assert answer.status in (202, 503), answer
    if answer.status == 503:
        assert int(answer.headers["retry-after"]) > 0
    assert host.upload(rows(*ids("late", 20)), key="late").status == 202
    host.settled(number, seconds=40)
    host.verified()
    assert host.items("/api/v1/parked") == []
    assert host.stop() == 0
    host.start()  # what could not be noted on the lanes during the outage comes again, and is known
    wait_for(lambda: host.on_lanes() == 0, "an empty lane")
    assert sum(host.states().values()) == sum(host.counted().values()) == number
    decided = [one for one in host.items("/api/v1/transactions") if one["decision_version"] != 1]
    assert decided == []


@scenario
def a_full_disk(folder: Path) -> None:
    with LocalHost(folder, before=SHORT_WAITS) as host:
        in_the_middle(host)
        with host.disk_full():
            is_told(host, "store", "bus", "publisher", "telemetry")
            answer = host.upload(rows(*ids("late", 20)), key="late")
            time.sleep(2)
        heals(host, answer, ROWS + 20)


@scenario
def a_locked_store(folder: Path) -> None:
    with LocalHost(folder, before=SHORT_WAITS) as host:
        in_the_middle(host)
        with host.locked("store.db"):
            since = time.monotonic()
            is_told(host, "store")
            answer = host.upload(rows(*ids("late", 20)), key="late")
            assert answer.status == 503
            time.sleep(max(0.0, 10 - (time.monotonic() - since)))
        heals(host, answer, ROWS + 20)


@scenario
def locked_lanes(folder: Path) -> None:
    with LocalHost(folder, before=SHORT_WAITS) as host:
        in_the_middle(host)
        with host.locked("lanes.db"):
            since = time.monotonic()
            is_told(host, "bus", "publisher")
            answer = host.upload(rows(*ids("late", 20)), key="late")
            assert answer.status == 202  # accepted means durable: it is in the outbox
            time.sleep(max(0.0, 8 - (time.monotonic() - since)))
        heals(host, answer, ROWS + 20)


@scenario
def a_topic_that_refuses(folder: Path) -> None:
    """Events alone fail: decisions are made and kept, their events wait."""
    with LocalHost(folder, before=SHORT_WAITS) as host:
        assert host.upload(rows(*ids("first", 3))).status == 202
        host.settled(3)
        refusing(host, "CREATE TRIGGER down BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'down'); END")
        answer = host.upload(rows(*ids("early")), key="early")
        wait_for(lambda: "Unclassified" not in host.states(), "all decided without events", 60)
        assert sum(host.counted().values()) == 3
        refusing(host, "DROP TRIGGER down")
        heals(host, answer, ROWS + 23)


def refusing(host: LocalHost, statement: str) -> None:
    with closing(sqlite3.connect(host.data / "lanes.db", timeout=10, isolation_level=None)) as connection:
        connection.execute(statement)


@scenario
def telemetry_and_checkpoints_that_cannot_be_written(folder: Path) -> None:
    (folder / "telemetry.jsonl").mkdir(parents=True)
    (folder / "checkpoints.jsonl").mkdir()
    with LocalHost(folder, before=SHORT_WAITS) as host:
        assert host.upload(rows(*ids("early"))).status == 202
        host.settled(ROWS, seconds=60)
        assert host.get("/api/health") == {"status": "alive"}
        wait_for(lambda: host.call("GET", "/api/ready").body["telemetry_dropped"] > 0, "drops are counted", 20)
        assert host.call("GET", "/api/ready").status == 200


@scenario
def sigterm_in_the_middle(folder: Path) -> None:
    with LocalHost(folder, before=SHORT_WAITS) as host:
        for turn in range(3):
            assert host.upload(rows(*ids(f"turn{turn}"))).status == 202
            assert host.stop() == 0, host.log.read_text(encoding="utf-8")[-2000:]
            host.start()
        host.settled(3 * ROWS, seconds=60)
        host.verified()
        assert host.stop() == 0
        assert host.on_lanes() == 0


def dies_and_goes_on(folder: Path, call: int) -> None:
    given = rows(*ids("row", 90))
    with LocalHost(folder, before=SHORT_WAITS + DIES_AT_RELAY.format(call=call)) as host:
        try:
            host.upload(given, key="k")
        except (ConnectionError, OSError):
            assert call <= 3
        assert host.process.wait(30) == -9
        host.kill()
    with LocalHost(folder, before=SHORT_WAITS) as host:
        assert host.upload(given, key="k").status == 202
        host.settled(90)
        host.verified()
        assert all(one["decision_version"] == 1 for one in host.items("/api/v1/transactions"))
        wait_for(lambda: host.on_lanes() == 0, "an empty lane")


@scenario
def killed_between_commit_and_relay(folder: Path) -> None:
    dies_and_goes_on(folder, 1)


@scenario
def killed_between_a_decision_and_its_event(folder: Path) -> None:
    dies_and_goes_on(folder, 20)


@scenario
def two_hosts_on_one_folder(folder: Path) -> None:
    with LocalHost(folder) as host:
        command = [sys.executable, "-m", "local", "serve", "--port", "0", "--data", str(folder)]
        second = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "AUTH_MODE": "dev"}, capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr.count("\n") == 1
        assert f"process {host.process.pid}" in second.stderr
        assert host.upload(rows("still-here")).status == 202
        host.settled(1)
