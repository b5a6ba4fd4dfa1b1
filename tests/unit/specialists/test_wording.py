"""How advisors speak of amounts, days, categories and other people's text."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.contracts.currencies import money_text
from shared.specialists.wording import (
    MAX_QUOTED,
    amounts_text,
    category_text,
    count_text,
    listed,
    nearest,
    quoted,
    span_text,
)


@pytest.mark.parametrize(
    ("minor", "currency", "told"),
    [
        (123450, "EUR", "1,234.50 EUR"),
        (-5, "USD", "-0.05 USD"),
        (1500, "JPY", "1,500 JPY"),
        (12345, "KWD", "12.345 KWD"),
        (0, "EUR", "0.00 EUR"),
        (10**15, "CLF", "100,000,000,000.0000 CLF"),
    ],
)
def test_money_has_the_digits_of_its_currency(minor: int, currency: str, told: str) -> None:
    assert money_text(minor, currency) == told


def test_amounts_of_several_currencies_stand_side_by_side() -> None:
    assert amounts_text({"USD": 4900, "EUR": 128093}) == "1,280.93 EUR and 49.00 USD"


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (date(2026, 3, 1), date(2026, 4, 1), "in March 2026"),
        (date(2025, 12, 1), date(2026, 1, 1), "in December 2025"),
        (date(2025, 1, 1), date(2026, 1, 1), "in 2025"),
        (date(2026, 3, 2), date(2026, 3, 10), "from 2 to 9 March 2026"),
        (date(2026, 1, 1), date(2026, 4, 1), "from 1 January to 31 March 2026"),
        (date(2025, 11, 3), date(2026, 2, 4), "from 3 November 2025 to 3 February 2026"),
        (date(2026, 3, 2), date(2026, 3, 3), "on 2 March 2026"),
        (date(2026, 3, 2), None, "since 2 March 2026"),
        (None, date(2026, 3, 2), "up to 1 March 2026"),
        (None, None, "on record"),
    ],
)
def test_a_span_is_told_as_people_say_it(since: date | None, until: date | None, told: str) -> None:
    assert span_text(since, until) == told


def test_a_category_is_told_by_its_last_word_unless_that_says_nothing() -> None:
    assert category_text("food.fast_food") == "fast food"
    assert category_text("income.other") == "other (income)"
    assert category_text("food") == "food"
    assert category_text("FOOD_AND_DRINK.FOOD_AND_DRINK_GROCERIES") == "groceries"
    assert category_text("Our own: Éclairs") == "Our own: Éclairs"


def test_lists_and_counts_read_like_sentences() -> None:
    assert [listed(["a", "b", "c"][:many]) for many in range(4)] == ["nothing", "a", "a and b", "a, b and c"]
    assert listed(["a", "b"], "or") == "a or b"
    assert (count_text(1, "day"), count_text(2000, "day")) == ("1 day", "2,000 days")


@given(some.text(max_size=300))
def test_text_from_outside_is_one_short_visible_line_between_its_own_quotation_marks(text: str) -> None:
    told = quoted(text)
    assert told[0] == "“"
    assert told[-1] == "”"
    inside = told[1:-1]
    assert len(inside) <= MAX_QUOTED
    assert not {"“", "”", '"'} & set(inside)
    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in inside)


def test_a_misspelt_name_finds_its_like_and_a_strange_one_finds_none() -> None:
    known = ["food.groceries", "food.restaurant", "transport.fuel"]
    assert nearest("grocries", known)[:1] == ["food.groceries"]
    assert nearest("Food: Restaurants", known)[:1] == ["food.restaurant"]
    assert nearest("zzzzqq", known) == []
    assert nearest("", known) == []
