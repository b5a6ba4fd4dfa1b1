"""What the guard lets pass, and everything that it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.guard.decision import Answer, Concern, Decision, Proposal
from shared.guard.evaluate import evaluate
from shared.guard.policy import policy_from
from shared.guard.reasons import REASONS
from tests.unit.guard.policies import answered, document, facts, money, proposal

CHART = frozenset(money().categories)
MEMORY = "merchant_memory"
MODEL = "category_model"


def judge(*answers: Answer, **other: Any) -> Decision:
    """The decision, in the categorization lane unless told otherwise; its specialist answers unless it is there."""
    given_ = {
        "lane": "categorization",
        "facts": facts(),
        "policy": money(),
        "chart": CHART,
        "previous_state": "Unclassified",
        **other,
    }
    heard = answers if any(one.specialist == given_["lane"] for one in answers) else (answered(), *answers)
    return evaluate(answers=heard if "lane" not in other else answers, **given_)


def recalled(target: str = "food.groceries", bp: int = 9500, runner_up_bp: int = 0) -> Answer:
    return answered(proposal(MEMORY, target, bp, runner_up_bp=runner_up_bp), by=MEMORY)


def test_a_confident_rule_that_nobody_contradicts_is_applied() -> None:
    decision = judge(answered(proposal(bp=8500)))
    assert (decision.outcome, decision.category, decision.decided_by) == ("Applied", "food.groceries", "categorization")
    assert decision.reason_codes == ("deterministic_accepted", "mcc_rule")
    assert decision.policy_version == money().version


def test_a_rule_below_its_threshold_stays_gated_even_if_memory_agrees() -> None:
    decision = judge(answered(proposal(bp=8499)), recalled(bp=10_000))
    assert decision.outcome == "NeedsReview"
    assert decision.reason_codes[0] == "deterministic_below_threshold"
    assert decision.category == "food.groceries", "the reviewer still sees the suggestion"


def test_memory_alone_is_applied_from_its_own_threshold_on() -> None:
    assert judge(recalled(bp=9200)).outcome == "Applied"
    assert judge(recalled(bp=9199)).reason_codes[0] == "semantic_below_threshold"


def test_memory_must_be_well_ahead_of_its_own_runner_up() -> None:
    assert judge(recalled(bp=9500, runner_up_bp=9000)).outcome == "Applied"
    assert judge(recalled(bp=9500, runner_up_bp=9001)).reason_codes[0] == "semantic_margin_thin"


def test_memory_must_be_well_ahead_of_a_model_that_thinks_otherwise() -> None:
    model = answered(proposal(MODEL, "food.restaurant", 9200), by=MODEL)
    assert judge(recalled(bp=9500), model).reason_codes[0] == "semantic_margin_thin"


def test_a_rule_and_memory_that_disagree_go_to_a_person() -> None:
    decision = judge(answered(proposal()), recalled("food.restaurant"))
    assert decision.reason_codes[0] == "rules_and_memory_disagree"


def test_two_rules_that_disagree_go_to_a_person() -> None:
    decision = judge(answered(proposal(), proposal(target="food.restaurant")))
    assert decision.reason_codes[0] == "rules_disagree"


def test_repeating_a_favourite_does_not_push_its_rival_out_of_sight() -> None:
    same = [proposal(MODEL, "food.groceries", 9600 - at) for at in range(4)]
    rival = proposal(MODEL, "food.restaurant", 9500)
    assert judge(answered(*same, rival, by=MODEL)).reason_codes[0] == "semantic_margin_thin"


def test_more_model_proposals_than_the_policy_considers_are_noted() -> None:
    targets = ["food.groceries", "food.restaurant", "food.bar", "food.coffee"]
    offers = [proposal(MODEL, target, 9600 - 1000 * at) for at, target in enumerate(targets)]
    decision = judge(answered(*offers, by=MODEL))
    assert decision.outcome == "Applied"
    assert "model_proposals_truncated" in decision.reason_codes


def test_a_policy_that_considers_no_model_proposals_hears_none() -> None:
    raw = document()
    raw["thresholds"]["max_model_proposals"] = 0
    decision = judge(answered(proposal(MODEL, bp=10_000), by=MODEL), policy=policy_from(raw))
    assert (decision.outcome, decision.category) == ("NeedsReview", "")


@pytest.mark.parametrize("lane", ["transfer", "income", "debt", "investment", "anomaly"])
def test_no_other_lane_decides_alone_but_it_suggests(lane: str) -> None:
    target = {"anomaly": "food.groceries", "transfer": "transfer.savings", "income": "income.salary"}.get(
        lane, f"{lane}.other"
    )
    target = {"debt": "debt.mortgage", "investment": "investment.fund"}.get(lane, target)
    decision = judge(answered(proposal(lane, target, 10_000), by=lane), lane=lane)
    assert (decision.outcome, decision.category, decision.decided_by) == ("NeedsReview", target, lane)
    assert "lane_needs_person" in decision.reason_codes


def test_another_lanes_specialist_cannot_decide_in_the_categorization_lane() -> None:
    stray = answered(proposal("transfer", "transfer.savings", 10_000), by="transfer")
    assert judge(stray).outcome == "NeedsReview"


@pytest.mark.parametrize("target", ["send_money", " Send-Email", "NOTIFY_EXTERNAL_bank", "notify external"])
def test_an_action_in_a_categorys_clothes_is_denied_and_recorded(target: str) -> None:
    decision = judge(answered(proposal()), answered(proposal(MODEL, target), by=MODEL), chart=CHART | {target})
    assert decision.outcome == "Rejected"
    assert decision.reason_codes[0] == "external_action_denied"
    assert decision.category == ""


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"target": "food.ambrosia"}, "proposal_unknown_target"),
        ({"target": ["food.bar"]}, "proposal_malformed"),
        ({"rationale": None}, "proposal_malformed"),
        ({"bp": None}, "proposal_confidence_missing"),
        ({"bp": True}, "proposal_confidence_missing"),
        ({"bp": 0.97}, "proposal_confidence_missing"),
        ({"bp": 10_001}, "proposal_confidence_missing"),
        ({"rationale_code": "  "}, "proposal_without_rationale"),
        ({"rationale": ""}, "proposal_without_rationale"),
    ],
)
def test_an_unsound_proposal_is_dropped_noted_and_forces_a_review(spoilt: dict[str, Any], code: str) -> None:
    decision = judge(answered(proposal()), answered(proposal(MODEL, **spoilt), by=MODEL))
    assert decision.outcome == "NeedsReview"
    assert code in decision.reason_codes
    assert decision.category == "food.groceries", "what was sound is still suggested"


def test_a_category_outside_the_tenants_chart_is_dropped() -> None:
    decision = judge(answered(proposal()), chart=frozenset({"L220"}))
    assert decision.category == ""
    assert "proposal_outside_chart" in decision.reason_codes


def test_memory_decides_in_a_tenants_own_names() -> None:
    assert judge(recalled("L220"), chart=frozenset({"L220"})).category == "L220"


def test_a_proposal_signed_by_somebody_else_is_dropped() -> None:
    forged = Answer(MODEL, "answered", (proposal("categorization"),))
    assert "proposal_malformed" in judge(forged).reason_codes


def test_a_specialist_that_no_policy_lists_is_not_heard() -> None:
    decision = judge(answered(proposal("stranger"), by="stranger"))
    assert decision.category == ""
    assert "specialist_not_listed" in decision.reason_codes


def test_a_lane_whose_specialist_did_not_answer_counts_as_unregistered() -> None:
    decision = judge(recalled(), lane="categorization")
    assert decision.reason_codes[0] == "routing_specialist_not_registered"


def test_a_lane_that_is_switched_off_or_unknown_goes_to_a_person() -> None:
    raw = document()
    raw["lanes"]["categorization"]["enabled"] = False
    assert judge(answered(proposal()), policy=policy_from(raw)).reason_codes[0] == "routing_specialist_disabled"
    unknown = judge(answered(proposal(), by="gossip"), lane="gossip")
    assert "routing_specialist_not_registered" in unknown.reason_codes


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("timed_out", "specialist_timed_out"),
        ("raised", "specialist_raised"),
        ("rubbish", "specialist_rubbish"),
        ("danced", "specialist_rubbish"),
    ],
)
def test_any_failed_specialist_forces_a_review(outcome: str, code: str) -> None:
    decision = judge(answered(proposal()), Answer(MEMORY, outcome))
    assert (decision.outcome, decision.reason_codes[0]) == ("NeedsReview", code)


def test_a_concern_forces_a_review_and_is_named_first() -> None:
    worry = answered(Concern("anomaly", "duplicate_charge", "Twice."), by="anomaly")
    decision = judge(answered(proposal()), worry)
    assert (decision.outcome, decision.reason_codes[0]) == ("NeedsReview", "duplicate_charge")


@pytest.mark.parametrize("code", ["made_up", "deterministic_accepted", "external_action_denied", "", ["x"]])
def test_a_concern_without_a_listed_code_still_forces_a_review(code: str) -> None:
    decision = judge(answered(proposal()), answered(Concern("anomaly", code, "Hm."), by="anomaly"))
    assert decision.outcome == "NeedsReview"
    assert decision.reason_codes[0] == "unlisted_concern"


def test_an_amount_above_the_limit_of_its_currency_goes_to_a_person() -> None:
    limit = money().review_limit_minor["GBP"]
    assert judge(answered(proposal()), facts=facts(amount_minor=-limit)).outcome == "Applied"
    assert judge(answered(proposal()), facts=facts(amount_minor=-limit - 1)).reason_codes[0] == "amount_over_limit"


def test_a_currency_without_a_limit_always_goes_to_a_person() -> None:
    decision = judge(answered(proposal()), facts=facts(amount_minor=-1, currency="XAU"))
    assert decision.reason_codes[0] == "currency_without_limit"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("NeedsReview", "already_in_review"),
        ("Reviewed", "state_not_open"),
        ("Categorized", "state_not_open"),
        ("", "state_not_open"),
    ],
)
def test_only_an_open_transaction_can_be_decided_without_a_person(state: str, code: str) -> None:
    assert judge(answered(proposal()), previous_state=state).reason_codes[0] == code


def test_nothing_proposed_is_a_review_and_so_is_an_empty_chart() -> None:
    assert judge().reason_codes == ("no_proposal",)
    assert "chart_missing" in judge(answered(proposal()), chart=frozenset()).reason_codes


def test_a_specialist_cannot_put_a_verdict_among_the_reasons() -> None:
    decision = judge(answered(proposal(bp=8000, rationale_code="semantic_accepted")))
    assert "semantic_accepted" not in decision.reason_codes


def test_the_order_of_answers_decides_nothing() -> None:
    one, two = answered(proposal(MODEL, "food.bar", 9400), by=MODEL), recalled("food.coffee", 9400)
    assert judge(one, two).category == judge(two, one).category


NAMES = st.sampled_from(["categorization", MEMORY, MODEL, "anomaly", "transfer", "stranger"])
TARGETS = st.sampled_from(["food.groceries", "food.restaurant", "food.ambrosia", "send_money", ""])
BASIS_POINTS = st.one_of(st.integers(-1, 10_001), st.sampled_from([8500, 9200, 9600, 10_000]), st.none())
CODES = st.sampled_from([*list(REASONS)[:6], "duplicate_charge", "made_up", ""])


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    name = draw(NAMES)
    offers = st.builds(
        Proposal,
        st.just(name),
        TARGETS,
        BASIS_POINTS,
        CODES,
        st.sampled_from(["", "Because."]),
        runner_up_bp=BASIS_POINTS,
    )
    worries = st.builds(Concern, st.just(name), CODES, st.just("Hm."))
    outcome = draw(st.sampled_from(["answered", "abstained", "timed_out", "raised", "rubbish"]))
    return Answer(name, outcome, tuple(draw(st.lists(offers, max_size=3))), tuple(draw(st.lists(worries, max_size=1))))


SITUATIONS = st.fixed_dictionaries(
    {
        "lane": st.sampled_from(["categorization", "categorization", "income", "gossip"]),
        "answers": st.lists(answers(), max_size=4),
        "facts": st.builds(
            facts, amount_minor=st.sampled_from([-1, -2345, -90_000, 5]), currency=st.sampled_from(["GBP", "XAU"])
        ),
        "previous_state": st.sampled_from(["Unclassified", "Unclassified", "NeedsReview", "Reviewed"]),
    }
)


@given(SITUATIONS)
def test_nothing_is_applied_while_any_gate_holds(situation: dict[str, Any]) -> None:
    decision = evaluate(policy=money(), chart=CHART, **situation)
    heard = situation["answers"]
    gates = [
        situation["lane"] != "categorization",
        situation["previous_state"] != "Unclassified",
        situation["facts"].currency != "GBP" or abs(situation["facts"].amount_minor) > 80_000,
        any(one.concerns for one in heard),
        any(one.outcome not in {"answered", "abstained"} for one in heard),
        any(one.specialist == "stranger" for one in heard),
        not any(one.specialist == "categorization" for one in heard),
        any(offer.target not in CHART for one in heard for offer in one.proposals),
        any(offer.confidence_bp is None for one in heard for offer in one.proposals),
        not any(one.proposals for one in heard),
    ]
    if any(gates):
        assert decision.outcome != "Applied"
    assert decision.outcome in {"Applied", "NeedsReview", "Rejected"}
    assert decision.reason_codes
    assert all(code in REASONS for code in decision.reason_codes)
    assert REASONS[decision.reason_codes[0]].leads_to == decision.outcome
    assert len(decision.rationale) <= 500


@given(SITUATIONS, answers())
def test_one_more_worry_or_failure_never_makes_anything_applied(situation: dict[str, Any], more: Answer) -> None:
    worse = dataclasses.replace(more, proposals=(), outcome="raised")
    if evaluate(policy=money(), chart=CHART, **situation).outcome != "Applied":
        situation["answers"] = [*situation["answers"], worse]
        assert evaluate(policy=money(), chart=CHART, **situation).outcome != "Applied"


def test_the_situations_of_these_properties_do_reach_applied() -> None:
    decision = evaluate(
        lane="categorization",
        answers=[answered(proposal())],
        facts=facts(),
        policy=money(),
        chart=CHART,
        previous_state="Unclassified",
    )
    assert decision.outcome == "Applied"
