"""A wish for a budget, beside what the category has cost."""

from __future__ import annotations

from shared.actions.registry import valid_arguments
from tests.unit.specialists.ledgers import AskedLedger


async def test_a_budget_is_wished_in_full_beside_what_was_spent(sample: AskedLedger) -> None:
    advice = await sample.ask("set_budget", category="food.groceries", amount_minor=40000, currency="EUR")
    assert advice.text == (
        "To set a budget of 400.00 EUR a month for groceries. "
        "655.27 EUR was spent on groceries from 1 January to 28 February 2026, 327.63 EUR a month."
    )
    assert advice.wish is not None
    assert valid_arguments("set_budget", advice.wish.arguments) == {
        "category": "food.groceries",
        "limit_minor": 40000,
        "currency": "EUR",
    }
    assert sample.asked == {"query": 1}


async def test_a_group_of_categories_may_have_a_budget_and_nonsense_may_not(sample: AskedLedger) -> None:
    assert (await sample.ask("set_budget", category="food", amount_minor=1, currency="EUR")).wish is not None
    unknown = await sample.ask("set_budget", category="foood", amount_minor=1, currency="EUR")
    assert (unknown.wish, unknown.asks) == (None, "category")


async def test_without_a_record_there_is_nothing_to_compare_with(empty: AskedLedger) -> None:
    advice = await empty.ask("set_budget", category="food", amount_minor=40000, currency="EUR")
    assert "Nothing is on record of the three months before this one to compare with." in advice.text


async def test_an_amount_or_currency_that_is_none_is_asked_for(sample: AskedLedger) -> None:
    for slots, asks in (({"amount_minor": -1}, "amount_minor"), ({"currency": "GOLD"}, "currency")):
        advice = await sample.ask("set_budget", **{"category": "food", "amount_minor": 1, "currency": "EUR", **slots})
        assert (advice.wish, advice.asks) == (None, asks)
