"""The second app behind the same port, as a caller meets it. The apps are in `tests/local_app`."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.hosts import wait_for
from tests.journeys.test_local_host import Served


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("host"))
    yield served
    assert served.stop() == 0


@pytest.fixture
def own_host(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "own")
    yield served
    served.stop()


def state(host: Served) -> dict[str, object]:
    return json.loads(host.request("GET", "/admin/host/status")[2])["streamApp"]


def child_of(host: Served) -> int:
    """Its process id. A request that meets a process in the moment of its end is told so, and asked again."""

    def asked() -> int:
        status, headers, body = host.request("POST", "/api/mirror/x")
        assert status == 201 or (status == 503 and headers["Retry-After"]), body
        return json.loads(body).get("process", 0)

    return wait_for(asked, "the second app", seconds=10)


def is_alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def opened(host: Served, path: str, version: str = "1.1") -> tuple[socket.socket, http.client.HTTPResponse]:
    connection = socket.create_connection(("127.0.0.1", host.port), timeout=10)
    connection.sendall(f"GET {path} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
    response = http.client.HTTPResponse(connection)
    response.begin()
    return connection, response


def test_pieces_arrive_one_by_one(host: Served):
    connection, response = opened(host, "/api/ticks/5")
    assert (response.status, response.headers["X-Kept"]) == (200, "yes")
    assert response.headers["Content-Type"].startswith("text/event-stream")
    late = []
    for number in range(5):
        line = response.readline().split()
        assert int(line[0]) == number
        late.append(time.time() - float(line[1]))
    assert max(late) < 0.04, late  # each before the next was even made, 50 ms later
    assert response.read() == b""
    connection.close()


def test_the_connection_serves_another_request_after_a_stream(host: Served):
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    for path in ("/api/ticks/2", "/api/sync", "/api/ticks/1"):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, len(response.read()) > 0) == (200, True)
    connection.close()


def test_small_pieces_are_not_held_back(host: Served):
    """Nagle's algorithm would hold the second write of each answer for the 40 ms of a delayed acknowledgement."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    took = []
    for _ in range(15):
        began = time.perf_counter()
        connection.request("GET", "/api/both/x?live=true")
        connection.getresponse().read()
        took.append(time.perf_counter() - began)
    connection.close()
    assert sorted(took)[len(took) // 2] < 0.02


def test_a_caller_of_http_1_0_gets_no_chunks(host: Served):
    connection, response = opened(host, "/api/ticks/2", "1.0")
    assert response.headers["Transfer-Encoding"] is None
    assert response.headers["Connection"] == "close"
    assert len(response.read().splitlines()) == 2
    connection.close()


@pytest.mark.parametrize("pause", ["0.05", "30"], ids=["while it writes", "while it is silent"])
def test_a_reader_that_leaves_is_noticed_at_once_and_the_rest_is_still_done(host: Served, pause: str):
    left, stored = len(host.seen("left")), len(host.seen("stored"))
    connection, response = opened(host, f"/api/watch?pause={pause}")
    assert response.readline() == b": here\n"
    gone = time.time()
    response.close()
    connection.close()
    assert host.until("left", left + 1)[-1]["at"] - gone < 0.5
    host.until("stored", stored + 1)


def test_everything_of_a_request_arrives_but_what_is_for_one_hop(host: Served):
    sent = {
        "X-Probe": "kept", "Authorization": "Bearer t", "Connection": "close, X-Hop", "X-Hop": "1", "TE": "trailers",
        "x-ms-invocation-id": "forged",
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.request("PUT", "/api/mirror/a%20b?q=1&r=%C3%A9", b"body", sent)
    response = connection.getresponse()
    told = json.loads(response.read())
    connection.close()
    assert (response.status, response.headers["Set-Cookie"]) == (201, "a=b; Path=/")
    assert [told[name] for name in ("method", "name", "query")] == ["PUT", "a b", {"q": "1", "r": "é"}]
    assert told["url"].startswith(f"http://127.0.0.1:{host.port}/api/mirror/a")
    headers = told["headers"]
    assert (headers["x-probe"], headers["authorization"], headers["content-length"]) == ("kept", "Bearer t", "4")
    assert not {"x-hop", "te"} & set(headers)
    assert headers["x-ms-invocation-id"] != "forged"


def test_large_bodies_pass_both_ways(host: Served):
    body = os.urandom(9_000_000)
    told = json.loads(host.request("POST", "/api/mirror/x", body)[2])
    assert told["digest"] == hashlib.sha256(body).hexdigest()
    status, headers, answer = host.request("GET", "/api/large?pieces=300")
    assert (status, len(answer)) == (200, 30_000_000)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(b"".join(bytes([n % 251]) * 100_000 for n in range(300))).digest()  # noqa: E501  # fmt: skip
    assert "content-length" not in {name.lower() for name in headers}


def test_a_slow_reader_holds_up_the_writer_not_the_memory(host: Served):
    resident = Path(f"/proc/{host.process.pid}/status")

    def megabytes() -> int:
        line = next(line for line in resident.read_text(encoding="utf-8").splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) // 1024

    before = megabytes()
    connection, response = opened(host, "/api/large?pieces=3000")
    response.read(1)
    time.sleep(1)
    assert megabytes() - before < 60  # of 300
    connection.close()
    response.close()


def test_a_head_request_has_no_body(host: Served):
    assert host.request("HEAD", "/api/large?pieces=1")[::2] == (200, b"")
    assert host.request("GET", "/api/sync")[0] == 200


def test_a_function_that_raises_is_a_problem(host: Served):
    status, headers, body = host.request("GET", "/api/fails", X_Correlation_Id="mine")
    assert (status, headers["Content-Type"]) == (500, "application/problem+json")
    assert json.loads(body)["correlation_id"] == "mine"
    assert "this streaming function always fails" in (host.folder / "stderr").read_text()


def test_half_an_answer_never_looks_whole(host: Served):
    connection, response = opened(host, "/api/breaks-off")
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()


def test_two_callers_are_served_side_by_side(host: Served):
    began = time.monotonic()
    threads = [threading.Thread(target=host.request, args=("GET", "/api/ticks/10")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 2  # 4 s one after the other


def test_a_route_of_both_apps_is_the_first_ones_unless_it_is_asked_for_live(host: Served):
    assert host.request("GET", "/api/both/x")[2] == b"from the first app"
    assert host.request("GET", "/api/both/x?live=false")[2] == b"from the first app"
    assert host.request("GET", "/api/both/x?after=3&live=true")[2] == b"from the stream app"
    assert host.request("GET", "/api/echo/x?live=true")[0] == 201  # not a route of the stream app


def test_unknown_routes_and_methods_are_told_as_before(host: Served):
    assert host.request("GET", "/api/nowhere")[0] == 404
    status, headers, _ = host.request("GET", "/api/mirror/x")
    assert (status, headers["Allow"]) == (405, "POST, PUT")


def test_a_foreign_page_does_not_reach_it(host: Served):
    assert host.request("POST", "/api/mirror/x", Host="evil.example")[0] == 421


def test_a_crash_is_answered_told_and_recovered_from(own_host: Served):
    first = child_of(own_host)
    connection, watcher = opened(own_host, "/api/watch")
    assert own_host.request("POST", "/api/crash")[0] == 503
    with pytest.raises(http.client.IncompleteRead):
        watcher.read()
    connection.close()
    second = child_of(own_host)  # it waits for the new one
    assert second != first
    assert state(own_host) == {"script": "stream_app.py", "state": "running", "starts": 2}
    assert "ended with exit code 4; it is started again" in (own_host.folder / "stderr").read_text()
    own_host.request("POST", "/api/crash")
    os.kill(child_of(own_host), signal.SIGTERM)
    wait_for(lambda: state(own_host)["starts"] == 4, "a third new one")
    assert own_host.request("GET", "/api/ticks/1")[0] == 200


@pytest.mark.parametrize("is_stuck", [False, True], ids=["idle", "in a function that blocks"])
def test_a_host_that_is_killed_takes_its_child_with_it(own_host: Served, is_stuck: bool):
    child = child_of(own_host)
    with socket.create_connection(("127.0.0.1", own_host.port), timeout=0.5) as connection:
        if is_stuck:
            connection.sendall(b"POST /api/stuck HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(1)
        own_host.stop(signal.SIGKILL)
    wait_for(lambda: not is_alive(child), "the end of the child", seconds=12)


def test_a_stop_ends_readers_at_once_and_lets_what_was_begun_be_stored(own_host: Served):
    child = child_of(own_host)
    connection, response = opened(own_host, "/api/watch?pause=30")
    response.readline()
    began = time.monotonic()
    assert own_host.stop() == 0
    assert time.monotonic() - began < 4
    assert len(own_host.seen("stored")) == 1
    assert not is_alive(child)
    connection.close()


def test_an_app_that_cannot_start_is_told_and_nothing_else_suffers(tmp_path: Path):
    served = Served(tmp_path / "own", STREAM_APP_BROKEN="yes")
    status, headers, body = served.request("POST", "/api/mirror/x")
    problem = json.loads(body)
    assert (status, headers["Content-Type"]) == (503, "application/problem+json")
    assert "this stream app cannot be imported" in problem["detail"]
    assert int(headers["Retry-After"]) >= 1
    assert served.request("GET", "/api/sync")[2] == b"from a thread"
    assert served.request("GET", "/api/both/x?live=true")[2] == b"from the first app"
    assert served.request("GET", "/nowhere")[0] == 404
    assert "cannot be imported" in str(state(served)["state"])
    assert served.stop() == 0


def test_the_host_is_up_before_the_second_app_and_requests_wait_for_it(tmp_path: Path):
    served = Served(tmp_path / "own")
    assert served.request("GET", "/api/sync")[0] == 200
    first = state(served)["state"]
    assert served.request("GET", "/api/ticks/1")[0] == 200
    assert (first, state(served)["state"]) == ("starting", "running")
    assert served.stop() == 0
