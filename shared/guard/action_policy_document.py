"""The shape of an action policy file: closed and strict. Imported by `action_policy_from` alone, when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from shared.contracts.shape import SAFE_INTEGER, Currency, Shape
from shared.errors import ConfigurationError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
OptionalName = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,39})?$")]
Limits = dict[Currency, Annotated[int, Field(ge=0, le=SAFE_INTEGER)]]
Minutes = Annotated[int, Field(ge=1, le=43_200)]
Listed = Annotated[tuple[Annotated[str, Field(max_length=80)], ...], Field(strict=False, min_length=1, max_length=50)]


class BreakerLines(Shape):
    """See `actions.breaker.BreakerRule`; whole seconds."""

    failures: Annotated[int, Field(ge=1, le=100)]
    window_seconds: Annotated[int, Field(ge=1, le=3600)]
    open_seconds: Annotated[int, Field(ge=1, le=3600)]
    probe_seconds: Annotated[int, Field(ge=1, le=3600)]


class TimeLines(Shape):
    """How long a card waits, when it is announced that it will expire, and when others are told of it."""

    warn_minutes: Minutes
    escalate_minutes: Minutes
    expires_minutes: Minutes


class ConversationLines(Shape):
    """What happens to a message while another is being worked or a card is open."""

    when_busy: Literal["enqueue", "reject", "supersede"]
    max_queued: Annotated[int, Field(ge=0, le=25)]


class ActionLine(Shape):
    """See `action_policy.ActionRule`."""

    enabled: bool
    risk: Literal["low", "medium", "high", "critical"]
    requester_role: Literal["member", "reviewer", "operator"] = "member"
    role: Literal["reviewer", "operator"]
    quorum: Annotated[int, Field(ge=1, le=2)]
    approval: Literal["always", "above_minor", "unless_role", "never"]
    approval_above_minor: Limits | None = None
    two_people_above_minor: Limits | None = None
    deny_above_minor: Limits | None = None
    requester_may_sign: Literal["never", "first", "alone"] = "never"
    two_people_after_edit: bool = True
    cumulative_hours: Annotated[int, Field(ge=0, le=168)] = 24
    times: TimeLines | None = None
    backend: OptionalName = ""
    timeout_ms: Annotated[int, Field(ge=100, le=30_000)] = 5_000
    give_up_seconds: Annotated[int, Field(ge=10, le=86_400)] = 900
    allowed: Annotated[dict[Name, Listed], Field(default_factory=dict)]


class ActionPolicyDocument(Shape):
    """The whole file."""

    name: Name
    breaker: BreakerLines
    approval_times: TimeLines
    conversation: ConversationLines
    actions: dict[Name, ActionLine]


def read_action_document(document: Mapping[str, Any]) -> ActionPolicyDocument:
    """The document in its shape; the first thing wrong with it is named with its place."""
    try:
        return ActionPolicyDocument.model_validate(dict(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigurationError(f"action policy: {place}: {first['msg']}") from error
