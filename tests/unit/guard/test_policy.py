"""A policy is refused, with the place named, unless everything in it is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import ConfigurationError
from shared.guard.policy import policy_from
from tests.unit.guard.policies import document, money


def test_the_shipped_policy_is_accepted_and_its_version_is_its_hash() -> None:
    assert money().name == "money"
    assert money().version.startswith("money@")
    assert len(money().version.partition("@")[2]) == 16


def test_the_version_depends_on_every_value_and_not_on_the_order() -> None:
    same = json.loads(json.dumps(document(), sort_keys=True))
    changed = document()
    changed["thresholds"]["semantic_margin_bp"] += 1
    assert policy_from(same).version == money().version
    assert policy_from(changed).version != money().version


def test_every_lane_has_a_switch_and_a_specialist_of_its_name() -> None:
    assert set(money().lanes) == {"categorization", "transfer", "income", "debt", "investment", "anomaly"}
    assert set(money().lanes) <= set(money().specialists)


def test_a_policy_cannot_be_changed_after_it_was_read() -> None:
    with pytest.raises(TypeError):
        money().categories["new.one"] = money().categories["food.groceries"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        money().version = "money@0"  # type: ignore[misc]


def _unknown_field(raw: dict[str, Any]) -> None:
    raw["thresholds"]["lucky_bp"] = 1


def _float_confidence(raw: dict[str, Any]) -> None:
    raw["thresholds"]["semantic_auto_bp"] = 0.92


def _unknown_category(raw: dict[str, Any]) -> None:
    raw["mcc"][0]["category"] = "food.ambrosia"


def _overlapping_codes(raw: dict[str, Any]) -> None:
    raw["mcc"].append({"codes": "5400-5420", "category": "food.bakery", "confidence_bp": 9000})


def _backward_range(raw: dict[str, Any]) -> None:
    raw["mcc"].append({"codes": "9999-9998", "category": "food.bakery", "confidence_bp": 9000})


def _no_code(raw: dict[str, Any]) -> None:
    raw["mcc"].append({"codes": "54x1", "category": "food.bakery", "confidence_bp": 9000})


def _unknown_lane(raw: dict[str, Any]) -> None:
    raw["lanes"]["gossip"] = {"enabled": True}


def _lane_without_specialist(raw: dict[str, Any]) -> None:
    del raw["specialists"]["debt"]


def _rule_for_unknown_category(raw: dict[str, Any]) -> None:
    raw["rules"]["debt"][0]["target"] = "debt.of_honour"


def _unknown_kind_of_rule(raw: dict[str, Any]) -> None:
    raw["rules"]["gossip"] = raw["rules"]["anomaly"]


def _term_twice(raw: dict[str, Any]) -> None:
    raw["rules"]["anomaly"][0]["terms"] += ["fraud"]


def _bad_stem(raw: dict[str, Any]) -> None:
    raw["rules"]["anomaly"][0]["terms"] += ["fr*"]


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (_unknown_field, "thresholds.lucky_bp"),
        (_float_confidence, "thresholds.semantic_auto_bp"),
        (_unknown_category, "mcc[0]"),
        (_overlapping_codes, "5411 is listed twice"),
        (_backward_range, "runs backwards"),
        (_no_code, "54x1"),
        (_unknown_lane, "gossip"),
        (_lane_without_specialist, "debt"),
        (_rule_for_unknown_category, "rules.debt[0]"),
        (_unknown_kind_of_rule, "gossip"),
        (_term_twice, "rules.anomaly[0]"),
        (_bad_stem, "fr*"),
    ],
)
def test_what_is_not_known_is_refused_and_named(spoil: Callable[[dict[str, Any]], None], place: str) -> None:
    raw = document()
    spoil(raw)
    with pytest.raises(ConfigurationError) as refused:
        policy_from(raw)
    assert place in str(refused.value)
