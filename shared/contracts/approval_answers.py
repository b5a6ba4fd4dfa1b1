"""What the approval endpoints answer, for docs/openapi.json."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.contracts.answers import Answer, Instant

ApprovalState = Literal["pending", "approved", "modified", "rejected", "expired", "superseded", "consumed"]
Risk = Literal["low", "medium", "high", "critical"]


class You(Answer):
    """Whether the caller may approve it now. code: why not (docs/reason-codes.md), "" when they may; why: in words."""

    may_answer: bool
    code: str
    why: str


class Shown(Answer):
    """The card as it is signed. what: [label, value] in the order to show; until: when it expires."""

    title: str
    what: list[list[str]]
    why: str
    asked_by: str
    evidence: list[str]
    effects: list[str]
    risk: Risk
    role: str
    quorum: int
    requester_may_sign: Literal["never", "first", "alone"]
    until: Instant


class Signature(Answer):
    """A person's approval, with the digests that it is for."""

    person: str
    name: str
    roles: list[str]
    at: Instant
    rationale: str
    digest: str
    card_digest: str


class ApprovalLine(Answer):
    """A card in the inbox. still_needed: how many more people must sign."""

    approval_id: str
    action_id: str
    conversation_id: str
    action: str
    title: str
    state: ApprovalState
    version: int
    risk: Risk
    role: str
    quorum: int
    signatures: int
    still_needed: int
    requested_by: str
    requested_at: Instant
    expires_at: Instant
    warned_at: Instant
    escalated_at: Instant
    card_digest: str
    you: You


class ApprovalPage(Answer):
    """The longest waiting first; a page may hold fewer than `limit` and still have a cursor."""

    items: list[ApprovalLine]
    cursor: str


class Approval(Answer):
    """A card with everything that an answer should rest on. voided: signatures on what it was before an edit.
    edited_by: who has changed what was asked for, in order."""

    approval_id: str
    action_id: str
    conversation_id: str
    run_id: str
    action: str
    action_schema_version: int
    arguments: dict[str, Any]
    digest: str
    card: Shown
    card_digest: str
    state: ApprovalState
    version: int
    requested_by: str
    requested_at: Instant
    expires_at: Instant
    warned_at: Instant
    escalated_at: Instant
    risk: Risk
    role: str
    quorum: int
    requester_may_sign: Literal["never", "first", "alone"]
    policy_version: str
    signatures: list[Signature]
    voided: list[Signature]
    edited_by: list[str] = Field(default_factory=list)
    still_needed: int
    answered_at: Instant
    rejected_by: str
    rationale: str
    expired_at: Instant
    superseded_at: Instant
    superseded_by: str
    superseded_why: str
    consumed_at: Instant
    consumed_run: str
    erased_at: Instant = ""
    you: You


class Answered(Answer):
    """What an answer has made of the card. digest, card_digest: of the card as it is now, edited or not."""

    approval_id: str
    action_id: str
    conversation_id: str
    decision: Literal["approve", "reject"]
    edited: bool
    state: ApprovalState
    version: int
    signatures: int
    still_needed: int
    digest: str
    card_digest: str
    expires_at: Instant
    run_id: str
