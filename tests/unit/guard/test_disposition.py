"""What becomes of a wish, by the policy that ships and by ones that are stricter or missing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared.errors import ConfigurationError
from shared.guard.action_policy import action_policy_from
from shared.guard.disposition import Judgement, has_role, is_stricter, judge
from shared.guard.reasons import REASONS
from tests.unit.flows.action_bench import action_policy, policy_document

MEMBER, REVIEWER = ("member",), ("reviewer",)


def transfer(amount_minor: int | None = 5000, currency: str = "EUR", **of_transfers: Any) -> Judgement:
    return judge(
        "transfer_funds",
        {},
        policy=action_policy(**of_transfers),
        requester_roles=MEMBER,
        amount_minor=amount_minor,
        currency=currency,
    )


def wished(name: str, arguments: dict[str, Any] | None = None, roles: tuple[str, ...] = MEMBER) -> Judgement:
    return judge(name, arguments or {}, policy=action_policy(), requester_roles=roles)


def test_without_a_policy_there_is_only_advice():
    judged = judge("set_budget", {}, policy=None, requester_roles=REVIEWER)
    assert (judged.outcome, judged.disposition) == ("Rejected", "advisory_only")
    assert judged.reason_codes == ("policy_context_missing",)


@pytest.mark.parametrize(
    "name", ["send_payment_request", "SEND_MAIL", " send-mail", "Send money", "notify_external", "notify_external_bank"]
)
def test_sending_and_notifying_the_outside_is_denied_however_it_is_spelt(name: str):
    judged = wished(name)
    assert (judged.outcome, judged.reason_codes) == ("Rejected", ("external_action_denied",))


def test_sending_is_denied_even_where_a_policy_lists_it():
    document = copy.deepcopy(dict(policy_document()))
    document["actions"]["send_mail"] = dict(document["actions"]["draft_message"])
    judged = judge("send_mail", {}, policy=action_policy_from(document), requester_roles=REVIEWER)
    assert judged.reason_codes == ("external_action_denied",)


@pytest.mark.parametrize("name", ["", "transfer_fund", "TRANSFER_FUNDS", "delete_everything", "transfer_funds "])
def test_what_is_not_listed_is_denied(name: str):
    assert wished(name).reason_codes == ("action_not_listed",)


def test_a_transfer_waits_for_one_reviewer_and_above_the_limit_for_two():
    small, large = transfer(100_000), transfer(100_001)
    assert (small.outcome, small.disposition, small.role, small.quorum) == (
        "Deferred",
        "approval_required",
        "reviewer",
        1,
    )
    assert (large.quorum, large.reason_codes) == (2, ("approval_always", "two_people_needed"))
    assert small.requester_may_sign == "never"


@pytest.mark.parametrize(
    ("lately", "amount", "quorum"),
    [
        ({}, 100_000, 1),
        ({"EUR": 95_000}, 5_000, 1),
        ({"EUR": 95_001}, 5_000, 2),
        ({"GBP": 40_000}, 50_000, 1),  # half and half
        ({"GBP": 40_000}, 50_001, 2),
        ({"USD": 33_334, "CHF": 33_334}, 33_333, 2),
        ({"USD": 33_333, "CHF": 33_333}, 33_333, 1),
        ({"BRL": 1}, 1, 2),  # a currency that no limit names
        ({"": 1}, 1, 2),  # what nobody can tell any more
    ],
)
def test_what_was_asked_for_lately_counts_with_it_to_the_last_cent(lately: dict[str, int], amount: int, quorum: int):
    told = {"policy": action_policy(), "requester_roles": MEMBER, "amount_minor": amount, "currency": "EUR"}
    judged = judge("transfer_funds", {}, lately=lately, **told)
    assert (judged.quorum, "several_together" in judged.reason_codes) == (quorum, quorum == 2)
    alone = judge("transfer_funds", {}, lately=lately, **{**told, "policy": action_policy(cumulative_hours=0)})
    assert alone.quorum == 1


def test_many_amounts_that_need_nobody_need_somebody_together():
    rules = {"approval": "above_minor", "approval_above_minor": {"EUR": 5_000}}
    told = {"policy": action_policy(**rules), "requester_roles": MEMBER, "amount_minor": 3_000, "currency": "EUR"}
    assert judge("transfer_funds", {}, **told).outcome == "Applied"
    assert judge("transfer_funds", {}, lately={"EUR": 3_000}, **told).outcome == "Deferred"


def test_an_edited_card_takes_two_people_where_policy_says_so_and_by_default():
    def after_edit(name: str, roles: tuple[str, ...] = ("member",), **rules: Any) -> tuple[int, bool]:
        judged = judge(
            name, {}, policy=action_policy(**rules), requester_roles=roles, amount_minor=1, currency="EUR", edited=True
        )
        return judged.quorum, "edited_by_person" in judged.reason_codes

    assert after_edit("transfer_funds") == (2, True)
    assert after_edit("transfer_funds", quorum=2) == (2, True)
    assert after_edit("transfer_funds", two_people_after_edit=False) == (1, False)
    assert after_edit("recategorise_transactions") == (1, False)
    document = copy.deepcopy(dict(policy_document()))
    del document["actions"]["recategorise_transactions"]["two_people_after_edit"]
    assert action_policy_from(document).actions["recategorise_transactions"].two_people_after_edit


def test_nobody_can_allow_more_than_the_last_limit():
    assert transfer(1_000_000).outcome == "Deferred"
    assert transfer(1_000_001).reason_codes == ("amount_denied",)
    assert transfer(-1_000_001).reason_codes == ("amount_denied",)


def test_a_currency_without_a_limit_and_an_amount_that_nobody_tells_have_the_strictest_rule():
    assert transfer(1, "XAF").reason_codes == ("amount_denied",)
    assert transfer(None).reason_codes == ("amount_denied",)
    unlimited = transfer(1, "XAF", deny_above_minor=None)
    assert (unlimited.outcome, unlimited.quorum) == ("Deferred", 2)


def test_above_a_limit_only_is_possible_too():
    rule = {"approval": "above_minor", "approval_above_minor": {"EUR": 1000}}
    assert transfer(1000, **rule).outcome == "Applied"
    assert transfer(1001, **rule).reason_codes == ("approval_above_limit",)
    assert transfer(1, "USD", **rule).outcome == "Deferred"


def test_whoever_has_the_role_needs_no_card_for_what_others_ask_a_reviewer():
    assert wished("recategorise_transactions").reason_codes == ("approval_without_role",)
    assert wished("recategorise_transactions", roles=REVIEWER).outcome == "Applied"


@pytest.mark.parametrize("roles", [(), ("auditor",), ("operator",)])
def test_who_is_no_member_may_ask_for_nothing(roles: tuple[str, ...]):
    assert wished("set_budget", roles=roles).reason_codes == ("requester_role_missing",)


@pytest.mark.parametrize("topic", ["salaries", "", None, ["budgets"], 3])
def test_an_argument_that_the_policy_does_not_list_is_denied(topic: Any):
    assert wished("change_notifications", {"topic": topic}).reason_codes == ("argument_not_listed",)


def test_a_listed_topic_is_changed_at_once():
    judged = wished("change_notifications", {"topic": "budgets", "enabled": True})
    assert (judged.outcome, judged.disposition, judged.reason_codes) == ("Applied", "applied", ("action_allowed",))


def test_an_action_switched_off_or_without_its_backend_is_denied():
    assert transfer(enabled=False).reason_codes == ("action_disabled",)
    assert transfer(backend="other_bank").reason_codes == ("backend_not_configured",)


def test_every_code_that_a_judgement_gives_is_explained():
    judged = [transfer(), transfer(10**9), transfer(enabled=False, backend="x"), wished("x"), wished("send_x")]
    assert all(code in REASONS for one in judged for code in one.reason_codes)
    assert all(REASONS[one.reason_codes[0]].leads_to == one.outcome for one in judged)


@pytest.mark.parametrize(
    ("change", "stricter"),
    [
        ({}, False),
        ({"quorum": 2}, True),
        ({"risk": "critical"}, True),
        ({"risk": "low"}, False),
        ({"role": "operator"}, True),
        ({"enabled": False}, True),
        ({"approval": "never"}, False),
    ],
)
def test_what_is_stricter_than_what_was_agreed(change: dict[str, Any], stricter: bool):
    card = {"risk": "high", "role": "reviewer", "quorum": 1, "requester_may_sign": "never"}
    assert is_stricter(transfer(**change), card) is stricter


def test_a_requester_who_could_sign_and_no_longer_can_is_stricter_and_so_is_a_card_where_there_was_none():
    alone = {"risk": "high", "role": "reviewer", "quorum": 1, "requester_may_sign": "alone"}
    assert is_stricter(transfer(requester_may_sign="first"), alone)
    assert is_stricter(transfer(), None)
    assert not is_stricter(transfer(approval="never"), None)


def test_a_reviewer_is_a_member_and_nobody_else_is_what_he_is_not():
    assert has_role(REVIEWER, "member")
    assert not has_role(MEMBER, "reviewer")
    assert not has_role(("operator",), "member")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"risk": "none"}, "actions.transfer_funds.risk"),
        ({"quorum": 3}, "actions.transfer_funds.quorum"),
        ({"deny_above_minor": {"eur": 1}}, "actions.transfer_funds.deny_above_minor"),
        ({"deny_above_minor": {"EUR": 1.5}}, "actions.transfer_funds.deny_above_minor"),
        ({"requester_may_sign": "always"}, "actions.transfer_funds.requester_may_sign"),
        ({"unheard_of": 1}, "actions.transfer_funds.unheard_of"),
        ({"approval": "above_minor"}, "approval_above_minor"),
        ({"approval_above_minor": {"EUR": 1}}, "approval_above_minor"),
        ({"times": {"warn_minutes": 5, "escalate_minutes": 1, "expires_minutes": 5}}, "before it expires"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_with_its_place(change: dict[str, Any], complaint: str):
    with pytest.raises(ConfigurationError, match=complaint):
        action_policy(**change)


def test_the_version_is_of_what_was_read_and_not_of_the_deployment():
    document = policy_document()
    assert action_policy_from(document).version == action_policy_from(document, backends=frozenset({"bank"})).version
    assert action_policy(quorum=2).version != action_policy().version
    assert action_policy().version.startswith("actions@")


def test_a_policy_cannot_be_changed_after_it_was_read():
    policy = action_policy()
    with pytest.raises(TypeError):
        policy.actions["x"] = policy.actions["set_budget"]  # type: ignore[index]
