"""Every operation of docs/openapi.json, asked on the real host: what comes back is what the document says."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from functions.operations import EVENT_STREAM, OPERATIONS
from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.answers import Problem
from shared.contracts.lanes import INGESTION
from shared.ports.command_bus import OutgoingMessage
from tests.bench import facts
from tests.journeys.hostile import command
from tests.journeys.hosts import LocalHost, Reply, dev, rows, wait_for

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8"))
PRODUCERS = [{"name": "pipeline", "command_types": ["ClassifyTransaction"], "tenants": ["household"]}]
RITA = dev("rita", roles="reviewer")


class Documented:
    """A host whose every answer is held against the document. `answered`: statuses by operation."""

    def __init__(self, host: LocalHost) -> None:
        self.host = host
        self.answered: dict[str, Counter[int]] = {}
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), told) for path, told in DOCUMENT["paths"].items()
        ]

    def call(self, method: str, path: str, body: Any = None, headers: Any = None, *, as_: Any = None) -> Any:
        """The body of the answer."""
        reply = self.host.call(method, f"/api{path}", body, headers, as_=as_)
        bare = f"/api{path}".partition("?")[0]
        operation = next(told[method.lower()] for pattern, told in self._paths if pattern.fullmatch(bare))
        name = operation["operationId"]
        assert str(reply.status) in operation["responses"], (name, reply)
        content = operation["responses"][str(reply.status)]["content"]
        assert reply.headers["content-type"].partition(";")[0] in content, (name, reply.headers)
        _fits(reply, OPERATIONS[name].gives if reply.status < 400 or name == "ready" else Problem)
        self.answered.setdefault(name, Counter())[reply.status] += 1
        return reply.body

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def found(self, path: str) -> Any:
        """The items of a list, once there are any."""
        return wait_for(lambda: self.get(path)["items"], f"an item of {path}")


def _fits(reply: Reply, shape: type[BaseModel] | None) -> None:
    """Nothing is missing, of another type, or told without being in the document."""
    if shape is None:
        return
    bodies = [json.loads(line) for line in reply.body.splitlines()] if isinstance(reply.body, bytes) else [reply.body]
    for body in bodies:
        read = shape.model_validate_json(json.dumps(body), strict=True)
        told = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert _untold(body, told, shape.__name__) == []


def _untold(body: Any, told: Any, at: str) -> list[str]:
    """Places in the answer that the document does not know, or knows otherwise."""
    if isinstance(body, dict) and isinstance(told, dict):
        absent = [f"{at}.{name}" for name in body.keys() - told.keys()]
        return absent + [one for name in told for one in _untold(body[name], told[name], f"{at}.{name}")]
    if isinstance(body, list) and isinstance(told, list):
        return sorted(
            {one for ours, theirs in zip(body, told, strict=True) for one in _untold(ours, theirs, f"{at}[]")}
        )
    return [] if body == told else [at]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documented]:
    folder = tmp_path_factory.mktemp("documented") / "data"
    with LocalHost(folder, OUTSIDE_PRODUCERS=json.dumps(PRODUCERS), MODEL="") as host:
        yield Documented(host)


def test_what_is_without_a_caller(api: Documented):
    for path in ("/health", "/ready", "/openapi.json", "/v1/openapi.json"):
        api.get(path, as_={})
    assert api.get("/openapi.json") == DOCUMENT


def test_transactions_runs_and_what_people_decide(api: Documented):
    day = time.strftime("%Y-%m-%d")
    twice = rows("t-1", "t-2", booked_on=day)
    odd = facts("t-3", booked_on=day, descriptor="QQ NOBODY KNOWS THIS", mcc="")
    sent = api.call("POST", "/v1/transactions", {"transactions": [*twice["transactions"], odd]})
    api.host.settled(3)
    api.get(f"/v1/ingestions/{sent['ingestion_id']}")
    api.get("/v1/transactions?review_state=NeedsReview&limit=1")
    version = api.get("/v1/transactions/t-3")["decision_version"]
    review = {"action": "reclassify", "decision_version": version, "category": "food.groceries"}
    api.call("POST", "/v1/transactions/t-3/review", review)
    api.call("POST", "/v1/transactions/t-3/review", review)  # 409
    api.get("/v1/transactions/none")
    history = {"rows": [{"transaction": facts("h-1", booked_on="2026-01-05"), "category": "food.groceries"}]}
    api.call("POST", "/v1/history", history)
    run_id = api.get("/v1/runs?limit=5")["items"][0]["run_id"]
    api.get(f"/v1/runs/{run_id}")
    api.get(f"/v1/runs/{run_id}/audit")
    api.get("/v1/audit?after=0&limit=3")
    api.call("POST", "/v1/audit/verify", {"from": 0})
    api.get("/v1/audit/export?after=0")
    api.get("/v1/audit/checkpoints")
    api.get("/v1/counters")
    api.get("/v1/categories")


def test_findings_and_parked_commands(api: Documented):
    assert api.host.call("POST", "/admin/functions/start_nightly_sweep", {}).status == 202
    finding = api.found("/v1/findings")[0]
    api.call("POST", f"/v1/findings/{finding['finding_id']}/close", {"note": "it was paid once"})
    put(
        api.host, command(1, tenant="household", command_id="p", payload={"transaction": facts("t-1", amount_minor=-1)})
    )
    parked = api.found("/v1/parked?state=parked")[0]
    path = f"/v1/parked/{parked['parked_id']}"
    api.get(path)
    api.call("POST", f"{path}/replay", {"note": "again"})
    again = api.found("/v1/parked?state=parked")[0]
    api.call("POST", f"/v1/parked/{again['parked_id']}/discard", {"note": "no"})


def put(host: LocalHost, told: dict[str, Any]) -> None:
    """A message on the lane, as an outside producer sends it."""

    async def send() -> None:
        lanes = SqliteLanes(host.data / "lanes.db")
        raw = json.dumps(told).encode()
        await SqliteCommandBus(lanes).send([OutgoingMessage(INGESTION.queue, raw, "m-1", session_id=told["tenant"])])
        await lanes.close()

    asyncio.run(send())


@pytest.mark.parametrize("family", ["agent", "assistant"])
def test_a_conversation_its_card_and_its_effect(api: Documented, family: str):
    talk = f"/v1/{family}/conversations/{family}"
    api.call("POST", f"{talk}/messages", {"message": "Transfer 5 euros from my current account to Anna"})
    (card_id,) = wait_for(lambda: api.get(talk)["open_approvals"], "the card")
    api.call("PUT", f"{talk}/settings", {"when_busy": "enqueue"})
    api.get(f"/v1/{family}/conversations")
    assert b"RUN_FINISHED" in api.get(f"{talk}/stream")
    api.get("/v1/approvals?state=pending")
    card = api.get(f"/v1/approvals/{card_id}")
    answer = {"decision": "approve", "card_digest": card["card_digest"]}
    api.call("POST", f"{talk}/approvals/{card_id}", answer)  # whose wish it was may not sign
    api.call("POST", f"{talk}/approvals/{card_id}", answer, as_=RITA)
    api.call("POST", f"/v1/approvals/{card_id}/answer", answer, as_=RITA)
    api.get(f"/v1/actions/{card['action_id']}")
    wait_for(lambda: api.get(f"/v1/actions/{card['action_id']}")["state"] == "done", "the effect")
    api.get("/v1/actions?state=done")
    api.get("/v1/metrics/actions")


def test_what_a_wish_leaves_in_our_own_store(api: Documented):
    for words in (
        "Set a budget of 100 euros a month for groceries",
        "Draft a message to Bob saying see you at eight",
        "Turn off notifications about large transactions",
        "Export my statement",
    ):
        answer = api.call("POST", "/v1/chat", {"message": words, "conversation_id": "wishes"})
        assert b"event: done" in answer, words
    api.found("/v1/budgets")
    api.found("/v1/drafts")
    api.get("/v1/preferences")
    done = wait_for(
        lambda: [one for one in api.get("/v1/actions?state=done")["items"] if one["action"] == "export_statement"],
        "the file",
    )
    assert b"t-1" in api.get(f"/v1/actions/{done[0]['action_id']}/statement")


def test_an_ag_ui_run(api: Documented):
    asked = {"threadId": "agui", "runId": "r", "messages": [{"id": "u", "role": "user", "content": "help"}]}
    assert b"RUN_FINISHED" in api.call("POST", "/v1/agui", asked)
    api.call("POST", "/v1/agui", {**asked, "messages": []})  # 400


def test_the_tenant_itself(api: Documented):
    seen = api.host.call("GET", "/api/v1/profile")
    profile = {name: api.get("/v1/profile")[name] for name in ("chart", "base_currency", "time_zone", "accounts")}
    api.call("PUT", "/v1/profile", {**profile, "time_zone": "Europe/Berlin"}, {"If-Match": seen.headers["etag"]})
    api.call("PUT", "/v1/members", {"principal": "dev:bob", "roles": ["member"]})
    api.get("/v1/members")
    erasure = api.call("POST", "/v1/erasures", {"transaction_ids": ["t-2"], "confirm": "household"})
    api.get(f"/v1/erasures/{erasure['erasure_id']}")


def test_no_operation_was_left_out(api: Documented):
    """Run with the others."""
    done = {name for name, statuses in api.answered.items() if any(status < 300 for status in statuses)}
    assert set(OPERATIONS) - done == set()
    assert {name for name in done if OPERATIONS[name].gives_type == EVENT_STREAM} >= {"post_chat", "post_agui"}
