"""The app on Azure's adapters, through their SDKs over sockets, against doubles of the services."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import azure.functions as func
import pytest

from functions import bus_lanes, grid_decisions, timers
from shared import bootstrap
from shared.adapters.azure import service_bus_lane
from shared.contracts.lanes import ACTIONS, INGESTION, MESSAGES, SWEEP
from shared.delivery import outbox
from shared.errors import ConfigurationError
from shared.settings import ADDRESSES, KEYS, NAMESPACES, settings_from
from tests.bench import facts
from tests.doubles.azure import Azure
from tests.doubles.hurried_sdk import hurried
from tests.functions.conftest import App

LANE_FUNCTIONS = {
    INGESTION.queue: bus_lanes.ingestion_completed,
    SWEEP.queue: bus_lanes.nightly_anomaly_sweep,
    MESSAGES.queue: bus_lanes.agent_message_posted,
    ACTIONS.queue: bus_lanes.action_requested,
}
STANDARD = {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def azure(app: App, settings: Callable[..., None]) -> AsyncIterator[Azure]:
    del app
    made = Azure()
    await made.start()
    settings(**made.settings)
    with hurried():
        yield made
        await bootstrap.shutdown()
    await made.stop()


async def deliver(azure: Azure) -> None:
    """Messages to their lanes' functions and events to theirs, until nothing is on its way."""
    while azure.messages or azure.events:
        while azure.messages:
            one = azure.messages.popleft()
            message = SimpleNamespace(
                get_body=lambda body=one.body: body,
                message_id=one.message_id,
                delivery_count=1,
                session_id=one.session_id,
            )
            await LANE_FUNCTIONS[one.lane].build().get_user_function()(message)
        events = list(azure.events)
        azure.events.clear()
        for event in events:
            told = {name: value for name, value in event.items() if name in STANDARD - {"time"}}
            extensions = {name: value for name, value in event.items() if name not in STANDARD}
            react = grid_decisions.transaction_decision_changed.build().get_user_function()
            await react(func.CloudEvent(**told, **extensions))


async def test_a_statement_is_accepted_decided_told_and_counted(app: App, azure: Azure):
    assert (await app.submit("t-0", "t-1", "t-2")).status == 202
    assert {one.session_id for one in azure.messages} == {"home"}
    await deliver(azure)
    page = (await app.call("list_transactions")).body["items"]
    assert sorted(one["facts"]["transaction_id"] for one in page) == ["t-0", "t-1", "t-2"]
    assert {one["decision_version"] for one in page} == {1}
    assert sum((await app.call("get_counters")).body["by_review_state"].values()) == 3
    assert (await app.call("verify_audit", {"from": 0})).body["ok"]


async def test_what_one_commit_promised_is_sent_once_and_as_one_batch(app: App, azure: Azure):
    ids = [f"t-{number:02}" for number in range(60)]
    assert (await app.submit(*ids)).status == 202
    assert bootstrap.delivery().bus.operations == 2  # a commit holds 40 rows at most
    assert len({one.message_id for one in azure.messages}) == len(azure.messages) == 60
    await deliver(azure)
    assert bootstrap.delivery().bus.operations == 2
    assert sum(azure.topic.batches) == 60  # decisions, each told by the invocation that made it
    assert await bootstrap.delivery().store.due("outbox", before="9999-01-01T00:00:00Z", limit=200) == []


