"""Payments for borrowed money, and how burdensome it is."""

from __future__ import annotations

import pytest

from shared.guard.decision import Proposal
from shared.specialists.debt import QUALITY, Debt
from tests.unit.guard.policies import money
from tests.unit.specialists.cases import case


@pytest.mark.parametrize(
    ("descriptor", "quality"),
    [
        ("SANTANDER MORTGAGE DD", "secured"),
        ("AUTOKREDIT RATE 12", "secured"),
        ("STUDENT LOAN REPAYMENT", "unsecured"),
        ("ECHEANCE PRET 0091", "unsecured"),
        ("CREDIT CARD PAYMENT THANK YOU", "revolving"),
        ("OVERDRAFT INTEREST", "revolving"),
        ("KLARNA RATE 3", "unsecured"),
        ("PAYDAY LOAN 44", "high_cost"),
        ("INKASSO FORDERUNG", "high_cost"),
    ],
)
def test_a_payment_on_credit_is_told_with_its_quality(descriptor: str, quality: str) -> None:
    opinion = Debt().propose(case(descriptor, -20_000))
    assert isinstance(opinion, Proposal)
    assert opinion.evidence[0] == f"quality:{quality}"


@pytest.mark.parametrize(
    ("descriptor", "mcc"),
    [
        ("LOAN STAR STEAKHOUSE", ""),
        ("LOAN STAR", "5812"),
        ("MORTGAGE BROKER FEE", ""),
        ("LOAN PROTECTION PREMIUM", ""),
        ("CREDIT REPORT MONTHLY", ""),
        ("RAILCARD RENEWAL", ""),
        ("GIFT CARD 25", ""),
    ],
)
def test_a_word_for_credit_is_not_yet_a_payment_on_it(descriptor: str, mcc: str) -> None:
    assert Debt().propose(case(descriptor, -2000, mcc=mcc)) is None


def test_money_that_comes_in_is_no_payment() -> None:
    assert Debt().propose(case("LOAN PAYOUT", 500_000)) is None


def test_every_debt_of_the_policy_has_a_quality() -> None:
    told = {rule for rule in money().categories if rule.startswith("debt.")} - {"debt.proceeds"}
    assert told == set(QUALITY)
