"""The local host as a user meets it: a process, a port, signals. The app is `tests/local_app`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
APP = ROOT / "tests" / "local_app"


class Served:
    """One running host. `seen` is what its functions wrote down."""

    def __init__(self, folder: Path, *, port: int = 0, **environment: str) -> None:
        self.folder = folder
        self.seen_file = folder / "seen.jsonl"
        folder.mkdir(exist_ok=True)
        stderr = (folder / "stderr").open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(APP / "serve.py"), str(folder / "data"), str(port)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={
                **os.environ,
                "LOCAL_APP_SEEN": str(self.seen_file),
                "ORDERS_QUEUE": "orders",
                "COUNTERSIGN_EVENT_RETRY_SCALE": "0.01",
                **environment,
            },
        )
        stderr.close()
        line = self.process.stdout.readline()
        assert line, (folder / "stderr").read_text()
        self.port = int(json.loads(line)["url"].rpartition(":")[2])

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = json.dumps(body) if body is not None and not isinstance(body, (str, bytes)) else body
        connection.request(method, path, sent, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        answer = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return answer

    def send(self, *messages: dict[str, Any]) -> None:
        assert self.request("POST", "/api/send", list(messages))[0] == 202

    def seen(self, what: str) -> list[dict[str, Any]]:
        if not self.seen_file.exists():
            return []
        lines = [json.loads(line) for line in self.seen_file.read_text().splitlines()]
        return [line for line in lines if line["what"] == what]

    def until(self, what: str, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 8
        while len(self.seen(what)) < count:
            assert time.monotonic() < deadline, (self.folder / "stderr").read_text()
            time.sleep(0.01)
        return self.seen(what)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(10)
        self.process.stdout.close()
        return code


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


def failing(*arguments: str, **environment: str) -> str:
    """The one line of a host that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "local", "serve", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "ORDERS_QUEUE": "orders", **environment},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("countersign: ")
    return line


def test_an_http_function_sees_the_request_and_its_answer_comes_back_whole(host: Served):
    status, headers, body = host.request("POST", "/api/echo/a%20b/7?x=1&x=2&y=", "héllo".encode(), X_Probe="p")
    assert status == 201
    assert headers["X-Answer"] == "yes"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "method": "POST",
        "url": f"http://127.0.0.1:{host.port}/api/echo/a%20b/7?x=1&x=2&y=",
        "route": {"name": "a b", "number": "7"},
        "query": {"x": "1,2", "y": ""},
        "header": "p",
        "body": "héllo",
    }


def test_a_chunked_body_arrives_whole(host: Served):
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=5)
    connection.request("POST", "/api/echo/a", iter([b"one ", b"two"]), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["body"] == "one two"
    connection.close()


def test_a_function_in_a_thread_answers_too(host: Served):
    assert host.request("GET", "/api/sync")[2] == b"from a thread"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nowhere", 404),
        ("GET", "/", 404),
        ("DELETE", "/api/echo/a", 405),
        ("GET", "/api/echo/a/notanumber", 404),
        ("GET", "/api/broken", 500),
        ("GET", "/admin/nothing", 404),
        ("POST", "/admin/functions/nobody", 404),
        ("POST", "/admin/functions/echo", 400),
        ("POST", "/runtime/webhooks/EventGrid?functionName=nobody", 404),
    ],
)
def test_what_cannot_be_answered_is_a_problem(host: Served, method: str, path: str, status: int):
    answered, headers, body = host.request(method, path)
    assert answered == status
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["status"] == status


def test_a_page_of_another_origin_cannot_use_the_hosts_own_addresses(host: Served):
    assert host.request("POST", "/admin/functions/nightly", "{}", Origin="https://evil.example")[0] == 403
    assert host.request("GET", "/api/sync", Host="evil.example")[0] == 421


def test_the_status_says_running(host: Served):
    status, _, body = host.request("GET", "/admin/host/status")
    assert status == 200
    assert json.loads(body)["state"] == "Running"


