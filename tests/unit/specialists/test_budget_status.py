"""How the budgets of this month stand, on the sample statement and on a ledger of one's own."""

from __future__ import annotations

from datetime import date
from typing import Any

from shared.ledger.budgets import budget_document
from tests.unit.flows.bench import TENANT
from tests.unit.specialists.ledgers import AskedLedger


async def set_budget(ledger: AskedLedger, category: str, limit_minor: int, currency: str = "EUR") -> None:
    told: dict[str, Any] = {"category": category, "limit_minor": limit_minor, "currency": currency}
    document = budget_document(
        TENANT, **told, at="2026-01-01T00:00:00.000000Z", set_by="alice", action_id="a", stored=None
    )
    await ledger.store.commit(TENANT, [document])


async def test_a_budget_says_what_is_spent_left_and_where_the_month_is_heading(sample: AskedLedger) -> None:
    await set_budget(sample, "food.groceries", 30000)
    sample.today = date(2026, 3, 16)
    advice = await sample.ask("budget_status", category="food.groceries")
    assert advice.text == (
        "Groceries: 173.25 EUR of 300.00 EUR spent in March 2026; 126.75 EUR is left. "
        "At this pace it will be 335.67 EUR by the end of the month, over the budget."
    )
    assert advice.facts["budgets"] == [
        {
            "category": "food.groceries",
            "currency": "EUR",
            "limit_minor": 30000,
            "since": "2026-01-01",
            "spent_minor": 17325,
            "left_minor": 12675,
            "expected_by_month_end_minor": 33567,
            "waiting_minor": 0,
        }
    ]
    assert sample.asked == {"query": 2}


async def test_a_budget_that_is_over_says_by_how_much_and_what_still_waits(sample: AskedLedger) -> None:
    await set_budget(sample, "transport", 20000)
    advice = await sample.ask("budget_status")
    assert advice.text == (
        "Transport: 235.47 EUR of 200.00 EUR spent in March 2026; that is 35.47 EUR over. "
        "468.35 EUR more (1) waits for review and is not counted."
    )


async def test_in_the_first_days_of_a_month_no_pace_is_told(empty: AskedLedger) -> None:
    await set_budget(empty, "food.groceries", 40000)
    await empty.book({"amount_minor": -9000, "category": "food.groceries", "booked_on": "2026-03-01"})
    empty.today = date(2026, 3, 2)
    advice = await empty.ask("budget_status")
    assert advice.text == "Groceries: 90.00 EUR of 400.00 EUR spent in March 2026; 310.00 EUR is left."


async def test_refunds_are_taken_off_and_other_currencies_are_not_converted(empty: AskedLedger) -> None:
    await set_budget(empty, "food.groceries", 10000)
    await empty.book(
        {"amount_minor": -9000, "category": "food.groceries", "booked_on": "2026-03-01"},
        {"amount_minor": 4000, "category": "food.groceries", "booked_on": "2026-03-02"},
        {"amount_minor": -7000, "category": "food.groceries", "booked_on": "2026-03-03", "currency": "GBP"},
    )
    advice = await empty.ask("budget_status")
    assert "Groceries: 50.00 EUR of 100.00 EUR spent in March 2026; 50.00 EUR is left." in advice.text
    assert "1 transaction in other currencies not counted." in advice.text


async def test_a_question_about_a_category_finds_the_budget_of_its_group_and_the_other_way_round(
    sample: AskedLedger,
) -> None:
    await set_budget(sample, "food", 50000)
    await set_budget(sample, "leisure.streaming", 3000)
    assert (await sample.ask("budget_status", category="food.groceries")).text.startswith("Food: 366.27 EUR of 500.00")
    assert (await sample.ask("budget_status", category="leisure")).text.startswith("Streaming: 27.98 EUR of 30.00 EUR")
    everything = await sample.ask("budget_status")
    assert len(everything.text.splitlines()) == 2
    assert sample.asked == {"query": 2}


async def test_without_a_budget_it_says_so_in_one_query(sample: AskedLedger) -> None:
    advice = await sample.ask("budget_status", category="food")
    assert advice.text == "There is no budget for “food”."
    assert (await sample.ask("budget_status")).text.startswith("No budget is set.")
    assert sample.asked == {"query": 1}
    await set_budget(sample, "leisure.streaming", 3000)
    assert (await sample.ask("budget_status", category="food")).text.endswith("There are budgets for streaming.")
