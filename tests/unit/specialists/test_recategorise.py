"""Wishes for another category: exactly which transactions, as they were looked at."""

from __future__ import annotations

from shared.actions.registry import valid_arguments
from tests.unit.specialists.ledgers import AskedLedger


async def test_a_merchants_transactions_are_named_by_id_and_decision_version(sample: AskedLedger) -> None:
    advice = await sample.ask("recategorise", category="leisure.sport", merchant="flyefit")
    assert advice.text.splitlines() == [
        "3 transactions from “flyefit” would go under sport (now: 3 under fitness):",
        "- 27 March 2026: 39.00 EUR out, “FLYEFIT RANELAGH”, fitness [s-115]",
        "- 27 February 2026: 39.00 EUR out, “FLYEFIT RANELAGH”, fitness [s-078]",
        "- 30 January 2026: 39.00 EUR out, “FLYEFIT RANELAGH”, fitness [s-037]",
    ]
    assert advice.wish is not None
    assert advice.wish.action == "recategorise_transactions"
    assert valid_arguments("recategorise_transactions", advice.wish.arguments) == {
        "category": "leisure.sport",
        "transactions": [{"transaction_id": id_, "decision_version": 1} for id_ in ("s-115", "s-078", "s-037")],
    }
    assert advice.mentions == ("s-115", "s-078", "s-037")
    assert sample.asked == {"query": 1}


async def test_one_transaction_is_named_by_its_id_in_one_read(sample: AskedLedger) -> None:
    advice = await sample.ask("recategorise", category="food.coffee", transaction_id="s-016")
    assert advice.mentions == ("s-016",)
    assert "(now: 1 waiting for review)" in advice.text
    assert sample.asked == {"read": 1}


async def test_days_narrow_what_is_meant(sample: AskedLedger) -> None:
    advice = await sample.ask(
        "recategorise", category="food.coffee", merchant="tesco", since="2026-03-01", until="2026-04-01"
    )
    assert advice.mentions == ("s-118", "s-101", "s-089")


async def test_what_is_there_already_is_left_alone(sample: AskedLedger) -> None:
    advice = await sample.ask("recategorise", category="food.groceries", merchant="tesco")
    assert advice.text == "There is nothing to change from “tesco”. 10 transactions are under groceries already."
    assert advice.wish is None


async def test_what_is_still_being_classified_is_left_alone(empty: AskedLedger) -> None:
    await empty.book(
        {"descriptor": "LIDL", "review_state": "Unclassified"},
        {"descriptor": "LIDL", "review_state": "NeedsReview"},
    )
    advice = await empty.ask("recategorise", category="food.groceries", merchant="lidl")
    assert advice.mentions == ("t-0002",)
    assert "1 transaction is still being classified and left alone." in advice.text


async def test_of_more_than_fifty_the_newest_are_taken_and_the_rest_is_said(empty: AskedLedger) -> None:
    await empty.book(
        *({"descriptor": "LIDL", "category": "food.alcohol", "booked_on": f"2026-0{1 + n // 28}-{1 + n % 28:02d}"}
          for n in range(60))
    )  # fmt: skip
    advice = await empty.ask("recategorise", category="food.groceries", merchant="lidl")
    assert advice.wish is not None
    assert len(valid_arguments("recategorise_transactions", advice.wish.arguments)["transactions"]) == 50
    assert advice.mentions[0] == "t-0060"
    assert "I take the newest 50; 10 older ones are left for another time." in advice.text
    assert "And 45 more." in advice.text


async def test_a_category_that_is_not_there_is_asked_back_with_the_nearest(sample: AskedLedger) -> None:
    advice = await sample.ask("recategorise", category="gymm", merchant="flyefit")
    assert advice.text == "There is no category “gymm” here. Do you mean fitness (personal.fitness)?"
    assert (advice.asks, advice.wish, sample.asked) == ("category", None, {})


async def test_a_whole_group_is_no_category_to_put_something_under(sample: AskedLedger) -> None:
    advice = await sample.ask("recategorise", category="health", merchant="boots")
    assert advice.text.startswith("“health” is a whole group of categories. Do you mean dentist (health.dentist)")
    assert (advice.asks, advice.wish) == ("category", None)


async def test_an_unknown_merchant_or_id_and_none_at_all_are_asked_back(sample: AskedLedger) -> None:
    merchant = await sample.ask("recategorise", category="food.coffee", merchant="Netflux")
    assert (merchant.asks, merchant.wish) == ("merchant", None)
    assert merchant.text.endswith("Do you mean “netflix”?")
    id_ = await sample.ask("recategorise", category="food.coffee", transaction_id="../s-001")
    assert (id_.asks, id_.wish) == ("transaction_id", None)
    nothing = await sample.ask("recategorise", category="food.coffee")
    assert (nothing.asks, nothing.wish, sample.asked) == ("merchant", None, {})
