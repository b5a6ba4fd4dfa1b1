"""What will be left: regular income less recurring charges, exactly, on the sample statement."""

from __future__ import annotations

from datetime import date, timedelta

from tests.unit.specialists.ledgers import AskedLedger


async def test_the_next_thirty_days_in_one_reading(sample: AskedLedger) -> None:
    advice = await sample.ask("cash_pressure")
    lines = advice.text.splitlines()
    assert lines[0] == "Until 29 April 2026:"
    assert lines[1] == (
        "3,560.15 EUR of regular income and 2,371.49 EUR of recurring charges are expected, which leaves 1,188.66 EUR."
        " Everyday spending usually comes to 1,554.98 EUR in 30 days; after that 366.32 EUR would be missing."
    )
    assert lines[2] == (
        "Before the next main income on 27 April 2026 (3,420.15 EUR from “SALARY LIFFEY SOFTWARE LTD”), "
        "2,332.49 EUR falls due."
    )
    assert lines[3] == "- 1 April 2026: 1,650.00 EUR, “S/O RENT GREENFIELD LETTINGS LTD”, monthly"
    assert lines[10] == "- 20 April 2026: 45.00 EUR, “DD EIR BROADBAND”, monthly"
    assert lines[11] == "And 2 more charges until then."
    assert lines[12].startswith("I assume: what came at a steady interval three times or more goes on")
    assert "the bank's balance is not known here" in lines[12]
    assert sample.asked == {"query": 1}


async def test_its_figures_are_the_sums_of_what_it_lists(sample: AskedLedger) -> None:
    facts = (await sample.ask("cash_pressure")).facts
    euro = facts["by_currency"][0]
    assert sum(-one["amount_minor"] for one in facts["due"]) == euro["recurring_charges_minor"] == 237149
    assert sum(one["amount_minor"] for one in facts["income"]) == euro["expected_income_minor"] == 356015
    assert euro["left_minor"] == 118866
    assert {one["text"] for one in facts["income"]} == {"SALARY LIFFEY SOFTWARE LTD", "DSP CHILD BENEFIT"}
    assert not any("TRANSFER" in one["text"] for one in facts["due"])


async def test_a_span_ahead_is_taken_as_named_and_one_that_is_over_is_not(sample: AskedLedger) -> None:
    may = await sample.ask("cash_pressure", since="2026-05-01", until="2026-06-01")
    assert may.text.startswith("From 1 May 2026 to 31 May 2026:")
    assert all("2026-05-01" <= one["on"] < "2026-06-01" for one in may.facts["due"])
    past = await sample.ask("cash_pressure", since="2026-01-01", until="2026-02-01")
    assert past.text.startswith("The days you name are over; I look ahead instead. Until 29 April 2026:")
    far = await sample.ask("cash_pressure", until="2099-01-01")
    assert far.facts["until"] == "2027-04-01"


async def test_an_old_record_is_said_to_be_old_and_what_it_promises_still_counts(sample: AskedLedger) -> None:
    sample.today = date(2026, 5, 20)
    advice = await sample.ask("cash_pressure")
    assert "The newest transaction on record is of 31 March 2026; what came since is missing." in advice.text
    assert "“SALARY LIFFEY SOFTWARE LTD”" in advice.text
    assert all(one["on"] >= "2026-05-20" for one in advice.facts["due"])


async def test_money_that_only_changes_accounts_is_no_income(empty: AskedLedger) -> None:
    await empty.book(
        *(
            {"amount_minor": sign * 40000, "account": account, "booked_on": f"2026-0{month}-05", "descriptor": text,
             "category": "transfer.own_account"}
            for month in (1, 2, 3)
            for sign, account, text in ((-1, "acc-current", "TO SAVINGS"), (1, "acc-savings", "FROM CURRENT"))
        )
    )  # fmt: skip
    advice = await empty.ask("cash_pressure")
    assert "I find no regular income on record." in advice.text
    assert advice.facts["income"] == []
    assert advice.facts["due"] == []


async def test_a_charge_that_was_cancelled_is_not_expected_any_more(empty: AskedLedger) -> None:
    months = [date(2025, 9, 10), date(2025, 10, 10), date(2025, 11, 10)]
    await empty.book(
        *({"amount_minor": -999, "booked_on": str(day), "descriptor": "OLD GYM", "category": "x.y"} for day in months),
        {"amount_minor": -500, "booked_on": "2026-03-30", "descriptor": "SHOP", "category": "food.groceries"},
    )
    assert (await empty.ask("cash_pressure")).facts["due"] == []


async def test_a_long_history_is_read_to_its_pages_and_no_further(empty: AskedLedger) -> None:
    await empty.book(
        *(
            {"amount_minor": -100 - number % 7, "booked_on": str(date(2026, 3, 31) - timedelta(days=number // 20)),
             "descriptor": f"SHOP {number % 50}", "category": "food.groceries"}
            for number in range(2100)
        )
    )  # fmt: skip
    advice = await empty.ask("cash_pressure")
    assert "I read the newest 2,000 transactions" in advice.text
    assert empty.asked == {"query": 10}


async def test_nothing_on_record_is_no_outlook(empty: AskedLedger) -> None:
    assert (await empty.ask("cash_pressure")).text == ("There is no transaction on record yet, so I cannot look ahead.")
