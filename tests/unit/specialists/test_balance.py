"""Movements per account, never sold as the bank's balance."""

from __future__ import annotations

from tests.unit.specialists.ledgers import AskedLedger


async def test_each_account_is_summed_per_currency_and_called_a_movement(sample: AskedLedger) -> None:
    advice = await sample.ask("balance")
    assert advice.text.splitlines() == [
        "I do not know the bank's balance. This is the movement on record here, in less out:",
        "- “acc-card”: -2,164.07 EUR in 36 transactions",
        "- “acc-card”: -49.00 USD in 1 transaction",
        "- “acc-current”: -619.39 EUR in 78 transactions",
        "- “acc-savings”: 611.27 EUR in 5 transactions",
        "It covers 2 January 2026 to 31 March 2026.",
    ]
    assert advice.facts["is_bank_balance"] is False
    assert sample.asked == {"query": 1}


async def test_one_account_is_picked_by_what_people_call_it(sample: AskedLedger) -> None:
    assert "- “acc-savings”: 611.27 EUR" in (await sample.ask("balance", account_type="savings")).text
    checking = (await sample.ask("balance", account_type="checking")).text
    assert "acc-current" in checking
    assert "acc-savings" not in checking


async def test_an_account_that_nobody_knows_is_not_guessed(sample: AskedLedger) -> None:
    advice = await sample.ask("balance", account_type="app balance")
    assert advice.text == (
        "I know of no “app balance” account. On record are “acc-card”, “acc-current” and “acc-savings”."
    )


async def test_nothing_on_record_is_said(empty: AskedLedger) -> None:
    assert (await empty.ask("balance")).text == "No transaction is on record."
