"""Merchant category codes and words name a category, alone or together."""

from __future__ import annotations

import pytest

from shared.guard.decision import Proposal
from shared.specialists.categorization import Categorization, rules_conflict
from tests.unit.specialists.cases import case


def said(**given: object) -> Proposal | None:
    opinion = Categorization().propose(case(**given))  # type: ignore[arg-type]
    assert opinion is None or isinstance(opinion, Proposal)
    return opinion


@pytest.mark.parametrize(
    ("descriptor", "target"),
    [
        ("LIDL GB 4410", "food.groceries"),
        ("STARBUCKS 0091", "food.coffee"),
        ("APOTHEKE AM MARKT", "health.pharmacy"),
        ("BOULANGERIE PAUL", "food.bakery"),
        ("NETFLIX.COM", "leisure.streaming"),
        ("Sainsbury's Petrol 12", "transport.fuel"),
        ("AIRPORT TRANSFER ROMA", "transport.taxi"),
    ],
)
def test_words_name_a_category(descriptor: str, target: str) -> None:
    opinion = said(descriptor=descriptor)
    assert opinion is not None
    assert opinion.target == target
    assert opinion.rationale_code == "keyword_rule"


def test_a_code_alone_is_enough() -> None:
    opinion = said(descriptor="ZZYZX 12", mcc="5812")
    assert opinion is not None
    assert (opinion.target, opinion.rationale_code) == ("food.restaurant", "mcc_rule")


def test_code_and_words_that_agree_are_surer_than_either() -> None:
    both, code = said(mcc="5411"), said(descriptor="ZZYZX", mcc="5411")
    assert both is not None
    assert code is not None
    assert both.confidence_bp > code.confidence_bp


def test_sure_rules_that_disagree_are_both_told() -> None:
    conflicted = case("IKEA 0118", mcc="5812")
    opinions = Categorization().propose(conflicted)
    assert rules_conflict(conflicted)
    assert isinstance(opinions, tuple)
    assert {one.target for one in opinions if isinstance(one, Proposal)} == {"food.restaurant", "housing.furnishing"}


def test_an_unsure_code_does_not_conflict() -> None:
    assert not rules_conflict(case("TESCO STORES", mcc="5961"))


def test_two_readings_of_one_text_are_not_sure_enough_to_decide() -> None:
    opinion = said(descriptor="GREGGS ODEON")
    assert opinion is not None
    assert opinion.confidence_bp < 8500


def test_money_that_comes_in_is_no_purchase() -> None:
    assert said(amount_minor=2345, mcc="5411") is None


def test_rules_abstain_where_the_tenant_has_names_of_its_own() -> None:
    assert said(mcc="5411", chart=frozenset({"L220"})) is None
    assert not rules_conflict(case("IKEA 0118", mcc="5812", chart=frozenset({"L220"})))
