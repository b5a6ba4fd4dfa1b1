"""What is to become of a wish for an action: denied, waiting for people, or done at once. Pure.

The judgement comes from policy alone. What an agent, a message or a model says of risk, role or limits is not asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from shared.guard.action_policy import ActionPolicy, ActionRule, limit_of
from shared.guard.reasons import APPLIED, DEFERRED, REJECTED, strictest_first
from shared.guard.rules import asks_for_action

ADVISORY_ONLY: Final = "advisory_only"
APPROVAL_REQUIRED: Final = "approval_required"
APPROVED_BY_HUMAN: Final = "approved_by_human"
REJECTED_BY_HUMAN: Final = "rejected_by_human"
APPLIED_ALONE: Final = "applied"

NOTHING_LATELY: Final[Mapping[str, int]] = MappingProxyType({})
RISKS: Final = ("low", "medium", "high", "critical")
_MAY_SIGN: Final = ("never", "first", "alone")
_IMPLIED: Final = {"member": frozenset({"member", "reviewer"})}
"""Who counts as what: a reviewer is a member."""


class Judgement(NamedTuple):
    """outcome: Applied, Deferred (waits for `quorum` people with `role`) or Rejected. reason_codes: at least one, the
    gravest first. Seconds count from the request. policy_version: "" when there was no policy. backend: "" for our own
    store."""

    outcome: str
    reason_codes: tuple[str, ...]
    disposition: str
    risk: str
    role: str
    quorum: int
    requester_may_sign: str
    expires_seconds: int
    warn_seconds: int
    escalate_seconds: int
    policy_version: str
    backend: str = ""


def judge(
    name: str,
    arguments: Mapping[str, Any],
    *,
    policy: ActionPolicy | None,
    requester_roles: Collection[str],
    amount_minor: int | None = None,
    currency: str = "",
    lately: Mapping[str, int] = NOTHING_LATELY,
    edited: bool = False,
) -> Judgement:
    """The judgement on one wish. Without a policy nothing but advice is given.

    amount_minor, currency: the money that the action is about (`registry.money_of`), None for none. lately: minor units
    by currency that the tenant has asked for within the policy's window, without this. edited: whether somebody has
    changed on its card what was asked for.
    """
    if policy is None:
        return _rejected(("policy_context_missing",), None, "")
    rule = policy.actions.get(name)
    if asks_for_action(name):
        return _rejected(("external_action_denied",), rule, policy.version)
    if rule is None:
        return _rejected(("action_not_listed",), None, policy.version)
    together = lately if rule.cumulative_hours else NOTHING_LATELY
    wish = _Wish(arguments, requester_roles, amount_minor, currency, together)
    denials = dict.fromkeys(_denials(rule, policy, wish))
    if denials:
        return _rejected(strictest_first(denials), rule, policy.version)
    causes = dict.fromkeys(_causes(rule, wish))
    if not causes:
        return _judged(rule, policy.version, APPLIED, ("action_allowed",), APPLIED_ALONE)
    judgement = _judged(rule, policy.version, DEFERRED, strictest_first(causes), APPROVAL_REQUIRED)
    two = dict.fromkeys(_causes_of_two(rule, wish, edited=edited))
    if not two:
        return judgement
    causes |= two
    return judgement._replace(reason_codes=strictest_first(causes), quorum=max(rule.quorum, 2))


def has_role(roles: Collection[str], needed: str) -> bool:
    """Whether one of `roles` is `needed`, or contains it."""
    return not _IMPLIED.get(needed, frozenset({needed})).isdisjoint(roles)


def is_stricter(current: Judgement, card: Mapping[str, Any] | None) -> bool:
    """Whether today's judgement asks for more than people have agreed to. card: an `approval`'s body with what was
    pinned when it was made (risk, role, quorum, requester_may_sign); None for an action that needed no card."""
    if current.outcome == REJECTED:
        return True
    if current.outcome == APPLIED:
        return False
    if card is None:
        return True
    return (
        current.role != card["role"]
        or current.quorum > card["quorum"]
        or RISKS.index(current.risk) > RISKS.index(card["risk"])
        or _MAY_SIGN.index(current.requester_may_sign) < _MAY_SIGN.index(card["requester_may_sign"])
    )


class _Wish(NamedTuple):
    arguments: Mapping[str, Any]
    roles: Collection[str]
    amount_minor: int | None
    currency: str
    lately: Mapping[str, int]


def _denials(rule: ActionRule, policy: ActionPolicy, wish: _Wish) -> Iterator[str]:
    if not rule.enabled:
        yield "action_disabled"
    if rule.backend and rule.backend not in policy.backends:
        yield "backend_not_configured"
    if not has_role(wish.roles, rule.requester_role):
        yield "requester_role_missing"
    for argument, listed in rule.allowed.items():
        told = wish.arguments.get(argument, "")
        if not isinstance(told, str) or told not in listed:
            yield "argument_not_listed"
    if _is_above(rule.deny_above_minor, wish):
        yield "amount_denied"


def _causes(rule: ActionRule, wish: _Wish) -> Iterator[str]:
    """Why people are asked; nothing when they are not."""
    if rule.approval == "always":
        yield "approval_always"
    elif rule.approval == "unless_role" and not has_role(wish.roles, rule.role):
        yield "approval_without_role"
    elif rule.approval == "above_minor" and _is_above_together(rule.approval_above_minor, wish):
        yield "approval_above_limit"


def _causes_of_two(rule: ActionRule, wish: _Wish, *, edited: bool) -> Iterator[str]:
    """Why the quorum is two, whatever else the rule says."""
    if _is_above(rule.two_people_above_minor, wish):
        yield "two_people_needed"
    elif _is_above_together(rule.two_people_above_minor, wish):
        yield "several_together"
    if edited and rule.two_people_after_edit:
        yield "edited_by_person"


def _is_above(limits: Mapping[str, int] | None, wish: _Wish) -> bool:
    """An amount that nobody can tell is above any limit."""
    if limits is None:
        return False
    return wish.amount_minor is None or abs(wish.amount_minor) > limit_of(limits, wish.currency)


def _is_above_together(limits: Mapping[str, int] | None, wish: _Wish) -> bool:
    """Whether the amount is, with what was asked for lately. Amounts of several currencies count as parts of their
    limits: half of one and two thirds of another are above."""
    if limits is None or wish.amount_minor is None:
        return limits is not None
    amounts = {**wish.lately, wish.currency: wish.lately.get(wish.currency, 0) + abs(wish.amount_minor)}
    parts = [(amount, limit_of(limits, currency)) for currency, amount in amounts.items() if amount]
    return not all(limit for _, limit in parts) or sum(Fraction(*part) for part in parts) > 1


def _judged(rule: ActionRule, version: str, outcome: str, codes: tuple[str, ...], disposition: str) -> Judgement:
    return Judgement(
        outcome=outcome,
        reason_codes=codes,
        disposition=disposition,
        risk=rule.risk,
        role=rule.role,
        quorum=rule.quorum,
        requester_may_sign=rule.requester_may_sign,
        expires_seconds=rule.expires_seconds,
        warn_seconds=rule.warn_seconds,
        escalate_seconds=rule.escalate_seconds,
        policy_version=version,
        backend=rule.backend,
    )


def _rejected(codes: tuple[str, ...], rule: ActionRule | None, version: str) -> Judgement:
    if rule is not None:
        return _judged(rule, version, REJECTED, codes, ADVISORY_ONLY)
    return Judgement(REJECTED, codes, ADVISORY_ONLY, "critical", "", 0, "never", 0, 0, 0, version)
