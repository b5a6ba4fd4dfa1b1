"""The canary of `local/runtime.py`: Microsoft's runtime is internal API, and this fails first when it moves.

In a process of its own: the runtime keeps its registry in globals and hosts one app for good.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from local.runtime import Runtime

APP = '''
import asyncio
import azure.functions as func

app = func.FunctionApp()


@app.route(route="a/{id}", methods=["POST"])
async def asked(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    body = f"{req.method} {req.url} {req.route_params['id']} {req.params['q']} {req.headers['X-Y']} "
    body += f"{req.get_json()['k']} {context.invocation_id} {context.trace_context.trace_parent}"
    return func.HttpResponse(body, status_code=203, headers={"Set-Cookie": "a=b; Path=/"})


@app.route(route="text")
def text(req: func.HttpRequest) -> str:
    return "plain"


@app.service_bus_queue_trigger(arg_name="m", queue_name="%Q%", connection="B", is_sessions_enabled=True)
async def received(m: func.ServiceBusMessage) -> None:
    assert m.get_body() == bytes([0, 255]) and m.message_id == "id" and m.session_id == "s", m
    assert m.delivery_count == 1 and m.sequence_number == 7 and m.subject == m.label == "S", m
    assert m.application_properties == m.user_properties == {"a": "b"}, m.application_properties
    assert m.enqueued_time_utc.isoformat() == "2026-01-01T00:00:00+00:00", m.enqueued_time_utc


@app.event_grid_trigger(arg_name="e")
async def heard(e: func.EventGridEvent) -> None:
    assert isinstance(e, func.CloudEvent) and e.id == "e" and e.get_json() == {"x": 1}, e


@app.timer_trigger(arg_name="t", schedule="0 0 2 * * *")
async def timed(t: func.TimerRequest) -> None:
    assert t.past_due is True, t


@app.timer_trigger(arg_name="t", schedule="0 0 2 * * *")
async def slow(t: func.TimerRequest) -> None:
    await asyncio.sleep(60)
'''

async def main():
    folder = Path(sys.argv[1])
    (folder / "function_app.py").write_text(APP)
    runtime = await Runtime.start(folder, timeout_seconds=0.2)
    f = runtime.functions
    http = await runtime.http(f["asked"], "inv-1", method="POST", url="http://h/a/1", route={"id": "1"},
        query={"q": "2"}, headers={"x-y": "3", "traceparent": "00-aa-bb-01"}, body=b'{"k": 4}')
    fields = {"MessageId": "id", "SessionId": "s", "DeliveryCount": 1, "SequenceNumber": 7, "Subject": "S",
        "Label": "S", "EnqueuedTimeUtc": "2026-01-01T00:00:00+00:00"}
    plain = await runtime.http(f["text"], "i", method="GET", url="u", route={}, query={}, headers={}, body=b"")
    outcomes = {
        "received": await runtime.service_bus(f["received"], "i", bytes([0, 255]), fields, '{"a": "b"}'),
        "heard": await runtime.event_grid(
            f["heard"], "i", '{"specversion": "1.0", "id": "e", "source": "s", "type": "t", "data": {"x": 1}}'),
        "timed": await runtime.timer(f["timed"], "i", '{"IsPastDue": true}'),
        "slow": await runtime.timer(f["slow"], "i", "{}"),
    }
    reply, text = runtime.reply_of(http), runtime.reply_of(plain)
    runtime.stop()
    print(json.dumps({
        "kinds": {name: function.kind for name, function in f.items()},
        "queue": f["received"].binding["queueName"],
        "reply": [reply.status, reply.headers, reply.body.decode()],
        "text": [text.status, text.body.decode()],
        "failed": {name: outcome.error for name, outcome in outcomes.items() if not outcome.ok},
    }))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("app"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "", "Q": "the-queue"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kind_of_trigger_is_indexed(told: dict):
    kinds = {"asked": "http", "text": "http", "received": "service_bus", "heard": "event_grid"}
    assert told["kinds"] == {**kinds, "timed": "timer", "slow": "timer"}


def test_app_settings_in_bindings_are_put_in(told: dict):
    assert told["queue"] == "the-queue"


def test_http_requests_and_answers_keep_everything(told: dict):
    status, headers, body = told["reply"]
    assert (status, body) == (203, "POST http://h/a/1 1 2 3 4 inv-1 00-aa-bb-01")
    assert ["Set-Cookie", "a=b; Path=/"] in headers
    assert told["text"] == [200, "plain"]


def test_messages_events_and_timers_decode_as_on_the_platform(told: dict):
    assert set(told["failed"]) == {"slow"}


def test_a_function_that_outlives_function_timeout_is_cancelled(told: dict):
    assert "functionTimeout" in told["failed"]["slow"]


HTTP_V2 = """
import asyncio, json, sys, urllib.request
from pathlib import Path
from local.runtime import Runtime

APP = '''
import asyncio
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse

app = func.FunctionApp()


@app.route(route="a/{id}", methods=["POST"])
async def asked(req: Request, context: func.Context) -> StreamingResponse:
    body = await req.body()

    async def pieces():
        yield f"{req.path_params['id']} {req.query_params['q']} {body.decode()} "
        yield f"{context.invocation_id} {context.trace_context.trace_parent}"

    return StreamingResponse(pieces(), status_code=203, media_type="text/event-stream")


@app.route(route="fails")
async def fails(req: Request) -> Response:
    raise RuntimeError("no")


@app.route(route="slow")
async def slow(req: Request) -> Response:
    await asyncio.sleep(60)
'''


def fetch(url, call):
    request = urllib.request.Request(url, b"4", {"x-ms-invocation-id": call})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["content-type"], refused.read().decode()


async def main():
    folder = Path(sys.argv[1])
    (folder / "function_app.py").write_text(APP)
    runtime = await Runtime.start(folder, timeout_seconds=0.3)
    told = {}
    for name in runtime.functions:
        invoked = runtime.http_v2(
            runtime.functions[name], name, method="POST", url="http://h/a/1", route={"id": "1"}, trace="00-aa-bb-01")
        fetched = asyncio.to_thread(fetch, f"{runtime.web_server}/api/a/1?q=2", name)
        outcome, answer = await asyncio.gather(invoked, fetched)
        told[name] = [outcome.ok, outcome.error, *answer]
    runtime.stop()
    print(json.dumps(told))

asyncio.run(main())
"""


def test_http_v2_requests_meet_their_invocations(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", HTTP_V2, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, env={"PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["asked"] == [True, "", 203, "text/event-stream; charset=utf-8", "1 2 4 asked 00-aa-bb-01"]
    plain = [500, "text/plain; charset=utf-8", "Internal Server Error"]
    assert (told["fails"][0], told["fails"][2:]) == (False, plain)
    assert (told["slow"][0], told["slow"][2:]) == (False, plain)
    assert "functionTimeout" in told["slow"][1]
