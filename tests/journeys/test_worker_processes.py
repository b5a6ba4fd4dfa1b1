"""Several processes run the functions of one local host (`FUNCTIONS_WORKER_PROCESS_COUNT`), and nobody can tell."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.workers import WorkerProcess
from shared.errors import ConfigurationError
from tests.journeys.hosts import LocalHost, dev, wait_for
from tests.journeys.test_local_host import Served, failing
from tests.journeys.test_twice_and_mixed import post, result, statement

TWO = {"FUNCTIONS_WORKER_PROCESS_COUNT": "2"}
TENANTS = [f"home-{number}" for number in range(5)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "own", AUTH_MODE="dev", **TWO)
    yield served
    served.stop(signal.SIGKILL)


def message(body: str, session: str) -> dict[str, Any]:
    return {"lane": "orders", "body": body, "message_id": f"{session}-{body}", "session_id": session}


def workers_of(process: int) -> list[int]:
    """The worker processes of a host."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [int(one) for one in children if b"local.worker_process" in Path(f"/proc/{one}/cmdline").read_bytes()]


def is_gone(process: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True


def seconds_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def results(folder: Path, **environment: str) -> dict[str, Any]:
    with LocalHost(folder / "data", **environment) as host:
        workers = workers_of(host.process.pid)
        before = [seconds_of(one) for one in workers]
        for tenant in TENANTS:
            assert post(host, tenant, "k", statement()).status == 202
        found = {tenant: result(host, tenant) for tenant in TENANTS}
        assert all(seconds_of(one) - was > 0.05 for one, was in zip(workers, before, strict=True)), "it was idle"
        assert host.stop() == 0
        assert all(is_gone(one) for one in workers)
    return found


def test_two_processes_decide_as_one_does(tmp_path: Path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert results(tmp_path / "two", **TWO) == results(tmp_path / "one")


def test_a_session_keeps_its_order_over_two_processes(app: Served):
    app.send(*(message(f"wait {n:02}", f"s{session}") for n in range(12) for session in range(8)))
    seen = app.until("orders", 96)
    assert len({line["process"] for line in seen}) == 2
    for session in range(8):
        assert [line["body"] for line in seen if line["session"] == f"s{session}"] == [
            f"wait {n:02}" for n in range(12)
        ]


def test_what_a_killed_process_was_doing_is_delivered_again_and_its_successor_works(app: Served):
    app.send(message("hang", "a"), message("hang", "b"))
    lost = next(line for line in app.until("orders", 2) if line["process"] != app.process.pid)
    assert lost["count"] == 1
    os.kill(lost["process"], signal.SIGKILL)
    again = app.until("orders", 3)[2]
    assert (again["id"], again["session"], again["count"]) == (lost["id"], lost["session"], 2)
    (successor,) = wait_for(lambda: workers_of(app.process.pid), "a new process")
    rounds = iter(range(1000))

    def works() -> bool:
        number = next(rounds)
        app.send(*(message(f"wait {number}", f"s{n}") for n in range(20)))
        return any(line["process"] == successor for line in app.until("orders", 3 + 20 * (number + 1)))

    wait_for(works, "work for it")
    assert "exit code -9; it is started again" in (app.folder / "stderr").read_text()


ONLY_THERE = """
import local.host, local.workers
local.host.TICK_SECONDS = 3600
local.workers.Workers._idlest = lambda workers: workers.processes[0]
"""
"""All work in the other process, and a host whose clock, which would find by itself what was sent, stands still."""


def test_the_host_hears_at_once_what_another_process_has_published(tmp_path: Path):
    with LocalHost(tmp_path / "data", before=ONLY_THERE, **TWO) as host:
        assert post(host, "home", "k", statement()).status == 202
        host.settled(len(statement()), as_=dev(tenant="home"))


def test_the_host_hears_at_once_what_another_process_has_sent(tmp_path: Path):
    """The last check of a countersigned transfer, made there, sends the command that carries it out."""
    with LocalHost(tmp_path / "data", before=ONLY_THERE, **TWO) as host:
        talk = "/api/v1/agent/conversations/one"
        wish = {"message": "Transfer 1 euro from acc-current to Anna"}
        assert host.call("POST", f"{talk}/messages", wish, as_=dev(roles="member")).status == 202
        (card,) = wait_for(lambda: host.get(talk)["open_approvals"], "a card")
        answer = {"decision": "approve", "card_digest": host.get(f"/api/v1/approvals/{card}")["card_digest"]}
        signed = host.call("POST", f"/api/v1/approvals/{card}/answer", answer, as_=dev("bob", roles="reviewer"))
        assert signed.status == 200
        wait_for(lambda: host.get(f"/api/v1/actions/{card}")["state"] == "done", "the money's move")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_all_processes_in_good_order(app: Served, number: int):
    (worker,) = workers_of(app.process.pid)
    assert app.stop(number) == 0
    assert is_gone(worker)
    assert "worker process" not in (app.folder / "stderr").read_text()


def test_no_process_outlives_a_killed_host(app: Served):
    (worker,) = workers_of(app.process.pid)
    app.stop(signal.SIGKILL)
    wait_for(lambda: is_gone(worker), "its end", 10)


@pytest.mark.parametrize("count", ["0", "11", "two", "-1", "1.5"])
def test_a_wrong_number_of_processes_is_one_clear_line(tmp_path: Path, count: str):
    line = failing("--data", str(tmp_path / "data"), "--port", "0", FUNCTIONS_WORKER_PROCESS_COUNT=count)
    assert f"FUNCTIONS_WORKER_PROCESS_COUNT must be a number from 1 to 10, not {count!r}" in line


async def test_a_process_that_cannot_start_says_why(tmp_path: Path):
    one = WorkerProcess(2, tmp_path, 60, lambda: None)
    with pytest.raises(ConfigurationError, match=r"worker process 2 did not start: .*function_app.py does not exist"):
        await one.start()
    assert one.process.returncode is not None
