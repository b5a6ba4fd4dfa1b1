"""What is earned is told from what came back, was lent or was the owner's before."""

from __future__ import annotations

import pytest

from shared.guard.decision import Proposal
from shared.specialists.income import Income
from shared.specialists.specialist import Knowledge
from tests.unit.specialists.cases import case, charge


@pytest.mark.parametrize(
    ("descriptor", "target"),
    [
        ("BACS SALARY NORTHWIND LTD", "income.salary"),
        ("GEHALT MAERZ SONNENSCHEIN GMBH", "income.salary"),
        ("NOMINA MENSUAL", "income.salary"),
        ("STARBUCKS PAYROLL", "income.salary"),
        ("DEUTSCHE RENTENVERSICHERUNG", "income.pension"),
        ("CHILD BENEFIT", "income.benefits"),
        ("IRS TREAS 310 TAX REF", "income.tax_refund"),
        ("RENT FROM FLAT 2", "income.rental"),
    ],
)
def test_the_words_of_a_payer_say_what_for(descriptor: str, target: str) -> None:
    opinion = Income().propose(case(descriptor, 250_000))
    assert isinstance(opinion, Proposal)
    assert opinion.target == target


@pytest.mark.parametrize(
    "descriptor",
    ["REFUND ZALANDO SE", "REVERSAL CARD PURCHASE", "LOAN DISBURSEMENT", "DARLEHENSAUSZAHLUNG", "TRANSFER FROM SAVINGS",
     "CASHBACK REWARD", "CASH DIV ON 50 SHS", "JOHN SMITH", "REFUND OF INVOICE 44"],
)  # fmt: skip
def test_what_was_not_earned_is_no_income(descriptor: str) -> None:
    assert Income().propose(case(descriptor, 250_000)) is None


def test_money_that_leaves_is_never_income() -> None:
    assert Income().propose(case("SALARY OF OUR GARDENER", -250_000)) is None


@pytest.mark.parametrize(("last", "found"), [("2026-01-01", True), ("2026-01-13", False)])
def test_a_payer_who_pays_at_a_steady_interval_is_income_without_words(last: str, found: bool) -> None:
    paid = tuple(charge(100_000 + at, day) for at, day in enumerate(["2025-10-01", "2025-11-01", "2025-12-01"]))
    opinion = Income().propose(case("NORTHWIND LTD", 100_500, booked_on=last, knowledge=Knowledge(charges=paid)))
    assert isinstance(opinion, Proposal) is found
