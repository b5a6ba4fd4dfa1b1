"""What the conversation's HTTP functions answer, for docs/openapi.json."""

from __future__ import annotations

from typing import Literal

from shared.contracts.answers import Answer, Instant

Disposition = Literal["advisory_only", "approval_required", "approved_by_human", "rejected_by_human", "applied"]


class MessageAccepted(Answer):
    """A message is stored and will be answered. turn: its number in the conversation. last_event_id: the stream's
    newest event when it was taken; what comes after it is about this message, or about what stood before it."""

    command_id: str
    correlation_id: str
    conversation_id: str
    message_id: str
    turn: int
    command_type: Literal["AgentMessagePosted"]
    queue: str
    policy_disposition: Disposition
    queued_at: Instant
    status: Literal["queued"]
    last_event_id: int


class Provenance(Answer):
    """source: `grammar` or the model's name. disposition: the policy's, for this turn."""

    source: str
    specialists: list[str]
    disposition: Disposition


class Message(Answer):
    """mentions: ids of transactions; approvals, actions: ids of cards and actions that the message tells of."""

    message_id: str
    turn: int
    role: Literal["user", "assistant", "notice"]
    author: str
    text: str
    user_note: str
    client_message_id: str
    at: Instant
    status: Literal["queued", "answered", "superseded", "failed", "told"]
    run_id: str
    command_id: str
    correlation_id: str
    provenance: Provenance | None
    approvals: list[str]
    actions: list[str]
    mentions: list[str]
    erased_at: Instant = ""


class ConversationLine(Answer):
    """waiting: messages that are not answered yet. last_event_id: the newest event of its stream."""

    conversation_id: str
    owner: str
    started_at: Instant
    when_busy: Literal["enqueue", "reject", "supersede"]
    turns: int
    waiting: int
    last_event_id: int
    open_approvals: list[str]


class ConversationPage(Answer):
    items: list[ConversationLine]
    cursor: str


class Conversation(ConversationLine):
    """One page of its history: by default its newest messages, oldest first; `cursor` leads to older ones."""

    messages: list[Message]
    cursor: str
