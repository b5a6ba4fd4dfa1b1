"""Who may answer a card, and when its signatures suffice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.guard.approvers import REQUESTER_MAY_SIGN, Terms, still_needed, stricter, why_not

ASKED = Terms("reviewer", 2, "never", "alice")


@pytest.mark.parametrize(
    ("person", "roles", "signers", "decision", "code"),
    [
        ("rita", {"reviewer", "member"}, [], "approve", ""),
        ("rita", {"reviewer"}, ["ralf"], "approve", ""),
        ("rita", {"operator"}, [], "approve", "role_missing"),
        ("rita", set(), [], "reject", "role_missing"),
        ("", {"reviewer"}, [], "approve", "role_missing"),
        ("rita", {"reviewer"}, ["rita"], "approve", "already_signed"),
        ("rita", {"reviewer"}, ["rita"], "reject", "already_signed"),
        ("alice", {"reviewer"}, [], "approve", "requester_may_not_sign"),
        ("alice", {"reviewer"}, [], "reject", ""),
        ("alice", {"member"}, [], "reject", "role_missing"),
    ],
)
def test_each_refusal_has_its_code(person: str, roles: set[str], signers: list[str], decision: str, code: str):
    assert why_not(ASKED, person=person, roles=roles, signers=signers, decision=decision) == code


def test_a_card_without_a_role_can_be_answered_by_nobody():
    nobody = ASKED._replace(role="")
    assert why_not(nobody, person="rita", roles={"", "reviewer"}, signers=[], decision="approve") == "role_missing"


def test_a_requester_who_may_sign_first_never_has_the_last_word():
    terms = ASKED._replace(requester_may_sign="first", quorum=1)
    assert why_not(terms, person="alice", roles={"reviewer"}, signers=[], decision="approve") == ""
    assert still_needed(terms, ["alice"]) == 1
    assert still_needed(terms, ["alice", "rita"]) == 0
    late = why_not(terms, person="alice", roles={"reviewer"}, signers=["rita"], decision="approve")
    assert late == "requester_may_not_sign"


def test_a_requester_who_may_sign_alone_counts_like_anybody():
    terms = ASKED._replace(requester_may_sign="alone", quorum=1)
    assert why_not(terms, person="alice", roles={"reviewer"}, signers=[], decision="approve") == ""
    assert still_needed(terms, ["alice"]) == 0


def test_one_person_signing_twice_is_one_person():
    assert still_needed(ASKED, ["rita", "rita"]) == 1


def test_an_unlisted_permission_is_the_strictest():
    terms = ASKED._replace(requester_may_sign="sometimes")
    refused = why_not(terms, person="alice", roles={"reviewer"}, signers=[], decision="approve")
    assert refused == "requester_may_not_sign"
    assert stricter(terms, ASKED._replace(requester_may_sign="alone")).requester_may_sign == "never"


TERMS = st.builds(
    Terms,
    role=st.sampled_from(["reviewer", "operator"]),
    quorum=st.integers(0, 4),
    requester_may_sign=st.sampled_from(REQUESTER_MAY_SIGN),
    requested_by=st.sampled_from(["alice", "rita"]),
)
PEOPLE = st.lists(st.sampled_from(["alice", "rita", "ralf", "rosa"]), max_size=5)


@given(TERMS, PEOPLE)
def test_nothing_is_ever_approved_by_nobody_or_by_fewer_people_than_asked(terms: Terms, signers: list[str]):
    if still_needed(terms, signers) == 0:
        assert len(set(signers)) >= max(terms.quorum, 1)
        assert set(signers) != {terms.requested_by} or terms.requester_may_sign == "alone"


@given(TERMS, TERMS, PEOPLE)
def test_stricter_terms_are_never_easier_than_either(one: Terms, other: Terms, signers: list[str]):
    other = other._replace(requested_by=one.requested_by)
    both = stricter(one, other)
    assert still_needed(both, signers) >= max(still_needed(one, signers), still_needed(other, signers))
    assert both.requested_by == one.requested_by
