"""Erasing a person's data: nothing of it is left anywhere, nothing of anybody else is touched, the chain verifies."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from functools import cache
from itertools import batched
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from shared.audit.verification import verify
from shared.contracts.commands import ReviewTransactionEnvelope, envelope, parse_envelope
from shared.contracts.instants import text
from shared.contracts.kinds import KINDS
from shared.contracts.transactions import TransactionFacts
from shared.delivery.inbox import execute, handle_once
from shared.delivery.outbox import relay_stragglers
from shared.delivery.parking import Incoming, park_command
from shared.delivery.retry import Park
from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.flows import erase as flow
from shared.flows.classify_transaction import ClassifyTransactionFlow
from shared.flows.decision_changed import counts, react
from shared.flows.erase import continue_erasures, erase, erasure
from shared.flows.erasure_rules import (
    ALTERED_IN_WHOLE,
    IN_PART,
    KEPT_ALWAYS,
    KEPT_IN_PART,
    WITH_TRANSACTIONS,
    WITH_TURNS,
)
from shared.flows.ingest_statement import ingest
from shared.flows.keep_profile import keep_profile
from shared.flows.members import set_member
from shared.flows.review_transaction import ReviewTransactionFlow
from shared.guard.policy import Policy, policy_from
from shared.ports.document_store import Document
from shared.specialists.runner import Limits
from tests.bench import Bench, facts, make_bench
from tests.unit.flows.erasure_bench import erased_through_crashes

TENANT = "home"
FOLDER: list[Path] = []
ALICE = "alice-marker"
NAMES = {
    "a-1": "ALICEMARKET STORE ONE",
    "a-2": "ALICEMARKET STORE TWO",
    "b-1": "BOBSHOP",
    "b-2": "ALICEMARKET STORE ONE",
}
AMOUNTS = {"a-1": -770011, "a-2": -770022, "b-1": -5501, "b-2": -5502}


@cache
def policy() -> Policy:
    path = Path(__file__).parents[3] / "policies" / "money.yaml"
    return policy_from(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(
        tmp_path,
        {
            "ClassifyTransaction": ClassifyTransactionFlow(policy(), Limits(), time.perf_counter),
            "ReviewTransaction": ReviewTransactionFlow(policy()),
        },
    )
    FOLDER[:] = [tmp_path]
    yield made
    await made.close()


def row(id_: str, **changes: Any) -> dict[str, Any]:
    account = "alice-marker" if id_.startswith("a") else "bob-account"
    return facts(id_, account=account, descriptor=NAMES[id_], amount_minor=AMOUNTS[id_], mcc="", **changes)


async def deliver(bench: Bench) -> None:
    sent, bench.bus.sent = bench.bus.sent, []
    for message in sent:
        await handle_once(bench.delivery, Incoming(message.lane, message.body, message.message_id))


async def review(bench: Bench, id_: str) -> None:
    stored = await bench.store.read(TENANT, f"transaction:{id_}")
    assert stored is not None
    if stored.body["review_state"] != "NeedsReview":
        return
    payload = {
        "transaction_id": id_, "action": "reclassify", "decision_version": stored.body["decision_version"],
        "category": min(policy().categories), "note": f"note of {id_} {ALICE if id_[0] == 'a' else 'bob'}",
        "reviewer": "dev:carol",
    }  # fmt: skip
    command = envelope("ReviewTransaction", payload, command_id=f"review-{id_}", tenant=TENANT, source="http",
                       issued_at=bench.clock())  # fmt: skip
    await execute(bench.delivery, ReviewTransactionEnvelope.model_validate(command), fingerprint=id_)


async def park(bench: Bench, key: str, rows: list[dict[str, Any]]) -> None:
    kind, payload = ("ClassifyTransaction", {"transaction": rows[0]})
    command = envelope(kind, payload, command_id=key, tenant=TENANT, source="x", issued_at=bench.clock())
    if len(rows) > 1:
        command |= {"command_type": "IngestionCompleted",
                    "payload": {"batch_id": "b", "source": "s", "transactions": rows}}  # fmt: skip
    body = orjson.dumps(command)
    await park_command(bench.delivery, Incoming("lane", body, key), parse_envelope(body), Park("broken", "it broke"))


async def lived_in(bench: Bench) -> None:
    """A tenant in which everything has happened."""
    await keep_profile(
        bench.delivery, TENANT,
        {"chart": [], "base_currency": "EUR", "time_zone": "UTC", "accounts": [ALICE, "bob-account"]},
        seen_etag="", by="dev:root",
    )  # fmt: skip
    await set_member(bench.delivery, TENANT, "dev:bob", ["member"], by="dev:root")
    for key in ("a", "b"):
        rows = [TransactionFacts.model_validate(row(id_)) for id_ in NAMES if id_[0] == key]
        await ingest(bench.delivery, TENANT, rows, key=key, fingerprint=key, caller="dev:carol")
    await deliver(bench)
    for id_ in NAMES:
        await review(bench, id_)
        await react(bench.delivery, tenant=TENANT, transaction_id=id_)
    at = text(bench.clock())
    found = [("a-1", "odd"), ("b-1", "same amount as a-2 on 2026-02-27"), ("b-2", "odd")]
    for number, (subject, summary) in enumerate(found):
        keys = {"state": "open", "subject": subject}
        body = {"kind": "k", "severity": "Warning", "summary": summary, "raised_at": at, "run_id": "r", **keys}
        document = Document(TENANT, f"finding:{number}", "finding", body, sort=at, keys=keys)
        await bench.store.commit(TENANT, [document])


async def dump(bench: Bench, partition: str = TENANT) -> dict[str, Document]:
    """Every document of a partition, also those that no query lists."""
    with closing(sqlite3.connect(FOLDER[0] / "store.db")) as file:
        ids = [row[0] for row in file.execute("SELECT id FROM documents WHERE partition = ?", (partition,))]
    found: dict[str, Document] = {}
    for some in batched(ids, 100, strict=False):
        found |= await bench.store.read_many(partition, some)
    return found


def traces(documents: dict[str, Document], *words: str) -> list[tuple[str, str]]:
    """Where any of the words still stands: in ids, keys or bodies."""
    return [(id_, word) for id_, one in documents.items() for word in words if word in json.dumps([id_, one._asdict()])]


async def verified(bench: Bench) -> int:
    found = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert found.problem == ""
    return found.erased


ALICES = (ALICE, "770011", "770022", "STORE TWO", "store two")
BOBS = ("bob-account", "5501", "5502", "BOBSHOP")


async def test_an_accounts_data_is_gone_and_its_neighbours_stay(bench: Bench):
    await lived_in(bench)
    await park(bench, "p-single", [row("a-1", booked_on="2026-02-20") | {"transaction_id": "a-9"}])
    await park(bench, "p-mixed", [row("a-2") | {"transaction_id": "a-8"}, row("b-1") | {"transaction_id": "b-8"}])
    before = await dump(bench)
    assert {word for _, word in traces(before, *ALICES)} >= {ALICE, "770011", "770022"}
    done = await erase(bench.delivery, TENANT, {"account": ALICE}, key="k", by="dev:root")
    assert (done["state"], done["counts"]["transaction"], done["counts"]["parked"]) == ("done", 3, 2)
    after = await dump(bench)
    left = [(id_, word) for id_, word in traces(after, *ALICES) if not id_.startswith("audit:")]
    assert left == []
    profile_records = {"profile_changed"}  # an account named in a profile's history is the operator's own record
    told = {after[id_].body["what"] for id_, _ in traces(after, *ALICES) if id_.startswith("audit:")}
    assert told <= profile_records
    assert await verified(bench) >= 2
    assert {word for _, word in traces(after, *BOBS)} == set(BOBS)
    bobs = [id_ for id_ in before if id_ in ("transaction:b-1", "transaction:b-2", "finding:2")]
    assert all(before[id_] == after[id_] for id_ in bobs)
    assert after["parked:p-single"].body["state"] == "discarded"
    assert [
        one["transaction_id"]
        for one in orjson.loads(after["parked:p-mixed"].body["message"])["payload"]["transactions"]
    ] == ["b-8"]
    assert ("finding:0" in after, after["finding:1"].body["summary"]) == (False, "part of this was erased")
    assert after["profile:tenant"].body["accounts"] == ["bob-account"]
    assert sum((await counts(bench.delivery, TENANT)).values()) == 2


async def test_single_transactions_are_erased_and_what_memory_learned_from_them(bench: Bench):
    await lived_in(bench)
    done = await erase(bench.delivery, TENANT, {"transaction_ids": ["a-2", "no-such"]}, key="k", by="dev:root")
    assert done["counts"]["transaction"] == 1
    after = await dump(bench)
    assert [
        one for one in traces(after, "770022", "STORE TWO", "note of a-2") if not one[0].startswith("memory:")
    ] == []
    assert traces(after, "770011")
    assert await verified(bench) >= 1


async def test_the_whole_tenant_is_erased_but_for_what_is_listed(bench: Bench):
    await lived_in(bench)
    await park(bench, "p-single", [row("a-1") | {"transaction_id": "a-9"}])
    records = (await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)).records
    done = await erase(bench.delivery, TENANT, {"whole_tenant": True}, key="k", by="dev:root")
    assert done["state"] == "done"
    after = await dump(bench)
    assert traces(after, *ALICES, *BOBS, "note of") == []
    kinds = {document.kind for document in after.values()}
    assert kinds == {"transaction", "run", "audit", "audit_head", "receipt", "erasure", "membership"}
    assert await verified(bench) == records
    assert set(after["transaction:a-1"].body["facts"]) == {"transaction_id"}
    payloads = [one.body["payload"] for one in after.values() if one.kind == "audit" and one.body["payload"]]
    assert [sorted(payload) for payload in payloads] == [
        ["scope_digest", "scope_kind"],
        ["counts", "scope_digest", "scope_kind"],
    ]


async def test_a_command_on_its_way_finds_itself_done(bench: Bench):
    rows = [TransactionFacts.model_validate(row(id_)) for id_ in ("a-1", "b-1")]
    await ingest(bench.delivery, TENANT, rows, key="k", fingerprint="f", caller="dev:carol")
    await erase(bench.delivery, TENANT, {"account": ALICE}, key="k", by="dev:root")
    messages = {orjson.loads(one.body)["payload"]["transaction"]["transaction_id"]: one for one in bench.bus.sent}
    came = {
        id_: await handle_once(bench.delivery, Incoming(one.lane, one.body, one.message_id))
        for id_, one in messages.items()
    }
    assert came == {"a-1": "duplicate", "b-1": "committed"}
    assert [one for one in traces(await dump(bench), "770011", ALICE) if not one[0].startswith("audit:")] == []
    assert await dump(bench, "system") == {"tenant:home": (await dump(bench, "system"))["tenant:home"]}


async def test_what_waits_in_the_outbox_has_no_effect_when_it_is_sent(bench: Bench):
    bench.bus.down = bench.events.down = True
    rows = [TransactionFacts.model_validate(row(id_)) for id_ in ("a-1", "b-1")]
    await ingest(bench.delivery, TENANT, rows, key="k", fingerprint="f", caller="dev:carol")
    await erase(bench.delivery, TENANT, {"account": ALICE}, key="k", by="dev:root")
    bench.bus.down = bench.events.down = False
    bench.clock.forward(seconds=60)
    assert await relay_stragglers(bench.delivery) == 1
    await deliver(bench)
    assert [one for one in traces(await dump(bench), "770011", ALICE) if not one[0].startswith("audit:")] == []


@pytest.mark.parametrize("wish", [{"account": ALICE}, {"whole_tenant": True}])
async def test_it_goes_on_after_a_crash_at_any_commit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wish: dict[str, Any]
):
    await lived_in(bench)
    monkeypatch.setattr(flow, "AT_ONCE", 2)
    monkeypatch.setattr(flow, "TRANSACTIONS_AT_ONCE", 1)
    done, crashes = await erased_through_crashes(bench.delivery, monkeypatch, wish, tenant=TENANT)
    assert crashes > 5
    assert done["state"] == "done"
    assert traces(await dump(bench), "770011", "770022") == []
    await verified(bench)
    again = await erase(bench.delivery, TENANT, wish, key="k", by="dev:root")
    assert again == done == await erasure(bench.delivery, TENANT, done["erasure_id"])


async def test_somebody_else_writing_in_between_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await lived_in(bench)
    real, meddled = bench.store.commit, []

    async def commit(partition: str, writes: Any, **kwargs: Any) -> dict[str, str]:
        touched = [one for one in writes if one.id == "transaction:a-1" and "erased_at" in one.body]
        if touched and not meddled:
            meddled.append(1)
            stored = await bench.store.read(TENANT, "transaction:a-1")
            assert stored is not None
            await real(TENANT, [stored._replace(body={**stored.body, "review_note": "meanwhile"})])
        return await real(partition, writes, **kwargs)

    monkeypatch.setattr(bench.store, "commit", commit)
    done = await erase(bench.delivery, TENANT, {"account": ALICE}, key="k", by="dev:root")
    assert (done["state"], len(meddled)) == ("done", 1)
    assert [one for one in traces(await dump(bench), "meanwhile", "770011") if not one[0].startswith("audit:")] == []


async def test_a_race_that_is_lost_for_ever_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await lived_in(bench)
    real = bench.store.commit

    async def commit(partition: str, writes: Any, **kwargs: Any) -> dict[str, str]:
        if any("erased_at" in one.body for one in writes):
            raise ConflictError(["transaction:a-1"])
        return await real(partition, writes, **kwargs)

    monkeypatch.setattr(bench.store, "commit", commit)
    with pytest.raises(ConflictError):
        await erase(bench.delivery, TENANT, {"account": ALICE}, key="k", by="dev:root")


async def test_a_call_that_runs_out_of_time_has_made_progress(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    rows = [TransactionFacts.model_validate(facts(f"t-{number:03d}")) for number in range(120)]
    await ingest(bench.delivery, TENANT, rows, key="k", fingerprint="f", caller="dev:carol")
    monkeypatch.setattr(flow, "SECONDS", 0.000005)
    calls = 0
    while (await erase(bench.delivery, TENANT, {"account": "nobody"}, key="k", by="dev:root"))["state"] == "running":
        calls += 1
        assert calls < 100
    assert calls > 3


async def test_the_timer_goes_on_with_what_was_interrupted(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await lived_in(bench)
    monkeypatch.setattr(flow, "SECONDS", 0.0)
    begun = await erase(bench.delivery, TENANT, {"account": ALICE}, key="k", by="dev:root")
    monkeypatch.setattr(flow, "SECONDS", 20.0)
    assert (begun["state"], await continue_erasures(bench.delivery)) == ("running", 0)
    bench.clock.forward(seconds=61)
    assert await continue_erasures(bench.delivery) == 1
    assert (await erasure(bench.delivery, TENANT, begun["erasure_id"]))["state"] == "done"
    bench.clock.forward(days=1)
    assert await continue_erasures(bench.delivery) == 0


async def test_the_system_tenant_and_unknown_erasures_are_refused(bench: Bench):
    with pytest.raises(InvalidInputError):
        await erase(bench.delivery, "system", {"whole_tenant": True}, key="k", by="dev:root")
    with pytest.raises(NotFoundError):
        await erasure(bench.delivery, TENANT, "nope")


def test_every_kind_has_a_rule_for_a_part_of_a_tenant():
    """Whoever adds a kind of document decides what erasing one person's data means for it."""
    decided = [set(IN_PART), WITH_TRANSACTIONS, WITH_TURNS, KEPT_IN_PART, KEPT_ALWAYS]
    assert sorted(KINDS) == sorted(kind for some in decided for kind in some)
    assert set(ALTERED_IN_WHOLE) <= set(IN_PART)
