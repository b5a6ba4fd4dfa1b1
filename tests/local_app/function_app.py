"""A tiny app for the tests of the local host: one function of each kind, each writing what it saw to a file."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
SEEN = Path(os.environ.get("LOCAL_APP_SEEN", os.devnull))
ATTEMPTS: Counter[str] = Counter()
SENDER: dict[str, object] = {}  # "bus" and "events", put here by tests/local_app/serve.py


def note(what: str, **facts: object) -> None:
    """One line of what a function saw; appended at once so that a killed process keeps it."""
    with SEEN.open("a", encoding="utf-8") as seen:
        seen.write(json.dumps({"what": what, **facts}) + "\n")


@app.route(route="echo/{name}/{number:int?}", methods=["GET", "POST", "HEAD"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(
            {
                "method": req.method,
                "url": req.url,
                "route": dict(req.route_params),
                "query": dict(req.params),
                "header": req.headers.get("x-probe"),
                "body": req.get_body().decode("utf-8", "replace"),
            }
        ),
        status_code=201,
        headers={"X-Answer": "yes"},
        mimetype="application/json",
    )


@app.route(route="sync", methods=["GET"])
def sync_one(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("from a thread")


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    note("slow-began")
    await asyncio.sleep(float(req.params.get("seconds", "1")))
    note("slow-ended")
    return func.HttpResponse("slow")


@app.route(route="broken", methods=["GET"])
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("this function always fails")


@app.route(route="both/{name}", methods=["GET"])
async def both(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("from the first app")


@app.route(route="send", methods=["POST"])
async def send(req: func.HttpRequest) -> func.HttpResponse:
    from shared.ports.command_bus import OutgoingMessage

    messages = [OutgoingMessage(**{**m, "body": m["body"].encode()}) for m in req.get_json()]
    await SENDER["bus"].send(messages)
    return func.HttpResponse(status_code=202)


@app.route(route="publish", methods=["POST"])
async def publish(req: func.HttpRequest) -> func.HttpResponse:
    await SENDER["events"].publish(req.get_json())
    return func.HttpResponse(status_code=202)


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="%ORDERS_QUEUE%", connection="Bus", is_sessions_enabled=True
)
async def orders(message: func.ServiceBusMessage) -> None:
    note(
        "orders",
        body=message.get_body().decode(),
        session=message.session_id,
        id=message.message_id,
        count=message.delivery_count,
        subject=message.subject,
        correlation=message.correlation_id,
        properties=message.application_properties,
        sequence=message.sequence_number,
        process=os.getpid(),
    )
    if message.get_body() == b"hang":
        await asyncio.sleep(3600)
    if message.get_body().startswith(b"wait"):
        await asyncio.sleep(0.02)


@app.service_bus_queue_trigger(arg_name="message", queue_name="poison", connection="Bus")
async def poison(message: func.ServiceBusMessage) -> None:
    note("poison", count=message.delivery_count)
    raise RuntimeError("poison")


@app.service_bus_queue_trigger(arg_name="message", queue_name="poison/$deadletterqueue", connection="Bus")
async def poisoned(message: func.ServiceBusMessage) -> None:
    note("dead", id=message.message_id, reason=message.dead_letter_reason)


@app.service_bus_queue_trigger(arg_name="message", queue_name="noop", connection="Bus", is_sessions_enabled=True)
async def noop(message: func.ServiceBusMessage) -> None:
    return None


@app.event_grid_trigger(arg_name="event")
async def heard(event: func.EventGridEvent) -> None:
    data = event.get_json()
    note("heard", id=event.id, data=data, cloud=isinstance(event, func.CloudEvent))
    ATTEMPTS[event.id] += 1
    if data.get("fail_times", 0) >= ATTEMPTS[event.id]:
        raise RuntimeError("not yet")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
async def nightly(timer: func.TimerRequest) -> None:
    note("nightly", past_due=timer.past_due)
