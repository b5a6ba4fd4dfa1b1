"""The shipped policy, read once for all tests of the guard and the specialists, and small variations of it."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shared.contracts.transactions import TransactionFacts
from shared.guard.decision import Answer, Concern, Proposal
from shared.guard.policy import Policy, policy_from

SHIPPED = Path(__file__).resolve().parents[3] / "policies" / "money.yaml"


@cache
def _document() -> dict[str, Any]:
    return yaml.safe_load(SHIPPED.read_text())


def document() -> dict[str, Any]:
    """A copy of the shipped document, to be changed at will."""
    return copy.deepcopy(_document())


@cache
def money() -> Policy:
    """The shipped policy."""
    return policy_from(_document())


def facts(descriptor: str = "TESCO STORES 3312", amount_minor: int = -2345, **other: Any) -> TransactionFacts:
    """An ordinary purchase unless told otherwise."""
    given = {
        "transaction_id": "t1",
        "account": "acc-1",
        "booked_on": "2026-01-15",
        "currency": "GBP",
        "mcc": "",
        **other,
    }
    return TransactionFacts(descriptor=descriptor, amount_minor=amount_minor, **given)


def proposal(
    specialist: str = "categorization", target: str = "food.groceries", bp: int = 9600, **other: Any
) -> Proposal:
    """A sound proposal unless told otherwise."""
    given = {"rationale_code": "mcc_rule", "rationale": "The code says so.", **other}
    return Proposal(specialist=specialist, target=target, confidence_bp=bp, **given)


def answered(*opinions: Proposal | Concern, by: str = "categorization") -> Answer:
    """A turn that ended well."""
    proposals = tuple(one for one in opinions if isinstance(one, Proposal))
    concerns = tuple(one for one in opinions if isinstance(one, Concern))
    return Answer(by, "answered" if opinions else "abstained", proposals, concerns)
