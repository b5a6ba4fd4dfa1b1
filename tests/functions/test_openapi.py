"""The description of the interface is the interface: committed, drift-free, and what the functions really answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from functions import openapi
from functions.roles import WHO_MAY, WHO_MAY_STREAM
from shared.contracts.decision_event import TransactionDecisionChanged
from shared.ledger.events import DECISION_CHANGED, decision_changed
from shared.ledger.transactions import unclassified
from tests.bench import facts
from tests.functions.conftest import App, http_names
from tests.functions.stream_bench import functions

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_document_is_what_the_code_says():
    committed = (DOCS / "openapi.json").read_text(encoding="utf-8")
    assert committed == openapi.written(openapi.document()), "run `python -m functions.openapi`"


@pytest.mark.parametrize("name", ["command-envelope.json", "transaction-decision-changed.json", "telemetry.json"])
def test_the_committed_schemas_are_what_the_code_says(name: str):
    committed = (DOCS / "schemas" / name).read_text(encoding="utf-8")
    assert committed == openapi.written(openapi.schemas()[name]), "run `python -m functions.openapi`"


def operations() -> list[dict[str, Any]]:
    return [operation for methods in openapi.document()["paths"].values() for operation in methods.values()]


def test_every_http_function_is_described_with_its_roles():
    second = {"post_chat", "post_agui"}
    assert sorted(one["operationId"] for one in operations()) == sorted([*http_names(), *second])
    for one in operations():
        assert one["summary"], one["operationId"]
        assert bool(one["security"]) == bool((WHO_MAY | WHO_MAY_STREAM)[one["operationId"]])
        assert ("401" in one["responses"]) == bool(one["security"])


def test_the_second_app_is_described_as_it_is():
    """Its live streams are told of where the first app has the same paths."""
    paths = openapi.document()["paths"]
    told = {one.name: one for one in openapi.SECOND_APP}
    for name, function in functions().items():
        trigger = function.get_trigger().get_dict_repr()
        (method,) = [str(getattr(one, "value", one)).lower() for one in trigger["methods"]]
        operation = paths[f"/api/{trigger['route']}"][method]
        assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"], name
        if name in told:
            says = " ".join(function.get_user_function().__doc__.split())
            assert told[name] == openapi.Endpoint(name, method, f"/api/{trigger['route']}", says)
    assert set(told) == {name for name in functions() if not name.startswith("follow_")}


def test_every_reference_leads_somewhere():
    document = openapi.document()
    names = set(re.findall(r"#/components/schemas/([A-Za-z0-9_-]+)", json.dumps(document)))
    assert names <= set(document["components"]["schemas"])


async def test_it_is_served_beside_the_version_and_at_the_root(app: App):
    for name in ("openapi", "openapi_v1"):
        assert (await app.call(name, as_={})).body == openapi.document()


def test_the_event_is_what_its_schema_says():
    body = unclassified("home", facts(), at="2026-03-01T12:00:00.000000Z", ingestion_id="i", run_id="r").body
    event = decision_changed(
        "home", body, at="2026-03-01T12:00:00.000000Z", run_id="r", correlation_id="c", traceparent=""
    )
    told = TransactionDecisionChanged.model_validate(event)
    assert (told.type, set(event["data"])) == (DECISION_CHANGED, set(type(told.data).model_fields))
    schema = openapi.schemas()["transaction-decision-changed.json"]
    assert set(schema["properties"]) == {*event, "traceparent"}