def test_a_message_reaches_its_function_with_everything_it_carries(host: Served):
    host.send(
        {
            "lane": "orders",
            "body": "whole",
            "message_id": "whole:1",
            "session_id": "whole",
            "subject": "Order",
            "correlation_id": "c-1",
            "properties": {"traceparent": "00-a-b-01"},
        }
    )
    seen = [line for line in host.until("orders", 1) if line["session"] == "whole"]
    assert [line["body"] for line in seen] == ["whole"]
    assert seen[0]["count"] == 1
    assert seen[0]["subject"] == "Order"
    assert seen[0]["correlation"] == "c-1"
    assert seen[0]["properties"] == {"traceparent": "00-a-b-01"}


def test_a_poisonous_message_ends_in_the_dead_letter_function(host: Served):
    host.send({"lane": "poison", "body": "x", "message_id": "p-1"})
    assert host.until("dead", 1) == [{"what": "dead", "id": "p-1", "reason": "MaxDeliveryCountExceeded"}]
    assert [line["count"] for line in host.seen("poison")] == [1, 2, 3]


def test_a_published_event_is_delivered_again_until_the_function_takes_it(host: Served):
    event = {"specversion": "1.0", "id": "retried", "source": "/s", "type": "t", "data": {"fail_times": 2}}
    assert host.request("POST", "/api/publish", [event])[0] == 202
    deadline = time.monotonic() + 8
    while len([line for line in host.seen("heard") if line["id"] == "retried"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert host.seen("heard")[-1]["cloud"] is True


def test_a_timer_function_is_fired_by_hand(host: Served):
    assert host.request("POST", "/admin/functions/nightly", "{}")[0] == 202
    assert host.until("nightly", 1)[0]["past_due"] is False


def test_a_queue_function_is_fired_by_hand(host: Served):
    assert host.request("POST", "/admin/functions/orders", {"input": "by hand"})[0] == 202
    deadline = time.monotonic() + 5
    while "by hand" not in [line["body"] for line in host.seen("orders")]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_event_grid_webhook_shakes_hands_and_delivers(host: Served):
    path = "/runtime/webhooks/EventGrid?functionName=heard"
    validation = [{"id": "v", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {}}]
    assert host.request("POST", path, validation, aeg_event_type="SubscriptionValidation")[0] == 400
    validation[0]["data"] = {"validationCode": "C0DE"}
    status, _, body = host.request("POST", path, validation, aeg_event_type="SubscriptionValidation")
    assert (status, json.loads(body)) == (200, {"validationResponse": "C0DE"})
    status, headers, _ = host.request("OPTIONS", path, WebHook_Request_Origin="eventgrid.azure.net")
    assert (status, headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.azure.net")
    old = {"id": "g-1", "topic": "/t", "subject": "s", "eventType": "t", "dataVersion": "1", "data": {"a": 1}}
    assert host.request("POST", path, [old], aeg_event_type="Notification")[0] == 202
    new = {"specversion": "1.0", "id": "c-1", "source": "/s", "type": "t", "data": {"b": 2}}
    assert host.request("POST", path, new, Content_Type="application/cloudevents+json")[0] == 202
    got = {line["id"]: line for line in host.seen("heard")}
    assert (got["g-1"]["cloud"], got["c-1"]["cloud"]) == (False, True)
    new["data"] = {"fail_times": 99}
    assert host.request("POST", path, new)[0] == 500
    assert host.request("POST", path, "not json")[0] == 400


def test_kill_9_and_start_again_finds_every_message(tmp_path: Path):
    first = Served(tmp_path / "h")
    first.send(*({"lane": "orders", "body": "hang", "message_id": f"h-{n}", "session_id": f"s{n}"} for n in range(3)))
    first.send({"lane": "orders", "body": "behind", "message_id": "behind", "session_id": "s0"})
    first.until("orders", 3)
    time.sleep(0.3)  # the deliveries' counts ride with the writer's next group
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = Served(tmp_path / "h")
    again = second.until("orders", 6)[3:]
    assert sorted((line["id"], line["count"]) for line in again) == [("h-0", 2), ("h-1", 2), ("h-2", 2)]
    assert second.stop() == 0, "functions that hang are cut short after the grace"


def test_a_second_host_on_the_same_data_folder_is_refused(own_host: Served):
    line = failing("--data", str(own_host.folder / "data"), "--port", "0", "--app-dir", str(APP))
    assert f"process {own_host.process.pid}" in line


@pytest.mark.parametrize("port", ["65536", "-1", "x", "8_0"])
def test_what_is_no_port_is_said_before_anything_starts(tmp_path: Path, port: str):
    command = [sys.executable, "-m", "local", "serve", "--port", port, "--data", str(tmp_path / "data")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "0 to 65535" in done.stderr or "expected one argument" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_busy_port_is_named(tmp_path: Path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        line = failing_app(tmp_path, "", "--port", port)
    assert f"port {port} is taken" in line


def failing_app(folder: Path, source: str, *arguments: str, host_json: str = '{"version": "2.0"}') -> str:
    app = folder / "app"
    app.mkdir()
    (app / "function_app.py").write_text(source or EMPTY)
    (app / "host.json").write_text(host_json)
    return failing("--app-dir", str(app), "--data", str(folder / "data"), *(arguments or ("--port", "0")))


EMPTY = """import azure.functions as func

app = func.FunctionApp()


@app.route(route="ok")
def ok(req: func.HttpRequest) -> func.HttpResponse: ...


"""
BAD_TIMER = """@app.timer_trigger(arg_name="t", schedule="* * * *")
async def bad(t: func.TimerRequest) -> None: ...
"""
BAD_PARAMETER = """@app.route(route="x")
async def bad(req: func.HttpRequest, more: int) -> func.HttpResponse: ...
"""
UNSET = """@app.service_bus_queue_trigger(arg_name="m", queue_name="%UNSET%", connection="B")
async def bad(m: func.ServiceBusMessage) -> None: ...
"""
TWICE = """@app.service_bus_queue_trigger(arg_name="m", queue_name="same", connection="B")
async def one(m: func.ServiceBusMessage) -> None: ...


@app.service_bus_queue_trigger(arg_name="m", queue_name="same", connection="B")
async def two(m: func.ServiceBusMessage) -> None: ...
"""
UNLISTED = UNSET.replace("%UNSET%", "nowhere")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import a_module_that_is_not_there\n", "a_module_that_is_not_there"),
        ("x = (\n", "SyntaxError"),
        ("raise RuntimeError('while importing')\n", "while importing"),
        ("x = 1\n", "Could not find top level function app"),
        (EMPTY + BAD_TIMER, "bad"),
        (EMPTY + BAD_PARAMETER, "bad"),
        (EMPTY + UNSET, "UNSET"),
        (EMPTY + UNLISTED, "nowhere"),
        (EMPTY + TWICE, "same"),
    ],
    ids=["import", "syntax", "raise", "no-app", "timer", "parameter", "setting", "queue", "twice"],
)
def test_an_app_that_cannot_be_indexed_ends_with_one_clear_line(tmp_path: Path, source: str, named: str):
    assert named in failing_app(tmp_path, source)


def test_a_wrong_host_json_ends_with_one_clear_line(tmp_path: Path):
    assert "functionTimeout" in failing_app(tmp_path, "", host_json='{"version": "2.0", "functionTimeout": "soon"}')


def test_a_folder_without_an_app_ends_with_one_clear_line(tmp_path: Path):
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    line = failing("--app-dir", str(tmp_path), "--data", str(tmp_path / "data"), "--port", "0")
    assert "function_app.py does not exist" in line


def test_a_signal_lets_a_request_end_then_leaves_with_0(own_host: Served):
    connection = http.client.HTTPConnection("127.0.0.1", own_host.port, timeout=10)
    connection.request("GET", "/api/slow?seconds=0.5")
    own_host.until("slow-began", 1)
    own_host.process.send_signal(signal.SIGINT)
    assert connection.getresponse().read() == b"slow"
    connection.close()
    assert own_host.stop() == 0
    with contextlib.closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", own_host.port)) != 0


def test_the_host_stays_small_and_quiet(own_host: Served):
    own_host.send(*({"lane": "noop", "body": "x" * 1000, "message_id": str(n), "session_id": "s"} for n in range(500)))
    status = Path(f"/proc/{own_host.process.pid}/status")
    if status.exists():
        resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 150_000
    assert own_host.stop() == 0
    assert (own_host.folder / "stderr").read_text() == ""
