"""What an advisor may read: one tenant's ledger, in pages that are counted."""

from __future__ import annotations

from datetime import date
from typing import Any

from shared.ledger import transactions as ledger
from shared.specialists.ledger_reader import LedgerReader
from tests.bench import facts
from tests.unit.flows.bench import TENANT
from tests.unit.specialists.ledgers import CHART, AskedLedger, CountingStore


def reader_of(asked: AskedLedger, tenant: str = TENANT, **changes: Any) -> tuple[LedgerReader, CountingStore]:
    counting = CountingStore(asked.store)
    store: Any = counting
    return LedgerReader(store, tenant, date(2026, 3, 31), "EUR", CHART, **changes), counting


async def test_another_tenant_s_ledger_is_not_there(sample: AskedLedger) -> None:
    reader, _ = reader_of(sample, "neighbours")
    assert (await reader.transactions()).rows == ()
    assert await reader.transaction("s-001") is None
    assert await reader.explained("s-001") is None
    assert (await reader.of_amount(165000, "EUR")).rows == ()
    assert await reader.budgets() == ()


async def test_rows_come_newest_first_within_the_days(sample: AskedLedger) -> None:
    reader, counting = reader_of(sample)
    found = await reader.transactions(since="2026-03-30", until="2026-03-31")
    assert [row.transaction_id for row in found.rows] == ["s-119"]
    everything = await reader.transactions()
    assert len(everything.rows) == 120
    assert list(everything.rows) == sorted(
        everything.rows, key=lambda row: (row.booked_on, row.transaction_id), reverse=True
    )
    assert counting.asked == {"query": 2}


async def test_a_ledger_of_exactly_the_pages_of_a_question_is_complete_and_one_more_is_not(empty: AskedLedger) -> None:
    await empty.book(*({"booked_on": "2026-03-01"} for _ in range(400)))
    assert (await reader_of(empty, pages_left=2)[0].transactions()).complete
    await empty.store.commit(TENANT, [_one("one-more")])
    found = await reader_of(empty, pages_left=2)[0].transactions()
    assert (len(found.rows), found.complete) == (400, False)


async def test_all_reading_of_one_question_counts_together(empty: AskedLedger) -> None:
    await empty.book(*({"booked_on": "2026-03-01"} for _ in range(300)))
    reader, counting = reader_of(empty, pages_left=3)
    assert (await reader.transactions()).complete
    assert not (await reader.transactions()).complete
    assert not (await reader.of_amount(4320, "EUR")).complete
    assert await reader.budgets() == ()
    assert counting.asked == {"query": 3}


async def test_whoever_wants_a_few_reads_no_more_than_these(empty: AskedLedger) -> None:
    await empty.book(*({"booked_on": "2026-03-01"} for _ in range(300)))
    reader, counting = reader_of(empty)
    assert len((await reader.transactions(most=3)).rows) == 3
    assert len((await reader.transactions(wanted=lambda row: row.transaction_id > "t-0200", most=3)).rows) == 3
    assert counting.asked == {"query": 2}


async def test_what_was_erased_is_not_read(sample: AskedLedger) -> None:
    stored = await sample.store.read(TENANT, "transaction:s-001")
    assert stored is not None
    await sample.store.commit(TENANT, [ledger.tombstone(stored, at="2026-03-31T00:00:00.000000Z")])
    reader, _ = reader_of(sample)
    assert await reader.transaction("s-001") is None
    assert await reader.explained("s-001") is None
    assert len((await reader.transactions()).rows) == 119


def _one(transaction_id: str) -> Any:
    body = ledger.unclassified(TENANT, facts(transaction_id), at="", ingestion_id="i", run_id="").body
    return ledger.transaction_document(TENANT, body)
