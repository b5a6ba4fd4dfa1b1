"""What the commands of conversations, approvals and actions carry. Their envelopes are in `commands.py`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.contracts.shape import ReferenceId, Shape


class AgentMessagePosted(Shape):
    """A person's message waits for its answer. `turn` numbers a conversation's messages from 1, without a gap."""

    conversation_id: ReferenceId
    message_id: ReferenceId
    turn: Annotated[int, Field(ge=1)]


class AgentApprovalSubmitted(Shape):
    """A person has answered a card: the record of it is committed already, this only names it."""

    approval_id: ReferenceId
    conversation_id: ReferenceId


class RequestAction(Shape):
    """Check an action for the last time and commit the intent to carry it out."""

    action_id: ReferenceId


class PerformAction(Shape):
    """Carry out an action whose intent is on the record."""

    action_id: ReferenceId


class AnswerApproval(Shape):
    """A person's answer to a card: over HTTP only, because a message on a lane proves nothing.

    card_digest: of the card that the person saw. edited_arguments: replace the action's whole arguments, None for none.
    roles: the person's roles in the tenant, from authentication.
    """

    approval_id: ReferenceId
    decision: Literal["approve", "reject"]
    rationale: Annotated[str, Field(max_length=500)] = ""
    card_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    edited_arguments: dict[str, Any] | None = None
    person: Annotated[str, Field(min_length=1, max_length=200)]
    person_name: Annotated[str, Field(max_length=200)] = ""
    roles: list[str]


class AgeApproval(Shape):
    """Time has passed over a card: made by a timer, never read from a lane. moment: what is due."""

    approval_id: ReferenceId
    moment: Literal["warn", "escalate", "expire"]
