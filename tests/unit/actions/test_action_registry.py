"""The actions there are: which arguments they take, and what a person is shown of them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.actions.registry import (
    ACTIONS,
    described,
    mentions_of,
    money_of,
    schema_version_of,
    valid_arguments,
)
from shared.errors import InvalidInputError
from tests.unit.flows.action_bench import action_policy

EXAMPLES: dict[str, dict[str, Any]] = {
    "recategorise_transactions": {
        "category": "food.coffee",
        "transactions": [{"transaction_id": "t-1", "decision_version": 1}],
    },
    "set_budget": {"category": "food", "limit_minor": 40_000, "currency": "EUR"},
    "change_notifications": {"topic": "budgets", "enabled": True},
    "draft_message": {"recipient": "Anna", "text": "See you at eight"},
    "transfer_funds": {"from_account": "giro", "recipient": "Jo", "amount_minor": 5000, "currency": "EUR"},
    "export_statement": {"since": "2026-01-01", "until": "2026-02-01"},
}
WRONG = [
    ("recategorise_transactions", {"transactions": []}),
    ("recategorise_transactions", {"transactions": [{"transaction_id": "t-1"}]}),
    ("recategorise_transactions", {"transactions": [{"transaction_id": "t-1", "decision_version": 1}] * 2}),
    (
        "recategorise_transactions",
        {"transactions": [{"transaction_id": f"t-{n}", "decision_version": 1} for n in range(51)]},
    ),
    ("set_budget", {"limit_minor": -1}),
    ("set_budget", {"limit_minor": 1.0}),
    ("set_budget", {"limit_minor": "40000"}),
    ("set_budget", {"currency": "XXX"}),
    ("change_notifications", {"enabled": "yes"}),
    ("change_notifications", {"topic": "Budgets!"}),
    ("draft_message", {"text": ""}),
    ("draft_message", {"text": "x" * 1001}),
    ("draft_message", {"text": "\ud800"}),
    ("transfer_funds", {"amount_minor": 0}),
    ("transfer_funds", {"amount_minor": -5000}),
    ("transfer_funds", {"amount_minor": True}),
    ("transfer_funds", {"amount_minor": 2**53}),
    ("transfer_funds", {"currency": "eur"}),
    ("transfer_funds", {"recipient": ""}),
    ("transfer_funds", {"from_account": "../admin"}),
    ("transfer_funds", {"note": "x" * 141}),
    ("transfer_funds", {"note": "\ud800"}),
    ("transfer_funds", {"recipient": "Jo\u202eanna"}),
    ("transfer_funds", {"recipient": "Jo\u200b"}),
    ("transfer_funds", {"recipient": "Jo\nAmount: 1.00 EUR"}),
    ("transfer_funds", {"recipient": " "}),
    ("transfer_funds", {"note": "rent\u2066"}),
    ("export_statement", {"since": "2026-02-30"}),
    ("export_statement", {"since": "2026-02-01", "until": "2026-02-01"}),
]


def test_every_action_has_an_example_here_a_line_in_the_policy_and_the_name_it_is_listed_under():
    assert set(ACTIONS) == set(EXAMPLES) == set(action_policy().actions)
    assert all(name == action.name for name, action in ACTIONS.items())


def test_an_action_of_a_backend_is_one_by_policy_and_by_code():
    for name, rule in action_policy().actions.items():
        assert bool(rule.backend) == (ACTIONS[name].order is not None), name


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid_and_every_member_is_told(name: str):
    told = valid_arguments(name, EXAMPLES[name])
    assert valid_arguments(name, told) == told
    assert set(told) == set(ACTIONS[name].shape.model_fields)
    shown = described(name, told)
    assert shown.title
    assert shown.what
    assert all(isinstance(value, str) for _, value in shown.what)
    assert ACTIONS[name].compensation


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_member_too_many_is_refused_with_its_place(name: str):
    with pytest.raises(InvalidInputError) as caught:
        valid_arguments(name, {**EXAMPLES[name], "approved": True})
    assert caught.value.code == "arguments_invalid"
    assert caught.value.errors[0]["pointer"] == "/approved"


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_arguments_that_do_not_fit_are_refused(name: str, change: dict[str, Any]):
    with pytest.raises(InvalidInputError) as caught:
        valid_arguments(name, {**EXAMPLES[name], **change})
    assert caught.value.code == "arguments_invalid"


def test_what_is_not_listed_has_no_arguments_no_version_and_no_words():
    with pytest.raises(InvalidInputError) as caught:
        valid_arguments("send_mail", {})
    assert caught.value.code == "action_not_listed"
    assert (schema_version_of("send_mail"), money_of("send_mail", {}), mentions_of("send_mail", {})) == (0, None, ())
    assert described("send_mail", {}).title == "send_mail"


def test_a_card_says_the_amount_the_payee_and_that_it_cannot_be_taken_back():
    shown = described("transfer_funds", valid_arguments("transfer_funds", EXAMPLES["transfer_funds"]))
    assert shown.title == "Transfer 50.00 EUR to Jo"
    assert dict(shown.what) == {"Amount": "50.00 EUR", "From account": "giro", "To": "Jo"}
    assert "cannot be taken back" in shown.effects[1]


def test_an_account_beside_the_name_is_shown_because_it_is_what_counts():
    told = valid_arguments("transfer_funds", {**EXAMPLES["transfer_funds"], "to_account": "mallory"})
    assert dict(described("transfer_funds", told).what)["To account"] == "mallory"


def test_money_is_told_for_the_limits_of_the_policy():
    assert money_of("transfer_funds", EXAMPLES["transfer_funds"]) == (5000, "EUR")
    assert money_of("set_budget", EXAMPLES["set_budget"]) == (40_000, "EUR")
    assert money_of("draft_message", EXAMPLES["draft_message"]) is None


def test_every_transaction_that_is_signed_for_is_on_the_card():
    many = {**EXAMPLES["recategorise_transactions"]}
    many["transactions"] = [{"transaction_id": f"t-{n}", "decision_version": 1} for n in range(50)]
    shown = described("recategorise_transactions", many)
    assert shown.title == "Put 50 transactions into food.coffee"
    assert dict(shown.what)["Transactions"] == ", ".join(f"t-{n}" for n in range(50))
    assert len(mentions_of("recategorise_transactions", many)) == 50


def test_what_can_be_undone_by_an_action_says_by_which():
    budget = ACTIONS["set_budget"].compensating
    before = {"was": {"limit_minor": 100, "currency": "EUR"}}
    assert budget(EXAMPLES["set_budget"], before) == (
        "set_budget",
        {"category": "food", "limit_minor": 100, "currency": "EUR"},
    )
    assert budget(EXAMPLES["set_budget"], {"was": {}}) is None
    back = ACTIONS["change_notifications"].compensating
    undone = back(EXAMPLES["change_notifications"], {"was": {"enabled": False, "channel": "app"}})
    assert undone == ("change_notifications", {"topic": "budgets", "enabled": False, "channel": "app"})
    assert valid_arguments(*undone)
    assert ACTIONS["transfer_funds"].compensating(EXAMPLES["transfer_funds"], {}) is None


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ({}, "Export a statement from the beginning to today"),
        ({"since": "2026-01-01", "until": "2026-02-01"}, "Export a statement from 2026-01-01 to 2026-01-31"),
        ({"until": "0001-01-01"}, "Export a statement from the beginning to 0001-01-01"),
    ],
)
def test_a_statement_is_described_by_the_last_day_that_is_in_it(arguments: dict[str, Any], title: str):
    assert described("export_statement", valid_arguments("export_statement", arguments)).title == title
