"""Commands on the wire: one closed envelope per command type (JSON Schema in docs/schemas/command-envelope.json)."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from shared.contracts.complaints import complaints
from shared.contracts.conversation_commands import (
    AgeApproval,
    AgentApprovalSubmitted,
    AgentMessagePosted,
    AnswerApproval,
    PerformAction,
    RequestAction,
)
from shared.contracts.instants import text
from shared.contracts.shape import ReferenceId, Shape, TenantId
from shared.contracts.transactions import TransactionFacts
from shared.errors import InvalidInputError, RetryableError

ENVELOPE_VERSION = 1
OURSELVES = "countersign"
"""The `producer` of commands that our own functions accepted."""

Instant = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class ClassifyTransaction(Shape):
    """Judge one transaction."""

    transaction: TransactionFacts


class IngestionCompleted(Shape):
    """An outside pipeline has finished a batch: each transaction becomes a `ClassifyTransaction` of its own."""

    batch_id: ReferenceId
    source: ReferenceId
    transactions: Annotated[list[TransactionFacts], Field(min_length=1, max_length=100)]


class SweepTenant(Shape):
    """Look for what is wrong in one tenant's data, as of `day`."""

    day: Day


class ReviewTransaction(Shape):
    """A person's answer to a transaction: over HTTP only, because a message on a lane proves nothing.

    action: `approve` the suggestion, `reclassify` into `category`, or `route` to a person (`NeedsReview`).
    decision_version: the version the person saw; another one in the store is a conflict.
    """

    transaction_id: ReferenceId
    action: Literal["approve", "reclassify", "route"]
    decision_version: Annotated[int, Field(ge=0)]
    category: Annotated[str, Field(max_length=120)] = ""
    note: Annotated[str, Field(max_length=600)] = ""
    reviewer: Annotated[str, Field(min_length=1, max_length=200)]


class ResolveParked(Shape):
    """An operator's decision on a parked command: over HTTP only."""

    parked_id: ReferenceId
    resolution: Literal["replay", "discard"]
    operator: Annotated[str, Field(min_length=1, max_length=200)]
    note: Annotated[str, Field(max_length=600)] = ""


class _Envelope(Shape):
    """What every command carries. `attempt` starts at 1 and grows with each scheduled retry."""

    schema_version: Annotated[int, Field(ge=1, le=ENVELOPE_VERSION)] = ENVELOPE_VERSION
    command_id: ReferenceId
    tenant: TenantId
    correlation_id: Annotated[str, Field(min_length=1, max_length=200)]
    causation_id: Annotated[str, Field(max_length=64)] = ""
    issued_at: Instant
    producer: ReferenceId
    traceparent: Annotated[str, Field(pattern=r"^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?$")] = ""
    attempt: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def subject(self) -> str:
        """The id of the transaction that the command is about, "" when it is about none."""
        return ""


class ClassifyTransactionEnvelope(_Envelope):
    """`ClassifyTransaction` on lane runtime-ingestion-completed."""

    command_type: Literal["ClassifyTransaction"] = "ClassifyTransaction"
    payload: ClassifyTransaction

    @property
    def subject(self) -> str:
        return self.payload.transaction.transaction_id


class IngestionCompletedEnvelope(_Envelope):
    """`IngestionCompleted` on lane runtime-ingestion-completed."""

    command_type: Literal["IngestionCompleted"] = "IngestionCompleted"
    payload: IngestionCompleted


class SweepTenantEnvelope(_Envelope):
    """`SweepTenant` on lane runtime-nightly-anomaly-sweep."""

    command_type: Literal["SweepTenant"] = "SweepTenant"
    payload: SweepTenant


class ReviewTransactionEnvelope(_Envelope):
    """Made by the HTTP function that knows the reviewer; never read from a lane."""

    command_type: Literal["ReviewTransaction"] = "ReviewTransaction"
    payload: ReviewTransaction

    @property
    def subject(self) -> str:
        return self.payload.transaction_id


class ResolveParkedEnvelope(_Envelope):
    """Made by the HTTP function that knows the operator; never read from a lane."""

    command_type: Literal["ResolveParked"] = "ResolveParked"
    payload: ResolveParked


