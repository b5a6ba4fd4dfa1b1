"""History: stored as reviewed, learned and counted in the same commits; once, whatever is sent twice or breaks off."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.audit.verification import verify
from shared.contracts.history import HistoryImport
from shared.errors import ConflictError, IdempotencyMismatchError, InvalidInputError, RetryableError
from shared.flows.decision_changed import counts, react
from shared.flows.import_history import import_history
from shared.ledger.memory import memory_keys, recalled
from shared.ledger.transactions import merchant_doc_id
from shared.ports.document_store import MAX_WRITES, Document
from tests.bench import Bench, facts, make_bench

TENANT = "household"
CHART = frozenset({"food", "travel"})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(tmp_path, {})
    yield made
    await made.close()


def row(number: int, category: str = "food", **changes: Any) -> dict[str, Any]:
    day = f"2026-01-{number % 28 + 1:02}"
    return {"transaction": facts(f"t-{number}", booked_on=day, **changes), "category": category}


def varied(count: int) -> list[dict[str, Any]]:
    """Rows over many merchants and accounts, so that a commit holds only some of them."""
    chance = random.Random(7)
    return [
        row(
            number,
            chance.choice(sorted(CHART)),
            descriptor=f"{chance.choice('abcdefgh')}shop {chance.choice('xyz')}co",
            account=f"acc-{number % 9}",
            group=f"team {number % 3}",
        )
        for number in range(count)
    ]


async def send(
    bench: Bench, rows: Sequence[dict[str, Any]], *, key: str = "k", fingerprint: str = "f"
) -> dict[str, Any]:
    parsed = HistoryImport.model_validate({"rows": list(rows)}).rows
    return await import_history(
        bench.delivery, TENANT, parsed, key=key, fingerprint=fingerprint, caller="olga", policy_chart=CHART
    )


async def stored(bench: Bench, kind: str) -> dict[str, Document]:
    found, cursor = {}, ""
    while True:
        page = await bench.store.query(TENANT, kind, limit=200, cursor=cursor)
        found |= {document.id: document for document in page.documents}
        cursor = page.cursor
        if not cursor:
            return found


async def memory(bench: Bench, told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    keys = memory_keys(told["descriptor"], told["account"], told["group"])
    documents = await bench.store.read_many(TENANT, [f"memory:{key}" for key in keys])
    return {id_.removeprefix("memory:"): document.body for id_, document in documents.items()}


async def test_rows_become_reviewed_transactions_that_memory_answers_from(bench: Bench):
    answer = await send(bench, [row(number) for number in range(12)])
    assert (answer["rows"], answer["accepted"], answer["duplicate"], answer["refused"]) == (12, 12, 0, 0)
    body = (await stored(bench, "transaction"))["transaction:t-3"].body
    assert (body["review_state"], body["category"], body["decided_by"]) == ("Reviewed", "food", "history")
    assert body["reason_codes"] == ["imported_history"]
    told = facts()
    entries = await memory(bench, told)
    keys = memory_keys(told["descriptor"], told["account"], told["group"])
    said = recalled(entries, keys=keys, descriptor=told["descriptor"], amount_minor=told["amount_minor"])
    assert said is not None
    assert (said.label, said.seen) == ("food", 12)
    merchant = await bench.store.read(TENANT, merchant_doc_id(told["descriptor"], "EUR"))
    assert merchant is not None
    assert len(merchant.body["charges"]) == 12
    assert bench.events.published == []


async def test_counters_and_accounts_include_history(bench: Bench):
    await send(bench, varied(60))
    assert await counts(bench.delivery, TENANT) == {"Reviewed": 60}
    profile = await bench.store.read(TENANT, "profile:tenant")
    assert profile is not None
    assert profile.body["accounts"] == [f"acc-{number}" for number in range(9)]


async def test_an_event_for_an_imported_row_changes_nothing_more(bench: Bench):
    await send(bench, [row(1)])
    assert await react(bench.delivery, tenant=TENANT, transaction_id="t-1") is False


async def test_commits_stay_within_the_stores_limit_and_write_each_document_once(bench: Bench, monkeypatch):
    sizes: list[int] = []
    commit = bench.store.commit

    async def watched(partition: str, writes: Sequence[Document], **rest: Any) -> dict[str, str]:
        sizes.append(len(writes))
        assert len({document.id for document in writes}) == len(writes)
        return await commit(partition, writes, **rest)

    monkeypatch.setattr(bench.store, "commit", watched)
    answer = await send(bench, varied(300))
    assert answer["accepted"] == 300
    assert max(sizes) <= MAX_WRITES
    assert len(sizes) < 30
    assert len(await stored(bench, "transaction")) == 300


async def test_however_rows_are_cut_into_requests_memory_is_the_same(bench: Bench, tmp_path: Path):
    rows = varied(120)
    await send(bench, rows)
    (tmp_path / "other").mkdir()
    other = make_bench(tmp_path / "other", {})
    for start in range(0, len(rows), 7):
        await send(other, rows[start : start + 7], key=f"k-{start}", fingerprint=f"f-{start}")
    for one in rows[::10]:
        assert await memory(bench, one["transaction"]) == await memory(other, one["transaction"])
    await other.close()


async def test_an_equal_resend_gets_the_first_answer_and_another_body_is_refused(bench: Bench):
    first = await send(bench, varied(50))
    assert await send(bench, varied(50)) == first
    with pytest.raises(IdempotencyMismatchError):
        await send(bench, varied(51), fingerprint="other")
    assert await counts(bench.delivery, TENANT) == {"Reviewed": 50}


async def test_rows_that_are_stored_already_are_duplicates_or_refused(bench: Bench):
    await send(bench, [row(1), row(2)])
    again = [row(1), row(2, amount_minor=-1), row(3), row(3)]
    answer = await send(bench, again, key="k2", fingerprint="f2")
    assert (answer["accepted"], answer["duplicate"], answer["refused"]) == (1, 2, 1)
    assert answer["refused_ids"] == ["t-2"]
    assert await counts(bench.delivery, TENANT) == {"Reviewed": 3}


async def test_a_broken_off_import_goes_on_where_it_stopped(bench: Bench, monkeypatch):
    commit, turns = bench.store.commit, 0

    async def failing(partition: str, writes: Sequence[Document], **rest: Any) -> dict[str, str]:
        nonlocal turns
        turns += 1
        if turns == 4:
            raise RetryableError("the disk is full", code="store_unavailable")
        return await commit(partition, writes, **rest)

    monkeypatch.setattr(bench.store, "commit", failing)
    with pytest.raises(RetryableError):
        await send(bench, varied(200))
    begun = len(await stored(bench, "transaction"))
    assert 0 < begun < 200
    answer = await send(bench, varied(200))
    assert answer["accepted"] == 200
    assert await counts(bench.delivery, TENANT) == {"Reviewed": 200}


async def test_a_document_written_by_somebody_else_is_read_again(bench: Bench, monkeypatch):
    told = facts()
    document_id = f"memory:{memory_keys(told['descriptor'], told['account'], told['group'])[0]}"
    await send(bench, [row(1)], key="k1", fingerprint="f1")
    commit, turns = bench.store.commit, 0

    async def racing(partition: str, writes: Sequence[Document], **rest: Any) -> dict[str, str]:
        nonlocal turns
        turns += 1
        if turns == 1:
            other = await bench.store.read(TENANT, document_id)
            assert other is not None
            await commit(TENANT, [other])
        return await commit(partition, writes, **rest)

    monkeypatch.setattr(bench.store, "commit", racing)
    answer = await send(bench, [row(2)], key="k2", fingerprint="f2")
    assert answer["accepted"] == 1
    entries = await memory(bench, told)
    assert entries[document_id.removeprefix("memory:")]["labels"]["food"]["h"] == 2


async def test_a_race_that_is_lost_again_and_again_is_told(bench: Bench, monkeypatch):
    await send(bench, [row(1)], key="k1", fingerprint="f1")

    async def lost(partition: str, writes: Sequence[Document], **rest: Any) -> dict[str, str]:
        raise ConflictError([writes[0].id])

    monkeypatch.setattr(bench.store, "commit", lost)
    with pytest.raises(ConflictError):
        await send(bench, [row(2)], key="k2", fingerprint="f2")


async def test_a_category_outside_the_chart_is_refused_before_anything_is_stored(bench: Bench):
    with pytest.raises(InvalidInputError) as refused:
        await send(bench, [row(1), row(2, "yachts")])
    assert refused.value.code == "category_unknown"
    assert refused.value.errors[0]["pointer"] == "/rows/1/category"
    assert await stored(bench, "transaction") == {}


async def test_the_tenants_own_chart_counts_and_not_the_policys(bench: Bench):
    profile = {"chart": ["yachts"], "base_currency": "", "time_zone": "UTC", "accounts": []}
    await bench.store.commit(TENANT, [Document(TENANT, "profile:tenant", "profile", profile)])
    assert (await send(bench, [row(1, "yachts")]))["accepted"] == 1
    with pytest.raises(InvalidInputError):
        await send(bench, [row(2, "food")], key="k2", fingerprint="f2")


async def test_each_commit_is_on_the_record_with_who_and_how_many(bench: Bench):
    await send(bench, varied(200))
    records = [document.body for document in (await stored(bench, "audit")).values()]
    assert {record["what"] for record in records} == {"history_imported"}
    assert all(record["who"] == {"kind": "person", "id": "olga"} for record in records)
    assert sum(record["payload"]["accepted"] for record in records) == 200
    verified = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert (verified.problem, verified.records) == ("", len(records))
