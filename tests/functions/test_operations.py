"""Parked commands, findings, profile, audit, health: what operators, auditors and reviewers do all day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from functions import readiness
from shared import bootstrap
from shared.contracts import answers, audit_answers
from shared.contracts.commands import envelope, parse_envelope
from shared.contracts.instants import text
from shared.delivery.parking import Incoming, park_command, park_unreadable
from shared.delivery.retry import Park
from shared.errors import RetryableError
from shared.ports.document_store import Document
from tests.bench import facts
from tests.functions.conftest import App, dev


async def park() -> str:
    """A command of the tenant `home` that could not succeed."""
    delivery = bootstrap.delivery()
    command = envelope(
        "ClassifyTransaction", {"transaction": facts("t-7")}, command_id="c-7", tenant="home", source="test",
        issued_at=delivery.now(),
    )  # fmt: skip
    body = orjson.dumps(command)
    await park_command(
        delivery, Incoming("runtime-ingestion-completed", body, "m-7"), parse_envelope(body), Park("broken", "it broke")
    )
    return "c-7"


async def raise_finding(finding_id: str = "f-1") -> None:
    at = text(bootstrap.delivery().now())
    body = {"kind": "outlier_amount", "subject": "t-1", "severity": "Warning", "summary": "odd", "state": "open",
            "raised_at": at, "run_id": "r-1"}  # fmt: skip
    document = Document(
        "home", f"finding:{finding_id}", "finding", body, sort=at, keys={"state": "open", "subject": "t-1"}
    )
    await bootstrap.delivery().store.commit("home", [document])


async def test_a_parked_command_is_seen_and_replayed_once(app: App):
    parked_id = await park()
    listed = await app.call("list_parked", params={"state": "parked"})
    assert [one["reason"] for one in listed.body["items"]] == ["broken"]
    assert "message" not in listed.body["items"][0]
    answers.ParkedPage.model_validate(listed.body)
    answers.Parked.model_validate((await app.call("get_parked", id=parked_id)).body)
    first = await app.call("replay_parked", {"note": "fixed"}, id=parked_id)
    assert (first.status, first.body["state"]) == (200, "replayed")
    answers.Resolution.model_validate(first.body)
    assert (await app.call("replay_parked", {"note": "fixed"}, id=parked_id)).body == first.body
    late = await app.call("discard_parked", {}, id=parked_id)
    assert (late.status, late.body["type"]) == (409, "urn:countersign:problem:already_resolved")


async def test_what_is_unreadable_is_in_the_system_tenant(app: App):
    await park_unreadable(
        bootstrap.delivery(), Incoming("runtime-ingestion-completed", b"\xff", "m-1"), Park("bad", "x")
    )
    assert (await app.call("list_parked")).body["items"] == []
    system = dev(tenants="system")
    (found,) = (await app.call("list_parked", as_=system)).body["items"]
    replay = await app.call("replay_parked", {}, as_=system, id=found["parked_id"])
    assert (replay.status, replay.body["type"]) == (409, "urn:countersign:problem:not_replayable")
    assert (await app.call("discard_parked", {}, as_=system, id=found["parked_id"])).body["state"] == "discarded"
    assert (await app.call("get_parked", id=found["parked_id"])).status == 404


async def test_a_finding_is_closed_once_with_a_note_on_the_record(app: App):
    await raise_finding()
    listed = await app.call("list_findings", params={"state": "open"})
    answers.FindingPage.model_validate(listed.body)
    closed = await app.call("close_finding", {"note": "a birthday"}, id="f-1")
    assert (closed.body["state"], closed.body["closed_by"]) == ("closed", "dev:alice")
    answers.Finding.model_validate(closed.body)
    assert (await app.call("close_finding", {"note": "a birthday"}, id="f-1")).body == closed.body
    other = await app.call("close_finding", {"note": "no"}, id="f-1")
    assert (other.status, other.body["type"]) == (409, "urn:countersign:problem:already_closed")
    assert (await app.call("list_findings", params={"state": "open"})).body["items"] == []
    records = (await app.call("list_audit")).body["items"]
    assert [(one["what"], one["payload"]["note"]) for one in records] == [("finding_closed", "a birthday")]
    assert (await app.call("close_finding", {"note": "x"}, as_=dev(tenants="desk"), id="f-1")).status == 404


PROFILE = {
    "chart": ["rent", "Essen & Trinken"],
    "base_currency": "CHF",
    "time_zone": "Europe/Zurich",
    "accounts": ["a-1"],
}


async def test_a_profile_is_changed_only_as_it_was_seen(app: App):
    assert (await app.call("get_profile")).body["chart"] == []
    first = await app.call("put_profile", PROFILE)
    assert first.status == 200
    answers.Profile.model_validate(first.body)
    seen = await app.call("get_profile")
    assert seen.headers["etag"] == first.headers["etag"]
    changed = PROFILE | {"base_currency": "EUR"}
    assert (await app.call("put_profile", changed)).body["type"] == "urn:countersign:problem:if_match_required"
    await app.submit("t-1", account="a-2")
    stale = await app.call("put_profile", changed, headers={"If-Match": seen.headers["etag"]})
    assert (stale.status, stale.body["type"]) == (409, "urn:countersign:problem:etag_stale")
    now = await app.call("get_profile")
    assert now.body["accounts"] == ["a-1", "a-2"]
    again = await app.call("put_profile", changed, headers={"If-Match": now.headers["etag"]})
    assert (again.status, again.body["accounts"]) == (200, ["a-1"])
    repeated = await app.call("put_profile", changed, headers={"If-Match": now.headers["etag"]})
    assert (repeated.status, repeated.headers["etag"]) == (200, again.headers["etag"])
    records = (await app.call("list_audit")).body["items"]
    assert [one["payload"]["changed"] for one in records if one["what"] == "profile_changed"] == [
        ["accounts", "base_currency", "chart", "time_zone"], ["accounts", "base_currency"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "spoilt",
    [{"base_currency": "XXX"}, {"time_zone": "Mars/Base"}, {"time_zone": "../etc"}, {"chart": ["a", "a"]},
     {"chart": [" a"]}, {"chart": ["a"] * 301}, {"chart": ["x" * 121]}, {"accounts": ["a b"]}],
)  # fmt: skip
async def test_a_profile_that_makes_no_sense_is_refused(app: App, spoilt: dict[str, Any]):
    reply = await app.call("put_profile", PROFILE | spoilt)
    assert (reply.status, len(reply.body["errors"]) > 0) == (400, True)


async def test_categories_are_the_tenants_or_the_policys(app: App):
    reply = await app.call("list_categories")
    answers.Categories.model_validate(reply.body)
    assert (reply.body["source"], "food.groceries" in reply.body["items"]) == ("policy", True)
    await app.call("put_profile", PROFILE)
    assert (await app.call("list_categories")).body["items"] == PROFILE["chart"]
    answers.Counters.model_validate((await app.call("get_counters")).body)


async def test_the_chain_is_read_exported_and_verified_in_pages(app: App):
    for number in range(5):
        await app.submit(f"t-{number}")
    page = await app.call("list_audit", params={"after": "1", "limit": "3"})
    assert ([one["sequence"] for one in page.body["items"]], page.body["next_after"]) == ([2, 3, 4], 4)
    audit_answers.AuditPage.model_validate(page.body)
    export = await app.call("export_audit", params={"after": "4"})
    assert (export.kind, export.body.count(b"\n"), "x-next-after" in export.headers) == (
        "application/x-ndjson",
        1,
        False,
    )
    whole = await app.call("verify_audit", {})
    assert (whole.body["ok"], whole.body["verified_to"], whole.body["next_from"]) == (True, 5, 0)
    audit_answers.Verification.model_validate(whole.body)
    part = await app.call("verify_audit", {"from": 3, "from_hash": page.body["items"][1]["hash"]})
    assert (part.body["ok"], part.body["records"]) == (True, 2)
    wrong = await app.call("verify_audit", {"from": 3, "from_hash": "0" * 64})
    assert (wrong.body["ok"], wrong.body["broken_at"]) == (False, 4)
    assert (await app.call("verify_audit", {"from": 99})).status == 404


async def test_a_long_chain_is_verified_call_by_call(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.flows.reading.MAX_VERIFIED", 2)
    monkeypatch.setattr("functions.http_audit.EXPORT_LINES", 2)
    for number in range(3):
        await app.submit(f"t-{number}")
    first = (await app.call("verify_audit", {})).body
    assert (first["ok"], first["verified_to"], first["next_from"]) == (True, 2, 2)
    rest = (await app.call("verify_audit", {"from": first["next_from"], "from_hash": first["head_hash"]})).body
    assert (rest["ok"], rest["verified_to"], rest["next_from"]) == (True, 3, 0)
    assert (await app.call("export_audit")).headers["x-next-after"] == "2"


async def test_checkpoints_are_listed(app: App):
    from shared.delivery.checkpoints import checkpoint_all

    await app.submit("t-1")
    await checkpoint_all(bootstrap.delivery())
    reply = await app.call("list_checkpoints")
    assert [one["sequence"] for one in reply.body["items"]] == [1]
    audit_answers.CheckpointList.model_validate(reply.body)


async def test_it_is_alive_whatever_is_broken(app: App, settings: Callable[..., None]):
    settings(AUTH_MODE="nonsense")
    assert (await app.call("health")).body == {"status": "alive"}
    ready = await app.call("ready")
    assert (ready.status, ready.body["ready"]) == (503, False)
    assert "AUTH_MODE" in ready.body["checks"]["configuration"]
    reply = await app.call("list_runs")
    assert (reply.status, reply.body["type"]) == (500, "urn:countersign:problem:configuration")
    assert "AUTH_MODE" in reply.body["detail"]


async def test_ready_names_what_fails_and_why(app: App, monkeypatch: pytest.MonkeyPatch):
    good = await app.call("ready")
    fine = dict.fromkeys(("store", "bus", "publisher", "checkpoints", "telemetry", "action_policy"), "ok")
    assert (good.status, good.body["checks"]) == (200, fine)
    answers.Readiness.model_validate(good.body)

    async def down() -> None:
        raise RetryableError("the disk is full")

    async def silent() -> None:
        await asyncio.Event().wait()

    delivery = bootstrap.delivery()
    monkeypatch.setattr(readiness, "PING_SECONDS", 0.05)
    monkeypatch.setattr(delivery.store, "ping", down)
    monkeypatch.setattr(delivery.bus, "ping", silent)
    bad = await app.call("ready")
    assert (bad.status, bad.body["checks"]) == (
        503, {**fine, "store": "the disk is full", "bus": "no answer within 0.05 s"},
    )  # fmt: skip
    await delivery.checkpoints.close()
    assert "closed" in (await app.call("ready")).body["checks"]["checkpoints"]


async def test_a_bank_that_is_down_is_told_and_keeps_nobody_away(app: App, settings: Callable[..., None]):
    settings(BANK_URL="http://127.0.0.1:1", BANK_TOKEN="token")  # noqa: S106
    ready = await app.call("ready")
    assert ready.status == 200
    assert ready.body["checks"]["bank"] not in ("", "ok")


async def test_a_store_that_is_down_is_503_with_a_time_to_come_back(app: App, monkeypatch: pytest.MonkeyPatch):
    async def down(*_: Any, **__: Any) -> None:
        raise RetryableError("locked", code="store_unavailable")

    monkeypatch.setattr(bootstrap.delivery().store, "query", down)
    reply = await app.call("list_runs")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


async def test_an_unexpected_error_tells_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def bug(*_: Any, **__: Any) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(bootstrap.delivery().store, "query", bug)
    reply = await app.call("list_runs")
    assert (reply.status, reply.body["detail"]) == (500, "an unexpected error; it was logged")
    assert "a secret" in caplog.text


async def test_an_operator_cannot_lock_itself_out(app: App):
    reply = await app.call("put_member", {"principal": "dev:alice", "roles": ["member"]})
    assert (reply.status, reply.body["type"]) == (409, "urn:countersign:problem:own_operator")
    member = await app.call("put_member", {"principal": "dev:bob", "roles": ["member", "auditor"]})
    answers.Member.model_validate(member.body)
    answers.MemberPage.model_validate((await app.call("list_members")).body)
    assert (await app.call("put_member", {"principal": "x", "roles": []}, as_=dev(tenants="system"))).status == 400


async def test_an_erasure_must_be_confirmed_by_name(app: App):
    await app.submit("t-1")
    assert (await app.call("post_erasure", {"whole_tenant": True, "confirm": "desk"})).status == 400
    assert (await app.call("post_erasure", {"account": "a", "whole_tenant": True, "confirm": "home"})).status == 400
    assert (await app.call("post_erasure", {"confirm": "home"})).status == 400
    done = await app.call("post_erasure", {"transaction_ids": ["t-1"], "confirm": "home"})
    assert (done.status, done.body["state"], done.body["counts"]["transaction"]) == (200, "done", 1)
    answers.Erasure.model_validate(done.body)
    assert (await app.call("get_erasure", id=done.body["erasure_id"])).body == done.body
    assert (await app.call("get_transaction", id="t-1")).status == 404
    assert (await app.call("list_transactions")).body["items"] == []
    review = await app.call("review_transaction", {"action": "route", "decision_version": 0}, id="t-1")
    assert review.status == 404
    assert (await app.submit("t-1", "t-2")).body["refused_ids"] == ["t-1"]
    assert (await app.call("verify_audit", {})).body["ok"]


async def test_a_persons_conversations_are_a_scope_of_their_own(app: App):
    assert (await app.call("post_message", {"message": "the zebra is mine"}, id="c-1")).status == 202
    both = {"principal": "dev:alice", "account": "a", "confirm": "home"}
    assert (await app.call("post_erasure", both)).status == 400
    done = await app.call("post_erasure", {"principal": "dev:alice", "confirm": "home"})
    assert answers.Erasure.model_validate(done.body).scope_kind == "principal"
    assert (done.status, done.body["counts"]["message"]) == (200, 1)
    assert (await app.call("get_conversation", id="c-1")).body["messages"] == []
    assert (await app.call("verify_audit", {})).body["ok"]


async def test_a_long_erasure_answers_202_and_goes_on(app: App, monkeypatch: pytest.MonkeyPatch):
    await app.submit(*(f"t-{number}" for number in range(60)))
    monkeypatch.setattr("shared.flows.erase.SECONDS", 0.0)
    wish = {"account": "acc-current", "confirm": "home"}
    begun = await app.call("post_erasure", wish)
    assert (begun.status, begun.headers["location"]) == (202, f"/api/v1/erasures/{begun.body['erasure_id']}")
    monkeypatch.setattr("shared.flows.erase.SECONDS", 20.0)
    done = await app.call("post_erasure", wish)
    assert (done.status, done.body["erasure_id"]) == (200, begun.body["erasure_id"])
