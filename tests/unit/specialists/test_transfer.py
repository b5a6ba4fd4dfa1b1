"""Money between own accounts is told from money to others."""

from __future__ import annotations

import pytest

from shared.specialists.specialist import Charge, Knowledge
from shared.specialists.transfer import Transfer, find_transfer
from tests.unit.specialists.cases import case, charge

OWN = frozenset({"acc-1", "acc-2", "GB29NWBK60161331926819"})


def knowing(*counterparts: Charge) -> Knowledge:
    return Knowledge(own_accounts=OWN, counterparts=counterparts)


@pytest.mark.parametrize(
    "descriptor",
    [
        "TRANSFER TO SAVINGS",
        "Umbuchung",
        "VIREMENT INTERNE",
        "TRASPASO ENTRE CUENTAS",
        "GIROCONTO",
        "OVERBOEKING EIGEN REKENING",
    ],
)
def test_words_for_own_accounts_are_enough(descriptor: str) -> None:
    assert find_transfer(case(descriptor, -20_000)) is not None


def test_the_opposite_entry_makes_a_neutral_text_a_transfer() -> None:
    assert (
        find_transfer(case("FASTER PAYMENT 0091", -20_000, knowledge=knowing(charge(20_000, account="acc-2"))))
        is not None
    )
    assert find_transfer(case("FASTER PAYMENT 0091", -20_000, knowledge=knowing())) is None


@pytest.mark.parametrize(
    "misleading",
    [
        charge(-20_000, account="acc-2"),
        charge(20_000, account="acc-1"),
        charge(20_000, account="somebody-else"),
        charge(20_000, account="acc-2", booked_on="2026-01-25"),
        charge(20_000, account="acc-2", currency="EUR"),
        charge(20_001, account="acc-2"),
    ],
    ids=["same sign", "same account", "not ours", "too late", "other currency", "other amount"],
)
def test_an_entry_that_only_resembles_the_other_side_proves_nothing(misleading: Charge) -> None:
    assert find_transfer(case("FASTER PAYMENT 0091", -20_000, knowledge=knowing(misleading))) is None


def test_an_equal_amount_is_a_coincidence_where_both_sides_name_others() -> None:
    other = charge(20_000, account="acc-2", descriptor="REFUND TRAVEL AGENCY")
    assert find_transfer(case("PAYMENT TO NIKOLAS", -20_000, knowledge=knowing(other))) is None


def test_the_digits_of_an_own_account_name_it() -> None:
    assert find_transfer(case("TRANSFER TO XXXX6819", -20_000, knowledge=knowing())) is not None
    assert find_transfer(case("PAYMENT TO 1111", -20_000, knowledge=knowing())) is None


@pytest.mark.parametrize(
    ("descriptor", "mcc"),
    [
        ("HEAT TRANSFER WAREHOUSE", "5199"),
        ("AIRPORT TRANSFER ROMA", ""),
        ("SAVINGS BOOKSHOP", ""),
        ("TRANSFER TO SAVINGS", "5812"),
    ],
)
def test_a_shop_that_bears_the_word_is_a_shop(descriptor: str, mcc: str) -> None:
    assert find_transfer(case(descriptor, -2000, mcc=mcc)) is None


def test_a_fee_for_a_transfer_is_none() -> None:
    assert find_transfer(case("WIRE TRANSFER FEE", -2500)) is None


def test_routing_sees_it_even_where_the_chart_has_no_such_name() -> None:
    own_names = case("TRANSFER TO SAVINGS", -20_000, chart=frozenset({"L220"}))
    assert find_transfer(own_names) is not None
    assert Transfer().propose(own_names) is None