async def test_a_silent_service_bus_holds_up_no_caller_and_the_timer_sends_later(
    app: App, azure: Azure, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(service_bus_lane, "ATTEMPT_SECONDS", 0.6)
    monkeypatch.setattr(service_bus_lane, "BUDGET_SECONDS", 3.0)
    await app.submit("t-0")  # links are open
    await deliver(azure)
    azure.queues.faults = ["hang"] * 20
    begun = time.monotonic()
    assert (await app.submit("t-1")).status == 202
    assert time.monotonic() - begun < outbox.RELAY_SECONDS + 1.5
    await asyncio.sleep(2.2)  # what still tries has given up
    azure.queues.faults = []
    azure.messages.clear()  # taken without a word, and lost
    await timers.relay_outbox.build().get_user_function()(None)
    assert len({one.message_id for one in azure.messages}) == 1
    await deliver(azure)
    page = (await app.call("list_transactions")).body["items"]
    assert {one["facts"]["transaction_id"]: one["decision_version"] for one in page} == {"t-0": 1, "t-1": 1}


async def test_the_first_command_after_a_cold_start_pays_each_client_once(app: App, azure: Azure):
    async def work(name: str) -> dict[str, int]:
        await app.submit(name)
        await deliver(azure)
        await timers.checkpoint_audit_heads.build().get_user_function()(None)
        await bootstrap.delivery().telemetry.flush()
        asked = azure.served.count()
        return {
            "cosmos": azure.cosmos.account_requests - known_before,
            "what the container is": asked["container"] + asked["ranges"],
            "service bus": azure.queues.connections,
            "event hubs": azure.hub.listener.connections,
            "event grid": len(azure.topic.server.connections),
            "blobs": len(azure.container.server.connections),
        }

    known_before = azure.cosmos.account_requests
    paid = await work("t-0")
    assert min(paid.values()) > 0, "each is used"
    for number in range(1, 4):
        assert await work(f"t-{number}") == paid
    assert {paid[name] for name in ("service bus", "event hubs", "event grid", "blobs")} == {1}


async def test_a_conversation_is_answered(app: App, azure: Azure):
    await app.submit("t-1")
    await deliver(azure)
    posted = await app.call("post_message", {"message": "How much did I spend on groceries?"}, id="c-1")
    assert posted.status == 202
    await deliver(azure)
    messages = (await app.call("get_conversation", id="c-1")).body["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant"]


async def test_a_profile_is_replaced_with_the_etag_that_was_read(app: App, azure: Azure):
    profile = {"chart": [], "base_currency": "EUR", "time_zone": "UTC", "accounts": ["acc"], "review_limit_minor": {}}
    assert (await app.call("put_profile", profile)).status == 200
    seen = (await app.call("get_profile")).headers["etag"]
    assert seen.count('"') == 2
    changed = {**profile, "time_zone": "Europe/Berlin"}
    assert (await app.call("put_profile", changed, headers={"If-Match": seen})).status == 200
    assert (await app.call("put_profile", profile, headers={"If-Match": seen})).status == 409


async def test_the_trace_of_a_call_travels_with_message_and_event(app: App, azure: Azure):
    reply = await app.submit("t-1")
    assert reply.status == 202
    await deliver(azure)
    sent = f"00-{TRACE}-00f067aa0ba902b7-01"
    await app.call("post_transactions", {"transactions": [facts("t-2")]}, headers={"traceparent": sent})
    (message,) = azure.messages
    assert (message.properties["traceparent"], json.loads(message.body)["traceparent"]) == (sent, sent)
    one = azure.messages.popleft()
    incoming = SimpleNamespace(
        get_body=lambda: one.body, message_id=one.message_id, delivery_count=1, session_id="home"
    )
    await LANE_FUNCTIONS[one.lane].build().get_user_function()(incoming)
    assert [event["traceparent"] for event in azure.events] == [sent]


async def test_checkpoints_and_telemetry_reach_their_services(app: App, azure: Azure):
    await app.submit("t-1")
    await deliver(azure)
    await timers.checkpoint_audit_heads.build().get_user_function()(None)
    assert {name.partition("/")[0] for name in azure.container.blobs} >= {"home"}
    assert len((await app.call("list_checkpoints")).body["items"]) == 1
    await bootstrap.delivery().telemetry.flush()
    told = {(event["type"], event.get("name", "")) for event in azure.hub.events}
    assert {("trace", "post_transactions"), ("trace", "ClassifyTransaction"), ("score", "")} <= told


async def test_readiness_names_the_service_that_fails(app: App, azure: Azure):
    ready = await app.call("ready")
    fine = dict.fromkeys(("store", "bus", "publisher", "checkpoints", "telemetry", "action_policy"), "ok")
    assert (ready.status, ready.body["checks"]) == (200, fine)
    await azure.topic.stop()
    await azure.container.stop()
    ready = await app.call("ready")
    assert ready.status == 503
    assert {name for name, told in ready.body["checks"].items() if told != "ok"} == {"publisher", "checkpoints"}
    assert "SharedAccessKey" not in json.dumps(ready.body)


@pytest.mark.parametrize(
    ("names", "port", "adapter"),
    [
        (("COSMOS_ENDPOINT", "COSMOS_KEY", "COSMOS_DATABASE"), "store", "CosmosDocumentStore"),
        (("SERVICEBUS_CONNECTION",), "bus", "ServiceBusCommandBus"),
        (("EVENTGRID_TOPIC_ENDPOINT", "EVENTGRID_TOPIC_KEY"), "events", "EventGridEventPublisher"),
        (("EVENTHUB_CONNECTION",), "telemetry", "EventHubsTelemetrySink"),
        (("CHECKPOINTS_URL", "CHECKPOINTS_KEY"), "checkpoints", "BlobCheckpointLog"),
    ],
)
async def test_each_port_is_chosen_by_itself(
    app: App, settings: Callable[..., None], names: tuple[str, ...], port: str, adapter: str
):
    azure = Azure()
    await azure.start()
    settings(**{name: azure.settings[name] for name in names})
    delivery = bootstrap.delivery()
    made = {
        name: type(getattr(delivery, name)).__name__ for name in ("store", "bus", "events", "telemetry", "checkpoints")
    }
    assert made.pop(port) == adapter
    assert all(name.startswith(("Sqlite", "JsonLines", "File")) for name in made.values()), made
    assert (await app.submit("t-1")).status == 202
    assert (await app.call("ready")).status == 200
    await bootstrap.shutdown()
    await azure.stop()


ON_AZURE: dict[str, str] = {
    "WEBSITE_SITE_NAME": "app", "AUTH_MODE": "jwt", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "JWT_JWKS_URI": "https://k",
    "COSMOS_ENDPOINT": "https://a.documents.azure.com", "EVENTGRID_TOPIC_ENDPOINT": "https://t.eventgrid.azure.net/api/events",
    "CHECKPOINTS_URL": "https://s.blob.core.windows.net/checkpoints",
    "SERVICEBUS_CONNECTION__fullyQualifiedNamespace": "b.servicebus.windows.net",
    "EVENTHUB_CONNECTION__fullyQualifiedNamespace": "h.servicebus.windows.net",
}  # fmt: skip


def test_on_azure_every_service_needs_its_address():
    assert settings_from(ON_AZURE).azure.cosmos_database == "countersign"
    for name in (*ADDRESSES, *NAMESPACES):
        with pytest.raises(ConfigurationError, match=name):
            settings_from({**ON_AZURE, name: ""})


@pytest.mark.parametrize("name", KEYS)
def test_on_azure_no_key_is_taken_and_none_is_repeated(name: str):
    with pytest.raises(ConfigurationError, match=name) as refused:
        settings_from({**ON_AZURE, name: "c2VjcmV0"})
    assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize("name", [*ADDRESSES, "OPENAI_BASE_URL"])
@pytest.mark.parametrize("wrong", ["a.documents.azure.com", "ftp://x", "http://plain.example"])
def test_an_address_on_azure_is_https(name: str, wrong: str):
    with pytest.raises(ConfigurationError, match=name):
        settings_from({**ON_AZURE, name: wrong})


async def test_what_is_missing_is_named_by_the_first_call_and_hides_nothing(app: App, settings: Callable[..., None]):
    settings(**{**ON_AZURE, "COSMOS_ENDPOINT": "", "CHECKPOINTS_URL": ""})
    assert (await app.call("health")).status == 200
    ready = await app.call("ready")
    assert ready.status == 503
    assert "COSMOS_ENDPOINT, CHECKPOINTS_URL" in ready.body["checks"]["configuration"]
