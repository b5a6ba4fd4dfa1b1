"""The action policy: which effects on the world there may be, and who must agree to them. From `policies/actions.yaml`.

`version` is the hash of what was read, so that a card, an action and its record name the policy that judged. What is
not listed is denied. A limit is a mapping of currency to minor units; a currency that it does not name has the limit 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.guard.action_policy_document import ActionLine, ActionPolicyDocument, TimeLines

Limits = Mapping[str, int]


class BreakerLimits(NamedTuple):
    """What `actions.breaker.BreakerRule` is made of."""

    failures: int
    window_seconds: float
    open_seconds: float
    probe_seconds: float


class ConversationLimits(NamedTuple):
    """when_busy: enqueue, reject or supersede. max_queued: messages of one conversation that may wait."""

    when_busy: str
    max_queued: int


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What the policy says of one action. None for a limit: it does not apply.

    requester_role: who may ask for it. role, quorum: who must sign, and how many different people.
    approval: `always`; `above_minor` (above `approval_above_minor`); `unless_role` (whoever asks has `role`
    already); `never`. two_people_above_minor: above it the quorum is two. deny_above_minor: above it nobody can allow
    it. requester_may_sign: `never`, `first` (as one of two), `alone`. two_people_after_edit: once somebody has edited a
    card, the quorum is two, of whom the editor may be one. cumulative_hours: what the tenant has asked for within so
    many hours counts with it for the limits above which people sign; 0: each amount counts alone.
    backend: "" is our own store. give_up_seconds: after that an unconfirmed effect is a person's to look into.
    allowed: argument name to the values that it may have.
    """

    enabled: bool
    risk: str
    requester_role: str
    role: str
    quorum: int
    approval: str
    approval_above_minor: Limits | None
    two_people_above_minor: Limits | None
    deny_above_minor: Limits | None
    requester_may_sign: str
    two_people_after_edit: bool
    cumulative_hours: int
    warn_seconds: int
    escalate_seconds: int
    expires_seconds: int
    backend: str
    timeout_seconds: float
    give_up_seconds: int
    allowed: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """backends: those that this deployment has; an action of another one is denied. Not part of `version`."""

    version: str
    name: str
    breaker: BreakerLimits
    conversation: ConversationLimits
    actions: Mapping[str, ActionRule]
    backends: frozenset[str]


def action_policy_from(document: Mapping[str, Any], *, backends: frozenset[str] = frozenset()) -> ActionPolicy:
    """The policy of an already loaded document; anything unknown or contradictory is a `ConfigurationError`."""
    from shared.guard.action_policy_document import read_action_document  # pydantic: not at the function app's import

    shape = read_action_document(document)
    return ActionPolicy(
        version=f"{shape.name}@{_digest(document)}",
        name=shape.name,
        breaker=BreakerLimits(**shape.breaker.model_dump()),
        conversation=ConversationLimits(**shape.conversation.model_dump()),
        actions=MappingProxyType({name: _rule(name, line, shape) for name, line in shape.actions.items()}),
        backends=backends,
    )


def limit_of(limits: Limits, currency: str) -> int:
    """The limit for a currency; 0, the strictest, for one that is not named."""
    return limits.get(currency, 0)


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _rule(name: str, line: ActionLine, shape: ActionPolicyDocument) -> ActionRule:
    if (line.approval == "above_minor") != (line.approval_above_minor is not None):
        raise ConfigurationError(f"actions.{name}: approval above_minor and approval_above_minor go together")
    times = line.times or shape.approval_times
    _check_times(name, times)
    return ActionRule(
        enabled=line.enabled,
        risk=line.risk,
        requester_role=line.requester_role,
        role=line.role,
        quorum=line.quorum,
        approval=line.approval,
        approval_above_minor=_frozen(line.approval_above_minor),
        two_people_above_minor=_frozen(line.two_people_above_minor),
        deny_above_minor=_frozen(line.deny_above_minor),
        requester_may_sign=line.requester_may_sign,
        two_people_after_edit=line.two_people_after_edit,
        cumulative_hours=line.cumulative_hours,
        warn_seconds=times.warn_minutes * 60,
        escalate_seconds=times.escalate_minutes * 60,
        expires_seconds=times.expires_minutes * 60,
        backend=line.backend,
        timeout_seconds=line.timeout_ms / 1000,
        give_up_seconds=line.give_up_seconds,
        allowed=MappingProxyType({argument: frozenset(values) for argument, values in line.allowed.items()}),
    )


def _check_times(name: str, times: TimeLines) -> None:
    if max(times.warn_minutes, times.escalate_minutes) >= times.expires_minutes:
        raise ConfigurationError(f"actions.{name}: a card is warned of and escalated before it expires")


def _frozen(limits: dict[str, int] | None) -> Limits | None:
    return None if limits is None else MappingProxyType(dict(limits))
