"""What the action endpoints answer, for docs/openapi.json."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.contracts.answers import Answer, Instant

ActionState = Literal[
    "denied", "waiting", "requested", "intended", "done", "refused", "cancelled", "needs_review"
]  # fmt: skip


class Configuration(Answer):
    """What an action was judged under."""

    code_version: str
    configuration_version: str


class Undo(Answer):
    """The wish that makes things what they were before."""

    action: str
    arguments: dict[str, Any]


class BackendStanding(Answer):
    """breaker: of the circuit to it; while it is open nothing is asked of the backend until `retry_at`, else ""."""

    backend: str
    breaker: Literal["closed", "open", "half_open"]
    retry_at: Instant = ""


class Action(Answer):
    """An action from wish to outcome. code: why it is in its state (docs/reason-codes.md); detail: in words.

    decision: of the guard on the wish. reference: the backend's own id of what it did. result: small facts.
    records: sequences of the audit records that it is sealed in. compensation: how a person undoes it; undo: by
    which action, null when there is none. waits_for: its backend, while it is on its way there, else null.
    lately: minor units by currency that were asked for shortly before and count with it.
    message_id: what asked for it. intent_run: the run that recorded the intent, "" before it.
    """

    action_id: str
    action: str
    schema_version: int
    arguments: dict[str, Any]
    digest: str
    requested_by: str
    requester_roles: list[str]
    requested_at: Instant
    conversation_id: str
    message_id: str
    turn: int
    run_id: str
    command_id: str
    correlation_id: str
    state: ActionState
    decision: Literal["Applied", "Deferred", "Rejected"]
    reason_codes: list[str]
    risk: Literal["low", "medium", "high", "critical"]
    policy_version: str
    configuration: Configuration
    approval_id: str
    backend: str
    idempotency_key: str
    intent_at: Instant
    intent_run: str = ""
    code: str
    detail: str
    reference: str
    result: dict[str, Any]
    attempts: int
    finished_at: Instant
    mentions: list[str]
    lately: dict[str, int] = Field(default_factory=dict)
    records: list[int]
    compensation: str
    undo: Undo | None = None
    waits_for: BackendStanding | None = None
    erased_at: Instant = ""


class ActionPage(Answer):
    """Newest first; a page may hold fewer than `limit` and still have a cursor."""

    items: list[Action]
    cursor: str


class Budget(Answer):
    """limit_minor: per calendar month, in minor units of `currency`. since: the day it was set."""

    category: str
    currency: str
    limit_minor: int
    since: str
    set_by: str
    set_at: Instant
    action_id: str


class BudgetPage(Answer):
    """By category."""

    items: list[Budget]
    cursor: str


class Topic(Answer):
    """Notifications about one topic."""

    enabled: bool
    channel: str


class Preferences(Answer):
    """The caller's own notification settings, by topic."""

    person: str
    topics: dict[str, Topic]
    changed_at: Instant


class Draft(Answer):
    """A text that was kept and sent to nobody."""

    draft_id: str
    recipient: str
    text: str
    person: str
    at: Instant


class DraftPage(Answer):
    """The caller's own, newest first."""

    items: list[Draft]
    cursor: str


class ActionCount(Answer):
    """backend: `own` for our own store."""

    action: str
    backend: str
    code_version: str
    configuration_version: str
    outcome: Literal["done", "refused", "cancelled", "needs_review"]
    count: int


class ActionDay(Answer):
    """How the actions of one day (UTC) ended."""

    day: str
    rows: list[ActionCount]


class ActionMetrics(Answer):
    """Newest first; days without an action are left out. cursor: "" at the end, else where more rows are."""

    days: list[ActionDay]
    cursor: str = ""
