"""What somebody with bad intentions, or a bad client, tries on a running host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import INGESTION
from shared.ledger.transactions import classify_command_id
from shared.ports.command_bus import OutgoingMessage
from tests.bench import facts
from tests.journeys.hostile import command
from tests.journeys.hosts import LocalHost, Reply, dev, rows, wait_for

PRODUCERS = [
    {"name": "pipeline", "command_types": ["ClassifyTransaction", "IngestionCompleted"], "tenants": ["parked"]}
]
UNKNOWN = "QQ NOBODY KNOWS THIS"
SYSTEM = dev("olga", "system", "auditor,operator")
HOOK = "/runtime/webhooks/EventGrid?functionName=transaction_decision_changed"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    folder = tmp_path_factory.mktemp("attacks") / "data"
    with LocalHost(folder, OUTSIDE_PRODUCERS=json.dumps(PRODUCERS)) as started:
        yield started


def waiting(host: LocalHost, tenant: str, *ids: str) -> None:
    """Transactions that wait for a person."""
    assert host.upload(rows(*ids, descriptor=UNKNOWN, mcc=""), as_=dev(tenant=tenant)).status == 202
    assert host.settled(len(ids), as_=dev(tenant=tenant)) == {"NeedsReview": len(ids)}


def review(host: LocalHost, id_: str, *, as_: dict[str, str], version: int = 1, key: str = "", **changes: Any) -> Reply:
    body = {"action": "reclassify", "decision_version": version, "category": "food.groceries", **changes}
    return host.call(
        "POST", f"/api/v1/transactions/{id_}/review", body, {"Idempotency-Key": key} if key else None, as_=as_
    )


def put(host: LocalHost, *messages: tuple[str, dict[str, Any]]) -> None:
    """(message id, envelope) on the lane, as somebody with the right to send could."""

    async def send() -> None:
        lanes = SqliteLanes(host.data / "lanes.db")
        bus = SqliteCommandBus(lanes)
        for message_id, told in messages:
            raw = json.dumps(told).encode()
            await bus.send([OutgoingMessage(INGESTION.queue, raw, message_id, session_id=told["tenant"])])
        await lanes.close()

    asyncio.run(send())


def test_a_review_counts_once_however_often_it_is_sent(host: LocalHost):
    waiting(host, "review", "t-1")
    me = dev("rita", "review", "reviewer")
    first = review(host, "t-1", as_=me, key="k")
    assert first.status == 200
    assert review(host, "t-1", as_=me, key="k").body == first.body
    assert review(host, "t-1", as_=me, key="k", note="other").status == 422
    stale = review(host, "t-1", as_=me, key="k2")
    assert (stale.status, stale.body["type"]) == (409, "urn:countersign:problem:decision_version_stale")
    assert review(host, "t-1", as_=dev("bob", "review", "reviewer"), key="k").status == 409
    assert host.get("/api/v1/transactions/t-1", as_=dev(tenant="review"))["decision_version"] == 2
    wait_for(lambda: host.counted(as_=dev(tenant="review")) == {"Reviewed": 1}, "counted as reviewed")


def test_of_two_reviewers_at_once_one_decides(host: LocalHost):
    waiting(host, "race", *(f"t-{n}" for n in range(8)))
    for n in range(8):
        with ThreadPoolExecutor(4) as pool:
            who = [dev(f"rita-{m}", "race", "reviewer") for m in range(4)]
            answers = list(pool.map(lambda as_, id_=f"t-{n}": review(host, id_, as_=as_).status, who))
        assert sorted(answers) == [200, 409, 409, 409]
    host.verified(as_=dev(tenant="race"))


def test_nobody_reviews_without_the_role_or_in_another_tenant(host: LocalHost):
    waiting(host, "closed", "t-1")
    for roles in ("member", "auditor", "operator", "member,auditor,operator"):
        assert review(host, "t-1", as_=dev("mallory", "closed", roles)).status == 403
    foreign = review(host, "t-1", as_=dev("mallory", "elsewhere", "reviewer"))
    missing = review(host, "t-none", as_=dev("mallory", "elsewhere", "reviewer"))
    assert foreign.status == missing.status == 404
    assert foreign.body["detail"].replace("t-1", "t-none") == missing.body["detail"]
    into_closed = dev("mallory", "elsewhere", "reviewer") | {"X-Tenant": "closed"}
    assert review(host, "t-1", as_=into_closed).status == 403
    assert review(host, "t-1", as_={"X-MS-CLIENT-PRINCIPAL": "e30="}).status == 401
    assert review(host, "t-1", as_=dev("rita", "closed", "reviewer"), reviewer="somebody-else").status == 400
    assert host.get("/api/v1/transactions/t-1", as_=dev(tenant="closed"))["decision_version"] == 1


def event(tenant: str, id_: str, **data: Any) -> dict[str, Any]:
    told = {"tenant": tenant, "transaction_id": id_, "decision_version": 9, "review_state": "Reviewed", **data}
    return {
        "specversion": "1.0", "id": "forged", "source": "/forged", "time": "2026-03-01T12:00:00Z",
        "type": "Countersign.TransactionDecisionChanged.v1", "subject": "x", "data": told,
    }  # fmt: skip


def test_a_forged_event_changes_nothing(host: LocalHost):
    waiting(host, "events", "t-1")
    forged = [event("events", "t-1", category="income"), event("events", "t-none"), event("nobody", "t-1"),
              event("../x", "t-1"), event("events", "a b"), event("system", "t-1"),
              event("events", "t-1") | {"type": "x"},
              event("events", "t-1") | {"data": None}, event("events", "t-1") | {"data": "text"}]  # fmt: skip
    for one in [*forged, forged, forged * 20]:
        assert host.call("POST", HOOK, one, {"aeg-event-type": "Notification"}).status == 202
    for raw in (b"", b"{", b"7", b"[1]", b"\xff", b'"x"'):
        assert host.call("POST", HOOK, raw).status == 400
    assert host.counted(as_=dev(tenant="events")) == {"NeedsReview": 1}
    assert host.counted(as_=dev(tenant="nobody")) == {}
    assert host.get("/api/v1/transactions/t-1", as_=dev(tenant="events"))["decision_version"] == 1


def test_a_forged_message_with_the_id_of_a_real_command_is_parked_and_the_real_one_is_decided(host: LocalHost):
    real = classify_command_id("forged", "t-1")
    other = {"transaction": facts("t-1", amount_minor=999_999)}
    put(
        host,
        ("f-1", command(1, tenant="forged", command_id=real, producer="countersign", payload=other)),
        ("f-2", command(2, tenant="forged", command_id=real, producer="stranger")),
        ("f-3", command(3, tenant="forged", command_id="c", causation_id=real, producer="countersign", payload=other)),
    )
    wait_for(lambda: host.on_lanes() == 0, "an empty lane")
    assert host.upload(rows("t-1"), as_=dev(tenant="forged")).status == 202
    host.settled(1, as_=dev(tenant="forged"))
    put(host, ("f-4", command(4, tenant="forged", command_id=real, producer="countersign", payload=other)))
    put(
        host,
        ("f-5", command(5, tenant="forged", command_id="n", causation_id=real, producer="countersign", payload=other)),
    )
    wait_for(lambda: host.on_lanes() == 0, "an empty lane")
    parked = {one["message_id"]: one["reason"] for one in host.items("/api/v1/parked", as_=SYSTEM)}
    assert {parked[f"f-{n}"] for n in range(1, 6)} == {"unauthenticated_command"}
    found = host.get("/api/v1/transactions/t-1", as_=dev(tenant="forged"))
    assert (found["facts"]["amount_minor"], found["decision_version"]) == (-4320, 1)


def test_a_parked_command_is_replayed_once(host: LocalHost):
    me = dev("olga", "parked", "operator")
    assert host.upload(rows("t-1"), as_=dev(tenant="parked")).status == 202
    host.settled(1, as_=dev(tenant="parked"))
    told = {"transaction": facts("t-1", amount_minor=-1)}
    put(host, ("p-1", command(1, tenant="parked", command_id="from-pipeline", payload=told)))
    parked = wait_for(lambda: host.items("/api/v1/parked", as_=me), "a parked command")[0]
    assert parked["reason"] == "facts_differ"
    path = f"/api/v1/parked/{parked['parked_id']}/replay"
    assert host.call("POST", path, {}, as_=dev("mia", "parked", "member,reviewer,auditor")).status == 403
    assert host.call("POST", path, {}, as_=dev("olga", "elsewhere", "operator")).status == 404
    with ThreadPoolExecutor(4) as pool:
        keys = [{"Idempotency-Key": f"k-{n}"} for n in range(4)]
        answers = list(pool.map(lambda key: host.call("POST", path, {}, key, as_=me), keys))
    assert sorted(one.status for one in answers) == [200, 409, 409, 409]
    again = wait_for(lambda: host.items("/api/v1/parked?state=parked", as_=me), "parked under its new id")
    assert [one["reason"] for one in again] == ["facts_differ"]
    assert again[0]["command_id"] == next(one.body["replayed_as"] for one in answers if one.status == 200)
    assert host.get("/api/v1/transactions/t-1", as_=dev(tenant="parked"))["decision_version"] == 1
    discard = f"/api/v1/parked/{again[0]['parked_id']}/discard"
    assert host.call("POST", discard, {"note": "no"}, as_=me).status == 200
    assert host.call("POST", discard.replace("discard", "replay"), {"note": "yes"}, as_=me).status == 409


def test_nobody_can_be_a_customer_of_the_tenant_system(host: LocalHost):
    for roles in ("member", "reviewer", "member,reviewer,auditor,operator"):
        assert host.upload(rows("t-1"), as_=dev("mallory", "system", roles)).status == 403
    operator = dev("olga", "system", "operator")
    history = {"rows": [{**facts("h-1"), "category": "food.groceries"}]}
    for method, path, body in (
        ("POST", "/api/v1/history", history),
        ("PUT", "/api/v1/members", {"principal": "dev:mallory", "roles": ["operator"]}),
        ("POST", "/api/v1/erasures", {"whole_tenant": True, "confirm": "system"}),
    ):
        assert host.call(method, path, body, as_=operator).status in (400, 403), path
    assert host.call("GET", "/api/v1/transactions", as_=SYSTEM).body["items"] == []


def test_ids_of_strange_characters_are_kept_apart(host: LocalHost):
    ids = (".", "..", ":", "-", "_", "a:1", "a", "a:1:1", "A", "x" * 64, "transaction:a", "0", "null", "head")
    as_ = dev("a:1", "strange")
    assert host.upload(rows(*ids, descriptor=UNKNOWN, mcc=""), as_=as_).body["accepted"] == len(ids)
    host.settled(len(ids), as_=as_)
    for id_ in ids:
        assert host.get(f"/api/v1/transactions/{id_}", as_=as_)["facts"]["transaction_id"] == id_
        assert review(host, id_, as_=as_).status == 200
    wait_for(lambda: host.counted(as_=as_) == {"Reviewed": len(ids)}, "all reviewed")
    host.verified(as_=as_)


def test_a_key_belongs_to_its_user_and_its_tenant(host: LocalHost):
    alice, bob = dev("alice", "keys"), dev("bob", "keys")
    first = host.upload(rows("t-1"), key="same", as_=alice)
    second = host.upload(rows("t-2"), key="same", as_=bob)
    other = host.upload(rows("t-1"), key="same", as_=dev("alice", "keys-2"))
    assert (first.status, second.status, other.status) == (202, 202, 202)
    assert len({one.body["ingestion_id"] for one in (first, second, other)}) == 3
    assert host.upload(rows("t-3"), key="same", as_=alice).status == 422
    path = f"/api/v1/ingestions/{first.body['ingestion_id']}"
    assert host.call("GET", path, as_=dev("alice", "keys-2")).status == 404
    assert host.settled(2, as_=alice)
