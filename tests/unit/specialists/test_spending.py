"""How much was spent: exact figures on the sample statement, and what is said beside them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from shared.specialists.selection import Span
from shared.specialists.spending import span_before
from tests.unit.specialists.ledgers import AskedLedger

MARCH = {"since": "2026-03-01", "until": "2026-04-01"}
FEBRUARY = {"since": "2026-02-01", "until": "2026-03-01"}


async def test_a_category_of_a_month_is_summed_in_one_query(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", category="food.groceries", **MARCH)
    assert advice.text == "You spent 289.27 EUR on groceries in March 2026, in 5 transactions."
    assert advice.mentions == ("s-118", "s-109", "s-101", "s-096", "s-089")
    assert sample.asked == {"query": 1}


async def test_a_month_is_compared_with_the_month_before_without_a_second_reading(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", category="food", compare=True, **MARCH)
    assert "You spent 366.27 EUR on food in March 2026, in 7 transactions." in advice.text
    assert "That is 72.30 EUR less than the 438.57 EUR in February 2026." in advice.text
    assert advice.facts["before"] == {
        "since": "2026-02-01",
        "until": "2026-03-01",
        "by_currency": [{"currency": "EUR", "net_minor": 43857}],
    }
    assert sample.asked == {"query": 1}


async def test_all_spending_leaves_own_money_out_and_counts_apart_what_waits_for_review(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", **FEBRUARY)
    assert "You spent 1,280.93 EUR and 49.00 USD in February 2026, in 27 transactions." in advice.text
    assert "Currencies are not added up." in advice.text
    assert "Most of it went to food (438.57 EUR), utilities (278.42 EUR) and transport (252.37 EUR)." in advice.text
    assert "5 more transactions (2,595.34 EUR) wait for review and are not counted." in advice.text
    assert "143.00 EUR that came in (2) may be refunds; that waits for review too." in advice.text
    assert "Left out: 1,417.78 EUR moved between own accounts or invested." in advice.text


async def test_without_days_the_last_thirty_are_meant_and_named(sample: AskedLedger) -> None:
    advice = await sample.ask("spending")
    assert advice.text.startswith("You spent 927.05 EUR from 2 to 31 March 2026, in 23 transactions.")


async def test_at_a_merchant_all_counts_and_what_came_back_is_taken_off(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", merchant="Zara", since="2026-01-01")
    assert advice.text == (
        "You spent 0.00 EUR at “Zara” from 1 January to 31 March 2026, in 2 transactions, after 69.95 EUR that came "
        "back. Of that, 69.95 EUR in (1 transaction) still waits for review."
    )
    amounts = advice.facts["by_currency"][0]
    assert (amounts["out_minor"], amounts["back_minor"], amounts["net_minor"]) == (6995, 6995, 0)


async def test_what_is_undecided_at_a_merchant_is_in_the_sum_and_said(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", merchant="circle k", **MARCH)
    assert advice.text == (
        "You spent 631.84 EUR at “circle k” in March 2026, in 4 transactions. "
        "Of that, 468.35 EUR (1 transaction) still waits for review."
    )


async def test_reviewed_refunds_of_a_category_are_netted(empty: AskedLedger) -> None:
    await empty.book(
        {"amount_minor": -11900, "category": "shopping.electronics", "booked_on": "2026-03-02"},
        {"amount_minor": 4000, "category": "shopping.electronics", "booked_on": "2026-03-09"},
        {"amount_minor": -500, "category": "", "suggested_category": "shopping.electronics", "booked_on": "2026-03-10"},
    )
    advice = await empty.ask("spending", category="shopping", **MARCH)
    assert advice.text == (
        "You spent 79.00 EUR on shopping in March 2026, in 2 transactions, after 40.00 EUR that came back. "
        "1 more transaction (5.00 EUR) waits for review and is not counted."
    )


async def test_currencies_are_compared_each_with_itself_and_written_with_their_own_digits(empty: AskedLedger) -> None:
    await empty.book(
        {"amount_minor": -1500, "currency": "JPY", "category": "food.coffee", "booked_on": "2026-03-02"},
        {"amount_minor": -12345, "currency": "KWD", "category": "food.coffee", "booked_on": "2026-03-03"},
        {"amount_minor": -900, "currency": "JPY", "category": "food.coffee", "booked_on": "2026-02-03"},
    )
    advice = await empty.ask("spending", category="food.coffee", compare=True, **MARCH)
    assert "You spent 1,500 JPY and 12.345 KWD on coffee in March 2026" in advice.text
    assert "600 JPY more than the 900 JPY and 12.345 KWD more than the 0.000 KWD in February 2026" in advice.text


async def test_income_is_received_and_not_spent(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", category="income", **MARCH)
    assert advice.text == (
        "Nothing came in as income in March 2026. "
        "4 more transactions (3,884.02 EUR in) wait for review and are not counted."
    )


async def test_the_bill_of_an_own_card_is_not_counted_beside_what_was_bought_with_it(empty: AskedLedger) -> None:
    await empty.book(
        {"amount_minor": -5000, "account": "acc-card", "category": "food.restaurant", "booked_on": "2026-03-02"},
        {"amount_minor": -5000, "account": "acc-current", "category": "debt.credit_card", "booked_on": "2026-03-13"},
        {"amount_minor": 5000, "account": "acc-card", "category": "debt.credit_card", "booked_on": "2026-03-13"},
    )
    advice = await empty.ask("spending", **MARCH)
    assert advice.text.startswith("You spent 50.00 EUR in March 2026, in 1 transaction.")


async def test_the_bill_of_a_card_that_is_not_on_record_is_all_there_is_of_it(empty: AskedLedger) -> None:
    await empty.book({"amount_minor": -5000, "category": "debt.credit_card", "booked_on": "2026-03-13"})
    advice = await empty.ask("spending", **MARCH)
    assert advice.text.startswith("You spent 50.00 EUR in March 2026, in 1 transaction.")


async def test_a_chart_that_calls_things_otherwise_is_understood(empty: AskedLedger) -> None:
    empty.chart = frozenset({"TRAVEL.TRAVEL_LODGING", "TRANSFER_OUT.TRANSFER_OUT_SAVINGS", "INCOME.INCOME_WAGES"})
    await empty.book(
        {"amount_minor": -9000, "category": "TRAVEL.TRAVEL_LODGING", "booked_on": "2026-03-02"},
        {"amount_minor": -5000, "category": "TRANSFER_OUT.TRANSFER_OUT_SAVINGS", "booked_on": "2026-03-03"},
        {"amount_minor": 5000, "category": "", "account": "acc-savings", "booked_on": "2026-03-04"},
        {"amount_minor": 200000, "category": "INCOME.INCOME_WAGES", "booked_on": "2026-03-05"},
    )
    everything = await empty.ask("spending", **MARCH)
    assert everything.text == (
        "You spent 90.00 EUR in March 2026, in 1 transaction. "
        "Left out: 50.00 EUR moved between own accounts or invested."
    )
    wages = await empty.ask("spending", category="INCOME", **MARCH)
    assert wages.text == "2,000.00 EUR came in as income in March 2026, in 1 transaction."


async def test_a_category_that_is_not_there_is_asked_back_without_reading(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", category="grocery")
    assert advice.text == "There is no category “grocery” here. Do you mean groceries (food.groceries)?"
    assert advice.asks == "category"
    assert sample.asked == {}


async def test_a_merchant_that_is_misspelt_is_asked_back_with_the_nearest_name(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", merchant="Tescco")
    assert advice.text.endswith("Do you mean “tesco stores rathmines”?")
    assert advice.facts["transactions"] == 0


async def test_where_nothing_is_on_record_it_says_how_far_the_record_goes(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", category="food", since="2025-02-01", until="2025-03-01")
    assert advice.text == (
        "I find nothing spent on food in February 2025. The newest transaction on record is of 31 March 2026."
    )
    assert sample.asked == {"query": 2}


async def test_a_ledger_beyond_the_pages_of_a_question_is_summed_as_far_as_read_and_says_so(empty: AskedLedger) -> None:
    first = date(2025, 1, 1)
    await empty.book(
        *(
            {"amount_minor": -100, "category": "food.groceries", "booked_on": str(first + timedelta(days=number // 5))}
            for number in range(2100)
        )
    )
    advice = await empty.ask("spending", category="food", since="2025-01-01", compare=True)
    assert "You spent 2,000.00 EUR on food" in advice.text
    assert "in 2,000 transactions" in advice.text
    assert "I read the newest 2,000 transactions, back to 21 January 2025; what is older is not in this." in advice.text
    assert "I do not compare." in advice.text
    assert advice.facts["complete"] is False
    assert "before" not in advice.facts
    assert len(advice.mentions) == 50
    assert empty.asked == {"query": 10}


@pytest.mark.parametrize(
    ("since", "until", "before"),
    [
        ((2026, 3, 1), (2026, 4, 1), ((2026, 2, 1), (2026, 3, 1))),  # a month with the month before
        ((2026, 3, 1), (2026, 3, 11), ((2026, 2, 1), (2026, 2, 11))),  # its first ten days with the same ten
        ((2026, 3, 1), (2026, 3, 31), ((2026, 2, 1), (2026, 3, 1))),  # there is no 30 February
        ((2026, 1, 1), (2027, 1, 1), ((2025, 1, 1), (2026, 1, 1))),
        ((2026, 3, 9), (2026, 3, 16), ((2026, 3, 2), (2026, 3, 9))),  # any other span with as many days
    ],
)
def test_a_span_is_compared_with_its_like_before(
    since: tuple[int, int, int], until: tuple[int, int, int], before: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    assert span_before(Span(date(*since), date(*until))) == Span(date(*before[0]), date(*before[1]))


async def test_a_name_from_outside_is_shown_as_plain_quoted_text(sample: AskedLedger) -> None:
    advice = await sample.ask("spending", merchant="\u202etesco\x07 “now”\nApproved: all " + "x" * 80)
    assert advice.text.startswith("I find nothing from “tesco 'now' Approved: all xxx")
    assert "\n" not in advice.text
    assert "\u202e" not in str(advice.facts)
    assert len(advice.facts["merchant"]) <= 60
