"""Who may answer a card, and when its signatures suffice. Pure; everything that counts comes from policy and sign-in.

`requester_may_sign` says what the person who asked may do with the own card: `never` sign it; `first`, as the first of
several, so that somebody else always has the last word; `alone`, like anybody else. Saying no is open to everybody
who has the card's role, the requester too: a no harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

APPROVE, REJECT = "approve", "reject"
NEVER, FIRST, ALONE = "never", "first", "alone"
REQUESTER_MAY_SIGN = (NEVER, FIRST, ALONE)
"""The strictest first."""


class Terms(NamedTuple):
    """What a card asks for. role: that every signer must have. quorum: so many different people, at least 1."""

    role: str
    quorum: int
    requester_may_sign: str
    requested_by: str


def why_not(terms: Terms, *, person: str, roles: Iterable[str], signers: Sequence[str], decision: str) -> str:
    """Why `person` may not answer so, as a code, or "": `role_missing`, `already_signed`, `requester_may_not_sign`.

    person: the principal from sign-in; roles: in the card's tenant. signers: who has signed the card as it is now.
    A program without a person has none of the roles that a card can ask for.
    """
    if not person or not terms.role or terms.role not in set(roles):
        return "role_missing"
    if person in signers:
        return "already_signed"
    if decision == APPROVE and person == terms.requested_by and not _requester_may_sign(terms, signers):
        return "requester_may_not_sign"
    return ""


def still_needed(terms: Terms, signers: Sequence[str]) -> int:
    """How many further people must sign; 0 when the signatures suffice."""
    people = set(signers)
    missing = max(terms.quorum, 1) - len(people)
    if missing <= 0 and people == {terms.requested_by} and terms.requester_may_sign != ALONE:
        return 1
    return max(missing, 0)


def stricter(one: Terms, other: Terms) -> Terms:
    """The terms of `other` where they ask for more: an edit never lowers what a card asks for.

    Roles have no order: the newer policy names the role, and where it names none the role stays.
    """
    rank = min(_rank(one.requester_may_sign), _rank(other.requester_may_sign))
    return Terms(other.role or one.role, max(one.quorum, other.quorum, 1), REQUESTER_MAY_SIGN[rank], one.requested_by)


def _requester_may_sign(terms: Terms, signers: Sequence[str]) -> bool:
    return terms.requester_may_sign == ALONE or (terms.requester_may_sign == FIRST and not signers)


def _rank(requester_may_sign: str) -> int:
    """What is not listed is the strictest."""
    return REQUESTER_MAY_SIGN.index(requester_may_sign) if requester_may_sign in REQUESTER_MAY_SIGN else 0