class AgentMessagePostedEnvelope(_Envelope):
    """`AgentMessagePosted` on lane runtime-agent-message-posted."""

    command_type: Literal["AgentMessagePosted"] = "AgentMessagePosted"
    payload: AgentMessagePosted

    @property
    def subject(self) -> str:
        return self.payload.conversation_id


class AgentApprovalSubmittedEnvelope(_Envelope):
    """`AgentApprovalSubmitted` on lane runtime-agent-message-posted."""

    command_type: Literal["AgentApprovalSubmitted"] = "AgentApprovalSubmitted"
    payload: AgentApprovalSubmitted

    @property
    def subject(self) -> str:
        return self.payload.approval_id


class RequestActionEnvelope(_Envelope):
    """`RequestAction` on lane runtime-action-requested."""

    command_type: Literal["RequestAction"] = "RequestAction"
    payload: RequestAction

    @property
    def subject(self) -> str:
        return self.payload.action_id


class PerformActionEnvelope(_Envelope):
    """`PerformAction` on lane runtime-action-requested."""

    command_type: Literal["PerformAction"] = "PerformAction"
    payload: PerformAction

    @property
    def subject(self) -> str:
        return self.payload.action_id


class AnswerApprovalEnvelope(_Envelope):
    """Made by the HTTP function that knows the person; never read from a lane."""

    command_type: Literal["AnswerApproval"] = "AnswerApproval"
    payload: AnswerApproval

    @property
    def subject(self) -> str:
        return self.payload.approval_id


class AgeApprovalEnvelope(_Envelope):
    """Made by the timer that watches cards; never read from a lane."""

    command_type: Literal["AgeApproval"] = "AgeApproval"
    payload: AgeApproval

    @property
    def subject(self) -> str:
        return self.payload.approval_id


CommandEnvelope = (
    ClassifyTransactionEnvelope
    | IngestionCompletedEnvelope
    | SweepTenantEnvelope
    | AgentMessagePostedEnvelope
    | AgentApprovalSubmittedEnvelope
    | RequestActionEnvelope
    | PerformActionEnvelope
)
"""What may arrive on a lane."""
AnyCommand = (
    CommandEnvelope | ReviewTransactionEnvelope | ResolveParkedEnvelope | AnswerApprovalEnvelope | AgeApprovalEnvelope
)


@cache
def envelope_adapter() -> TypeAdapter[CommandEnvelope]:
    """One validator for all commands, chosen by `command_type`."""
    return TypeAdapter(Annotated[CommandEnvelope, Field(discriminator="command_type")])


def parse_envelope(body: bytes) -> CommandEnvelope:
    """The envelope in `body`.

    Raises `RetryableError("schema_too_new")` for a newer version than this code knows (a newer instance during a
    deployment) and `InvalidInputError("malformed_envelope")` for anything else that is not a command.
    """
    try:
        return envelope_adapter().validate_json(body)
    except ValidationError as failed:
        errors = complaints(failed)
        if _version_in(body) > ENVELOPE_VERSION:
            message = "the envelope has a newer schema version than this code knows"
            raise RetryableError(message, code="schema_too_new") from failed
    raise InvalidInputError("the message is not a command envelope", errors, code="malformed_envelope")


def _version_in(body: bytes) -> int:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 0
    version = document.get("schema_version") if isinstance(document, dict) else None
    return version if isinstance(version, int) and not isinstance(version, bool) else 0


def envelope(
    command_type: str,
    payload: dict[str, Any],
    *,
    command_id: str,
    tenant: str,
    source: str,
    issued_at: Any,
    causation_id: str = "",
    traceparent: str = "",
) -> dict[str, Any]:
    """A new envelope of our own as a JSON object. `source`: the conversation or the kind of source it comes from."""
    return {
        "schema_version": ENVELOPE_VERSION,
        "command_id": command_id,
        "command_type": command_type,
        "tenant": tenant,
        "correlation_id": f"agent:{tenant}:{source}:{command_id}",
        "causation_id": causation_id,
        "issued_at": text(issued_at),
        "producer": OURSELVES,
        "traceparent": traceparent,
        "attempt": 1,
        "payload": payload,
    }
