"""Whatever is wrong with a setting is named at first use, beside how everything else is, and hides nothing."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable

import pytest

from shared import bootstrap
from tests.doubles.azure import Azure
from tests.doubles.identity import IdentityEndpoint
from tests.functions.conftest import App, Reply

Settings = Callable[..., None]
BUS = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=app;SharedAccessKey=a;UseDevelopmentEmulator=true"
GIVEN = "cGVyaGFwcyBzZWNyZXQ="


@pytest.fixture
async def azure(app: App) -> AsyncIterator[Azure]:
    del app
    made = Azure()
    await made.start()
    yield made
    await bootstrap.shutdown()
    await made.stop()


async def settled(app: App) -> Reply:
    """What readiness says once no answer is merely late: a library's first seconds pass with getting ready itself."""
    for _ in range(8):
        ready = await app.call("ready")
        if not any(
            "no answer" in told or "within" in told or "Timeout" in told for told in ready.body["checks"].values()
        ):
            break
    return ready


@pytest.mark.parametrize(
    ("wrong", "failing"),
    [
        ({"COSMOS_ENDPOINT": "http://127.0.0.1:9"}, ("store", "look at COSMOS_ENDPOINT")),
        ({"COSMOS_DATABASE": "nope"}, ("store", "no database 'nope' with a container 'documents'")),
        ({"COSMOS_CONTAINER": "nope"}, ("store", "with a container 'nope'")),
        ({"SERVICEBUS_CONNECTION": BUS}, ("bus", "Connect call failed")),
        ({"EVENTGRID_TOPIC_ENDPOINT": "http://127.0.0.1:9/api/events"}, ("publisher", "Connect call failed")),
        ({"CHECKPOINTS_URL": "{account}/nope"}, ("checkpoints", "look at CHECKPOINTS_URL")),
        ({"CHECKPOINTS_KEY": GIVEN}, ("checkpoints", "look at the app's identity")),
        ({"BANK_URL": "http://127.0.0.1:9", "BANK_TOKEN": "t"}, ("bank", "bank was not reached")),
        ({"MODEL": "gpt", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, ("model", "gpt cannot be reached")),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
async def test_what_does_not_answer_is_named_and_all_else_is_fine(
    app: App, azure: Azure, settings: Settings, wrong: dict[str, str], failing: tuple[str, str]
):
    check, said = failing
    account = azure.container.url.rpartition("/")[0]
    settings(**azure.settings | {name: value.format(account=account) for name, value in wrong.items()})
    ready = await settled(app)
    troubles = {name: told for name, told in ready.body["checks"].items() if told != "ok"}
    assert list(troubles) == [check]
    assert said in troubles[check]
    assert ready.status == (503 if check in ("store", "bus", "publisher") else 200)
    assert (await app.call("health")).status == 200
    assert GIVEN not in json.dumps(ready.body)


@pytest.mark.parametrize(
    "wrong", [{"EVENTHUB_NAME": "nope"}, {"EVENTHUB_CONNECTION": BUS}], ids=lambda value: next(iter(value))
)
async def test_telemetry_that_nobody_takes_is_told_once_it_was_sent(
    app: App, azure: Azure, settings: Settings, wrong: dict[str, str]
):
    settings(**azure.settings | wrong)
    assert (await app.submit("t-1")).status == 202
    for _ in range(40):
        await bootstrap.delivery().telemetry.flush()
        ready = await app.call("ready")
        if ready.body["checks"]["telemetry"] != "ok":
            break
    assert ready.status == 200
    assert ready.body["checks"]["telemetry"].startswith("Event Hubs does not take ")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"COSMOS_KEY": "not base64!"}, "COSMOS_KEY is no key"),
        ({"COSMOS_KEY": ""}, "COSMOS_ENDPOINT is http.*set COSMOS_KEY"),
        ({"CHECKPOINTS_KEY": ""}, "CHECKPOINTS_URL is http.*set CHECKPOINTS_KEY"),
        ({"EVENTGRID_TOPIC_KEY": ""}, "EVENTGRID_TOPIC_ENDPOINT is http"),
        ({"CHECKPOINTS_URL": "http://127.0.0.1:1/account"}, "CHECKPOINTS_URL names no container"),
        ({"CHECKPOINTS_URL": "https://s.blob.core.windows.net/"}, "CHECKPOINTS_URL names no container"),
        ({"EVENTHUB_CONNECTION": "garbage"}, "EVENTHUB_CONNECTION takes a connection string"),
        ({"SERVICEBUS_CONNECTION": "garbage"}, "SERVICEBUS_CONNECTION"),
        ({"SERVICEBUS_CONNECTION__fullyQualifiedNamespace": "sb://b.servicebus.windows.net"}, "takes a host name"),
        ({"EVENTHUB_CONNECTION__fullyQualifiedNamespace": "https://h/"}, "takes a host name"),
    ],
)
async def test_what_could_never_work_is_named_before_anything_is_opened(
    app: App, azure: Azure, settings: Settings, wrong: dict[str, str], said: str
):
    settings(**azure.settings | wrong)
    ready = await app.call("ready")
    assert ready.status == 503
    (told,) = ready.body["checks"].values()
    assert re.search(said, told), told


async def test_an_identity_that_is_none_is_named_by_every_service_that_wants_it(
    app: App, azure: Azure, settings: Settings, identity: IdentityEndpoint
):
    identity.knows = "another-app"
    keyless = {"COSMOS_KEY": "", "EVENTGRID_TOPIC_KEY": "", "CHECKPOINTS_KEY": ""}
    elsewhere = {
        "COSMOS_ENDPOINT": "https://127.0.0.1:9",
        "EVENTGRID_TOPIC_ENDPOINT": "https://127.0.0.1:9/api/events",
        "CHECKPOINTS_URL": "https://127.0.0.1:9/account/checkpoints",
        "AZURE_CLIENT_ID": "the-app",
    }
    settings(**azure.settings | keyless | elsewhere)
    wanting = ("store", "publisher", "checkpoints")
    checks = (await settled(app)).body["checks"]
    assert {name: "AZURE_CLIENT_ID" in checks[name] for name in wanting} == dict.fromkeys(wanting, True), checks


async def test_a_check_that_stumbles_leaves_the_others_their_say(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def stumbles() -> None:
        raise ValueError(f"cannot read {GIVEN}")

    monkeypatch.setattr(bootstrap.delivery().bus, "ping", stumbles)
    ready = await app.call("ready")
    assert (ready.status, ready.body["checks"]["bus"]) == (503, "ValueError; the log says more")
    assert ready.body["checks"]["store"] == "ok"
    assert "a check of readiness failed unexpectedly" in caplog.text
