"""Cases for the specialists, built on the shipped policy."""

from __future__ import annotations

from typing import Any

from shared.ledger.descriptor import normalised
from shared.specialists.specialist import Case, Charge, Knowledge
from tests.unit.guard.policies import facts, money

CHART = frozenset(money().categories)


def case(descriptor: str = "TESCO STORES 3312", amount_minor: int = -2345, **other: Any) -> Case:
    """A case; `knowledge`, `chart` and `policy` apart, keywords are facts."""
    knowledge = other.pop("knowledge", Knowledge())
    chart, policy = other.pop("chart", CHART), other.pop("policy", money())
    return Case(facts(descriptor, amount_minor, **other), normalised(descriptor), knowledge, policy, chart)


def charge(
    amount_minor: int, booked_on: str = "2026-01-15", account: str = "acc-1", id_: str = "c1", **other: str
) -> Charge:
    """An earlier transaction in pounds."""
    return Charge(id_, account, booked_on, amount_minor, other.pop("currency", "GBP"), **other)
