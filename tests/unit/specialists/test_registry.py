"""Whom each lane asks."""

from __future__ import annotations

from shared.guard.policy import LANES, policy_from
from shared.specialists.registry import SERVES, specialists_for
from tests.unit.guard.policies import document, money


def test_each_lane_asks_its_own_specialist_first_and_anomaly_always() -> None:
    for lane in LANES:
        names = [one.name for one in specialists_for(lane, money())]
        assert names[0] == lane
        assert "anomaly" in names


def test_all_that_are_registered_are_listed_by_the_shipped_policy() -> None:
    assert {one.name for group in SERVES.values() for one in group} <= set(money().specialists)


def test_one_that_is_switched_off_or_not_listed_is_not_asked() -> None:
    raw = document()
    raw["specialists"]["merchant_memory"]["enabled"] = False
    names = [one.name for one in specialists_for("categorization", policy_from(raw))]
    assert names == ["categorization", "anomaly"]
    assert specialists_for("gossip", money()) == ()
