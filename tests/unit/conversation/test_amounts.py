"""Amounts as people write and say them."""

from __future__ import annotations

import pytest

from shared.conversation.amounts import amounts_in


def read(text: str, home: str = "USD") -> list[tuple[int, str, str]]:
    return [(one.money.minor, one.money.currency, one.money.problem) for one in amounts_in(text, home=home)]


@pytest.mark.parametrize(
    ("text", "home", "minor", "currency"),
    [
        ("Send $1,630.", "USD", 163000, "USD"),
        ("250 euros", "USD", 25000, "EUR"),
        ("40.50 EUR", "", 4050, "EUR"),
        ("two hundred dollars", "USD", 20000, "USD"),
        ("send a grand to Bob", "GBP", 100000, "GBP"),
        ("1.234,56 €", "EUR", 123456, "EUR"),
        ("pay 1.234 €", "EUR", 123400, "EUR"),
        ("CHF 1'234.50", "", 123450, "CHF"),
        ("1 250,00 zł", "PLN", 125000, "PLN"),
        ("¥5000", "JPY", 5000, "JPY"),
        ("KWD 1.234", "", 1234, "KWD"),
        ("2.5k dollars", "USD", 250000, "USD"),
        ("nine hundred and fifty bucks", "USD", 95000, "USD"),
        ("one thousand one hundred and sixty dollars", "USD", 116000, "USD"),
        ("twenty-five quid", "USD", 2500, "GBP"),
        ("five dollars and fifty cents", "USD", 550, "USD"),
        ("$50 CAD", "USD", 5000, "CAD"),
        ("send Bob 50", "USD", 5000, "USD"),
    ],
)
def test_an_amount_is_an_integer_of_its_currency_s_minor_unit(text: str, home: str, minor: int, currency: str) -> None:
    assert read(text, home) == [(minor, currency, "")]


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("$1.234", "USD"),  # a thousand and something, or one and something
        ("0.001 euros", "EUR"),  # nobody groups what begins with a nought
        ("0,005 dollars", "USD"),
        ("one fifty dollars", "USD"),
        ("$50", "EUR"),  # whose dollars
        ("send 50 to Bob", ""),
        ("$50 EUR", "USD"),
        ("100.5 JPY", ""),
        ("-50 dollars", "USD"),
        ("$0", "USD"),
        ("half a million dollars", "USD"),
        ("$99999999999999999", "USD"),
        ("KWD 1,234", ""),
    ],
)
def test_an_ambiguous_or_impossible_amount_has_a_problem_and_is_never_guessed(text: str, home: str) -> None:
    assert all(problem for _, _, problem in read(text, home))
    assert read(text, home)


@pytest.mark.parametrize(
    "text",
    ["account 12345678", "in 2024", "send 5 people a note", "invoice 4711", "50 % of it", "3 months", "one of them"],
)
def test_a_number_that_is_no_money_is_none(text: str) -> None:
    assert read(text) == []


def test_two_amounts_beside_each_other_stay_two() -> None:
    assert [minor for minor, _, _ in read("transfer $50 $60")] == [5000, 6000]


def test_a_bound_is_told_from_an_exact_amount() -> None:
    assert [one.money.bound for one in amounts_in("over $100 or under 20 euros or about $5", home="USD")] == [
        "at_least",
        "at_most",
        "about",
    ]
