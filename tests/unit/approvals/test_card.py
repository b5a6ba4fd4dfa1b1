"""A card binds: change one byte of what was asked for, shown or signed, and it allows nothing; the code says which."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.actions import registry
from shared.actions.action import proposed
from shared.approvals.card import (
    Card,
    card_digest_of,
    consumed,
    digest_of,
    digest_of_action,
    due_at_of,
    requested,
    superseded,
    valid_for,
)
from shared.approvals.life_cycle import Signer, signed
from shared.contracts.instants import text
from shared.errors import StateConflictError, TerminalError
from shared.guard.disposition import judge
from shared.ports.document_store import Body, Document
from tests.unit.approvals.bench import TENANT, TRANSFER, policy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = text(NOW)


def pending(amount_minor: int = 5_000) -> tuple[Document, Document]:
    """A card and its action."""
    told = registry.valid_arguments("transfer_funds", {**TRANSFER, "amount_minor": amount_minor})
    judged = judge(
        "transfer_funds", told, policy=policy(), requester_roles=["member"], amount_minor=amount_minor, currency="EUR"
    )
    action = proposed(
        TENANT, action_id="a-1", name="transfer_funds", arguments=told, schema_version=1, judged=judged, tenant=TENANT,
        requested_by="alice", requester_roles=["member"], conversation_id="c-1", message_id="m-1", turn=1,
        run_id="r-1", command_id="k-1", correlation_id="x-1", configuration={}, at=AT,
    )  # fmt: skip
    shown = registry.described("transfer_funds", told)
    card = requested(
        TENANT, action.body, judged=judged, card=Card(shown.title, shown.what, "said so", (), shown.effects),
        tenant=TENANT, requested_by="alice", now=NOW,
    )  # fmt: skip
    return card, action


def approved() -> tuple[Body, Body]:
    card, action = pending()
    done = signed(card, Signer("rita", "Rita", ["reviewer"]), rationale="", at=AT)
    return done.body, action.body


def verdict(card: Body, action: Body, *, tenant: str = TENANT, **later: float) -> str:
    return valid_for(card, action, tenant=tenant, now=NOW + timedelta(**later))


def test_an_approved_card_allows_its_action():
    assert verdict(*approved()) == ""


def test_the_card_and_the_action_have_one_digest():
    card, action = pending()
    assert card.body["digest"] == action.body["digest"] == digest_of_action(action.body, tenant=TENANT)


def test_a_card_is_warned_of_escalated_and_expires_as_its_action_says():
    card, _ = pending()
    body = card.body
    assert [body[name] for name in ("escalate_at", "warn_at", "expires_at")] == [
        text(NOW + timedelta(minutes=minutes)) for minutes in (60, 180, 240)
    ]
    assert card.due_at == body["escalate_at"] == due_at_of(body)


CHANGES: list[tuple[str, list[Any], Any, str]] = [
    ("action", ["arguments", "amount_minor"], 5_001, "action_changed"),
    ("action", ["arguments", "recipient"], "Bob ", "action_changed"),
    ("action", ["arguments", "fee"], 0, "action_changed"),
    ("action", ["action"], "send_money", "action_changed"),
    ("action", ["schema_version"], 2, "action_changed"),
    ("action", ["run_id"], "r-2", "action_changed"),
    ("action", ["policy_version"], "actions@0", "action_changed"),
    ("action", ["arguments", "amount_minor"], 5e3, "action_changed"),
    ("action", ["digest"], "0" * 64, "action_changed"),
    ("action", ["action_id"], "a-2", "approval_mismatch"),
    ("card", ["arguments", "amount_minor"], 5_001, "arguments_changed"),
    ("card", ["action"], "send_money", "arguments_changed"),
    ("card", ["policy_version"], "actions@0", "arguments_changed"),
    ("card", ["digest"], "0" * 64, "arguments_changed"),
    ("card", ["tenant"], "desk", "approval_mismatch"),
    ("card", ["card", "title"], "Transfer 5.00 EUR to Bob", "card_changed"),
    ("card", ["card", "what", 0, 1], "5.00 EUR", "card_changed"),
    ("card", ["card", "effects", 0], "Nothing.", "card_changed"),
    ("card", ["card", "why"], "", "card_changed"),
    ("card", ["card", "quorum"], 0, "card_changed"),
    ("card", ["quorum"], 0, "card_changed"),
    ("card", ["role"], "member", "card_changed"),
    ("card", ["risk"], "low", "card_changed"),
    ("card", ["requester_may_sign"], "alone", "card_changed"),
    ("card", ["requested_by"], "rita", "card_changed"),
    ("card", ["expires_at"], "2027-01-01T00:00:00.000000Z", "card_changed"),
    ("card", ["card", "until"], 1.5, "card_changed"),
    ("card", ["card_digest"], "0" * 64, "card_changed"),
    ("card", ["signatures", 0, "digest"], "0" * 64, "signature_mismatch"),
    ("card", ["signatures", 0, "card_digest"], "0" * 64, "signature_mismatch"),
    ("card", ["signatures"], [], "quorum_missing"),
    ("card", ["signatures", 0, "person"], "alice", "quorum_missing"),
    ("card", ["state"], "pending", "approval_not_given"),
    ("card", ["state"], "rejected", "approval_not_given"),
    ("card", ["state"], "superseded", "approval_not_given"),
    ("card", ["state"], "consumed", "approval_consumed"),
    ("card", ["state"], "expired", "approval_expired"),
]


@pytest.mark.parametrize(("which", "place", "value", "code"), CHANGES)
def test_one_change_by_hand_and_the_card_allows_nothing(which: str, place: list[Any], value: Any, code: str):
    card, action = (copy.deepcopy(one) for one in approved())
    inside: Any = card if which == "card" else action
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    assert verdict(card, action) == code


def test_another_action_with_a_card_of_its_own_is_not_allowed_by_this_one():
    card, _ = approved()
    _, other = pending(7_000)
    assert verdict(card, other.body) == "approval_mismatch"


def test_another_tenants_card_allows_nothing():
    assert verdict(*approved(), tenant="desk") == "approval_mismatch"


def test_time_runs_out_to_the_microsecond():
    card, action = approved()
    assert verdict(card, action, hours=4, microseconds=-1) == ""
    assert verdict(card, action, hours=4) == "approval_expired"


def test_a_card_is_used_once():
    card, action = pending()
    done = signed(card, Signer("rita", "Rita", ["reviewer"]), rationale="", at=AT)
    used = consumed(done, run_id="r-9", at=AT)
    assert (used.body["consumed_run"], used.due_at, used.keys["state"]) == ("r-9", "", "consumed")
    assert verdict(used.body, action.body) == "approval_consumed"
    for again in (lambda: consumed(used, run_id="r-10", at=AT), lambda: superseded(used, why="x", by="y", at=AT)):
        with pytest.raises(StateConflictError):
            again()


def test_an_unsigned_card_cannot_be_used():
    card, _ = pending()
    with pytest.raises(StateConflictError):
        consumed(card, run_id="r-9", at=AT)


@pytest.mark.parametrize("value", [1.0, 2**53, {"ö": 1}, float("nan")])
def test_what_has_no_one_canonical_form_is_never_signed(value: Any):
    with pytest.raises(TerminalError):
        digest_of(tenant=TENANT, action="x", schema_version=1, arguments={"a": value}, run_id="r", policy_version="p")
    with pytest.raises(TerminalError):
        card_digest_of({"title": value}, "0" * 64)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["amount_minor", "to", "note"]), JSON, max_size=3)


def _typed(value: Any) -> Any:
    """True is not 1 in JSON, though Python thinks so."""
    if isinstance(value, dict):
        return {name: _typed(one) for name, one in value.items()}
    return [_typed(one) for one in value] if isinstance(value, list) else (type(value).__name__, value)


@given(ARGUMENTS, ARGUMENTS)
def test_two_different_things_never_have_one_digest(one: Body, other: Body):
    def digest(arguments: Body) -> str:
        return digest_of(
            tenant=TENANT, action="x", schema_version=1, arguments=arguments, run_id="r", policy_version="p"
        )

    assert (digest(one) == digest(other)) == (_typed(one) == _typed(other))
