"""Which rows a question means, and which accounts."""

from __future__ import annotations

from datetime import date

import pytest

from shared.ledger.descriptor import normalised
from shared.specialists.account_types import of_type
from shared.specialists.ledger_reader import Row
from shared.specialists.selection import Span, belongs, by_merchant, is_known, last_days, own_moves, span_of


def row(descriptor: str = "TESCO STORES 5512 RATHMINES", **changes: object) -> Row:
    made = Row("t", "2026-03-01", -100, "EUR", descriptor, normalised(descriptor), "acc-1", "", "", "NeedsReview", "")
    return made._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "descriptor"),
    [
        ("tesco", "TESCO STORES 5512 RATHMINES"),
        ("Tesco Stores", "TESCO STORES 5512 RATHMINES"),
        ("lloyds pharmacy", "LLOYDSPHARMACY 041 DUBLIN"),
        ("netflix", "NETFLIX.COM"),
        ("Sainsbury", "SAINSBURYS S/MKT"),
        ("amazon", "AMAZON.CO.UK*RT4YU"),
        ("Café Noir", "CAFE NOIR PARIS"),
        ("dublin", "CHAPTER ONE DUBLIN"),  # a place that a merchant's name is stripped of
    ],
)
def test_a_merchant_is_known_by_what_people_call_it(name: str, descriptor: str) -> None:
    assert by_merchant(name)(row(descriptor))


@pytest.mark.parametrize(
    ("name", "descriptor"),
    [("tesco", "TEX SUSSEX SSTN"), ("aldi", "GARIBALDI RESTAURANT"), ("boots", "ROOTS BAR"), ("", "ANY"), ("*", "ANY"),
     (".*", "ANY SHOP"), ("dub", "CHAPTER ONE DUBLIN")],
)  # fmt: skip
def test_a_merchant_is_not_known_by_letters_inside_another_word(name: str, descriptor: str) -> None:
    assert not by_merchant(name)(row(descriptor))


def test_a_category_belongs_to_itself_and_its_branch_alone() -> None:
    assert belongs("food.groceries", "food.groceries")
    assert belongs("food.groceries", "food")
    assert not belongs("foodstuff.x", "food")
    assert is_known("food", ["food.groceries"])
    assert not is_known("foo", ["food.groceries"])


def test_two_legs_of_one_movement_are_own_money() -> None:
    out = row("TO SAVINGS", transaction_id="a", category="transfer.savings")
    back = row("FROM CURRENT", transaction_id="b", amount_minor=100, account="acc-2", booked_on="2026-03-04")
    assert own_moves([out, back]) == own_moves([back, out]) == {"a", "b"}


def test_a_coincidence_is_no_movement() -> None:
    out = row(transaction_id="a", suggested="transfer.own_account")
    back = row(transaction_id="b", amount_minor=100, account="acc-2")
    bought = back._replace(category="shopping.clothing")  # a refund of the same size
    for other in (
        back._replace(account="acc-1"),
        back._replace(booked_on="2026-03-09"),
        back._replace(currency="USD"),
        bought,
    ):
        assert own_moves([out, other]) == frozenset()
    assert own_moves([out._replace(suggested=""), back]) == frozenset()  # nobody speaks of a transfer


def test_each_movement_is_paired_once() -> None:
    outs = [row(transaction_id=f"o{at}", category="transfer.savings") for at in range(2)]
    back = row(transaction_id="b", amount_minor=100, account="acc-2")
    assert len(own_moves([*outs, back])) == 2


def test_days_that_are_no_days_name_none() -> None:
    assert span_of({"since": "2026-03-01", "until": "2026-04-01"}) == Span(date(2026, 3, 1), date(2026, 4, 1))
    assert span_of({"since": "2026-04-01", "until": "2026-03-01"}) == Span()
    assert span_of({"since": "soon", "until": 7}) == Span()
    assert last_days(date(2026, 3, 31), 30) == Span(date(2026, 3, 2), date(2026, 4, 1))


@pytest.mark.parametrize(
    ("kind", "accounts", "meant"),
    [
        ("savings", ["acc-current", "acc-savings"], ["acc-savings"]),
        ("checking", ["acc-current", "acc-savings"], ["acc-current"]),
        ("credit card", ["acc-card", "acc-debit-card", "visa-credit-card"], ["visa-credit-card"]),
        ("savings", ["savings-1", "savings-2"], ["savings-1", "savings-2"]),
        ("acc-9", ["acc-9", "acc-99"], ["acc-9"]),
        ("acc-9", ["acc-99", "acc-current"], []),
        ("joint", ["acc-joint", "acc-current"], ["acc-joint"]),
        ("savings", ["DE89370400440532013000"], []),
    ],
)
def test_an_account_is_told_by_its_name(kind: str, accounts: list[str], meant: list[str]) -> None:
    assert of_type(kind, accounts) == meant
