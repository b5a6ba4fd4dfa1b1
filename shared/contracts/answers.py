"""What the HTTP functions answer, for docs/openapi.json. Answers are made from documents, and tests hold them to this.

Lists carry `cursor`: send it back as `?cursor=` for the next page; "" is the end.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.transactions import TransactionFacts

ReviewState = Literal["Unclassified", "Categorized", "NeedsReview", "Reviewed"]
RunStatus = Literal["Pending", "Running", "Completed", "Failed", "NeedsReview", "Cancelled"]
BasisPoints = Annotated[int, Field(ge=0, le=10_000, description="10,000 is certainty")]
Instant = Annotated[str, Field(description='UTC instant (RFC 3339), "" for not yet')]


class Answer(BaseModel):
    """Answers may gain fields: clients ignore what they do not know."""

    model_config = ConfigDict(extra="ignore")


class FieldError(Answer):
    """One thing that is wrong. pointer: JSON pointer of its place in the body; CSV rows count from 0."""

    pointer: str
    message: str


class Problem(Answer):
    """RFC 9457. type: stable, `urn:countersign:problem:<code>`."""

    type: str
    title: str
    status: int
    detail: str
    correlation_id: str
    errors: list[FieldError] = []


class Ingestion(Answer):
    """An upload. accepted: stored and on their way; duplicate: stored before with equal facts; refused: before with
    other facts, or erased since (the first 100 ids)."""

    ingestion_id: str
    rows: int
    accepted: int
    duplicate: int
    refused: int
    refused_ids: list[str]
    created_at: Instant


class Transaction(Answer):
    """A transaction and its newest decision."""

    facts: TransactionFacts
    review_state: ReviewState
    decision_version: int
    category: str
    suggested_category: str
    confidence_bp: BasisPoints
    decided_by: str
    reason_codes: list[str]
    policy_version: str
    run_id: str
    ingestion_id: str
    received_at: Instant
    decided_at: Instant
    reviewed_by: str
    review_note: str


class TransactionPage(Answer):
    items: list[Transaction]
    cursor: str


class Review(Answer):
    """What a review has made of the transaction."""

    transaction_id: str
    run_id: str
    review_state: ReviewState
    category: str
    decision_version: int
    reviewed_by: str


class Stage(Answer):
    order: int
    name: str
    status: Literal["Pending", "Running", "Succeeded", "Failed", "NeedsReview", "Skipped"]
    outcome_code: str
    outcome_rationale: str
    confidence_bp: BasisPoints | None
    details: dict[str, Any]
    completed_at: Instant


class Signal(Answer):
    code: str
    severity: Literal["Info", "Warning", "Error", "Critical"]
    summary: str
    requires_human: bool
    raised_at: Instant


class _Run(Answer):
    run_id: str
    command_id: str
    command_type: str
    correlation_id: str
    causation_id: str
    traceparent: str
    subject: str
    replay_of: str
    status: RunStatus
    created_at: Instant
    started_at: Instant
    completed_at: Instant
    failure_code: str
    failure_rationale: str
    policy_version: str


class Run(_Run):
    """The handling of one command."""

    stages: list[Stage]
    signals: list[Signal]


class RunLine(_Run):
    """A run in a list: how many stages and signals it has."""

    stages: int
    signals: int


class RunPage(Answer):
    items: list[RunLine]
    cursor: str


class ParkedLine(Answer):
    """A parked command without its message."""

    parked_id: str
    state: Literal["parked", "replayed", "discarded"]
    lane: str
    message_id: str
    delivery_count: int
    reason: str
    detail: str
    command_id: str
    command_type: str
    run_id: str
    parked_at: Instant
    resolved_at: Instant
    resolved_by: str
    replayed_as: str


class Parked(ParkedLine):
    """message: as it arrived, as text or base64 (`message_encoding`)."""

    message: str
    message_encoding: Literal["utf-8", "base64"]


class ParkedPage(Answer):
    items: list[ParkedLine]
    cursor: str


class Resolution(Answer):
    """replayed_as: the command id of the new command."""

    parked_id: str
    state: Literal["replayed", "discarded"]
    replayed_as: str


class Finding(Answer):
    """subject: the transaction, run or record that somebody should look at."""

    finding_id: str
    kind: str
    subject: str
    severity: Literal["Info", "Warning", "Error", "Critical"]
    summary: str
    state: Literal["open", "closed"]
    raised_at: Instant
    run_id: str
    closed_at: Instant
    closed_by: str
    note: str


class FindingPage(Answer):
    items: list[Finding]
    cursor: str


class Profile(Answer):
    """rules: the hash that decisions name beside the policy's: of the own chart and limits, "" without either.
    updated_by: "" for a profile that uploads alone have made."""

    chart: list[str]
    base_currency: str
    time_zone: str
    accounts: list[str]
    review_limit_minor: dict[str, int]
    rules: str = ""
    updated_at: Instant = ""
    updated_by: str = ""


class Categories(Answer):
    """source: whose chart it is."""

    items: list[str]
    source: Literal["tenant", "policy"]
    policy_version: str


class Counters(Answer):
    by_review_state: dict[str, int]


class Member(Answer):
    principal: str
    roles: list[str]
    changed_at: Instant
    changed_by: str


class MemberPage(Answer):
    items: list[Member]
    cursor: str


class Erasure(Answer):
    """counts: documents erased so far, by kind."""

    erasure_id: str
    state: Literal["running", "done"]
    scope_kind: Literal["account", "transaction_ids", "principal", "whole_tenant"]
    counts: dict[str, int]
    started_at: Instant
    completed_at: Instant
    requested_by: str


class Health(Answer):
    status: Literal["alive"]


class Readiness(Answer):
    """checks: "ok", or why not. telemetry_dropped: events lost since the start."""

    ready: bool
    checks: dict[str, str]
    telemetry_dropped: int
