"""Memory proposes what people chose for this merchant, and nothing where they did not."""

from __future__ import annotations

import pytest

from shared.errors import ConfigurationError
from shared.guard.decision import Proposal
from shared.guard.policy import policy_from
from shared.ledger.memory_entries import learned, memory_keys
from shared.specialists.merchant_memory import MerchantMemory, memory_thresholds
from shared.specialists.specialist import Knowledge
from tests.unit.guard.policies import document
from tests.unit.specialists.cases import case

SHOP = "CORNER HOUSE 12"


def reviewed(label: str) -> Knowledge:
    """What memory holds after three reviews of this shop by people."""
    memory = {}
    for key in memory_keys(SHOP, "acc-1"):
        entry = None
        for day in range(1, 4):
            entry = learned(
                entry,
                key=key,
                descriptor=SHOP,
                label=label,
                amount_minor=-2300,
                booked_on=f"2026-01-0{day}",
                source="review",
            )
        memory[key] = entry or {}
    return Knowledge(memory=memory)


def test_what_people_chose_before_is_proposed() -> None:
    opinion = MerchantMemory().propose(case(SHOP, knowledge=reviewed("food.bar")))
    assert isinstance(opinion, Proposal)
    assert opinion.target == "food.bar"
    assert opinion.rationale_code == "memory_recalled"
    assert 0 <= opinion.runner_up_bp <= opinion.confidence_bp <= 10_000


def test_a_category_that_the_tenant_has_since_removed_is_not() -> None:
    assert MerchantMemory().propose(case(SHOP, knowledge=reviewed("L220"))) is None


def test_nothing_known_is_nothing_said() -> None:
    assert MerchantMemory().propose(case(SHOP)) is None


def test_a_threshold_that_memory_does_not_know_is_refused_by_name() -> None:
    raw = document()
    raw["memory"]["luck_bp"] = 1
    with pytest.raises(ConfigurationError, match="luck_bp"):
        memory_thresholds(policy_from(raw))
