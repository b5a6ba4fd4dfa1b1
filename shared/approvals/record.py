"""What the record and the conversation are told of a card. Pure."""

from __future__ import annotations

from typing import Any

from shared.approvals.card import signers_of, terms_of
from shared.audit.record import Entry
from shared.guard.approvers import still_needed
from shared.ports.document_store import Body

Who = dict[str, str]
TIMER: Who = {"kind": "timer", "id": "age-approvals"}


def entry(
    what: str, body: Body, *, who: Who, run_id: str, command_id: str, correlation_id: str, **payload: Any
) -> Entry:
    """The audit entry of a change of the card. what: `approval_requested`, `approval_answered`, `approval_edited`,
    `approval_warned`, `approval_escalated`, `approval_expired`, `approval_superseded`, `approval_consumed`, or
    `approval_applied`. body: the card after it. Both digests and every id are on the record each time."""
    ids = {
        "run": run_id,
        "command": command_id,
        "correlation": correlation_id,
        "conversation": body["conversation_id"],
        "approval": body["approval_id"],
        "action": body["action_id"],
    }
    told = {
        "state": body["state"],
        "version": body["version"],
        "action": body["action"],
        "digest": body["digest"],
        "card_digest": body["card_digest"],
        **payload,
    }
    return Entry(what, who, ids, told)


def requested_entry(body: Body, *, who: Who, run_id: str, command_id: str, correlation_id: str) -> Entry:
    """`approval_requested`, with everything that the card binds and asks for."""
    terms = {name: body[name] for name in ("risk", "role", "quorum", "requester_may_sign", "policy_version")}
    return entry(
        "approval_requested",
        body,
        who=who,
        run_id=run_id,
        command_id=command_id,
        correlation_id=correlation_id,
        arguments=body["arguments"],
        expires_at=body["expires_at"],
        **terms,
    )


def told(body: Body) -> dict[str, Any]:
    """The card's state as the conversation's stream tells it (`stream.custom("approval", ...)`)."""
    return {
        "approval_id": body["approval_id"],
        "action_id": body["action_id"],
        "action": body["action"],
        "state": body["state"],
        "version": body["version"],
        "card_digest": body["card_digest"],
        "title": body["card"]["title"],
        "signatures": len(body["signatures"]),
        "still_needed": needed(body),
        "expires_at": body["expires_at"],
        "warned": bool(body["warned_at"]),
        "escalated": bool(body["escalated_at"]),
    }


def needed(body: Body) -> int:
    """How many more people must sign; 0 for a card that waits for nobody."""
    if body["state"] not in ("pending", "modified"):
        return 0
    return still_needed(terms_of(body), signers_of(body))
