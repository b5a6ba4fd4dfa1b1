"""Who may do what: one row per HTTP function, and nothing is allowed that has no row.

A reviewer is a member. An auditor reads everything and changes nothing. An operator keeps the system running: parked
commands, members, the tenant's profile, erasure; money's decisions are not an operator's to make.
"""

from __future__ import annotations

SUBMITS = frozenset({"member"})
REVIEWS = frozenset({"reviewer"})
AUDITS = frozenset({"auditor"})
OPERATES = frozenset({"operator"})
READS_MONEY = frozenset({"member", "auditor"})
READS_WORKINGS = frozenset({"member", "auditor", "operator"})
READS_OPERATIONS = frozenset({"auditor", "operator"})
ANSWERS = frozenset({"reviewer", "operator"})
"""Who may answer a card at all; which of them may answer this one, the card says."""
ANYONE: frozenset[str] = frozenset()
"""No caller is asked for: health, readiness and the description of the interface."""

IMPLIED = {"reviewer": frozenset({"reviewer", "member"})}
SYSTEM_ROLES = frozenset({"auditor", "operator"})
"""What one can be in the tenant `system`, which holds what belongs to nobody."""
APPLICATION_ROLES = frozenset({"member", "auditor"})
"""What a program without a person can be. A signature, a resolution or an erasure is a person's act."""

WHO_MAY: dict[str, frozenset[str]] = {
    "post_transactions": SUBMITS,
    "post_history": OPERATES,
    "get_ingestion": READS_WORKINGS,
    "list_transactions": READS_MONEY,
    "get_transaction": READS_MONEY,
    "review_transaction": REVIEWS,
    "list_runs": READS_WORKINGS,
    "get_run": READS_WORKINGS,
    "list_run_audit": AUDITS,
    "list_audit": AUDITS,
    "verify_audit": AUDITS,
    "export_audit": AUDITS,
    "list_checkpoints": AUDITS,
    "list_parked": READS_OPERATIONS,
    "get_parked": READS_OPERATIONS,
    "replay_parked": OPERATES,
    "discard_parked": OPERATES,
    "post_message": SUBMITS,
    "post_assistant_message": SUBMITS,
    "get_conversation": READS_MONEY,
    "get_assistant_conversation": READS_MONEY,
    "list_conversations": READS_MONEY,
    "list_assistant_conversations": READS_MONEY,
    "put_conversation_settings": SUBMITS,
    "put_assistant_conversation_settings": SUBMITS,
    "stream_conversation": READS_MONEY,
    "stream_assistant_conversation": READS_MONEY,
    "list_approvals": READS_WORKINGS,
    "get_approval": READS_WORKINGS,
    "answer_approval": ANSWERS,
    "answer_conversation_approval": ANSWERS,
    "answer_assistant_approval": ANSWERS,
    "list_actions": READS_WORKINGS,
    "get_action": READS_WORKINGS,
    "get_statement": READS_MONEY,
    "list_budgets": READS_MONEY,
    "get_preferences": SUBMITS,
    "list_drafts": SUBMITS,
    "get_action_metrics": READS_WORKINGS,
    "list_findings": READS_WORKINGS,
    "close_finding": REVIEWS,
    "get_profile": READS_WORKINGS,
    "put_profile": OPERATES,
    "list_categories": READS_WORKINGS,
    "get_counters": READS_WORKINGS,
    "list_members": READS_OPERATIONS,
    "put_member": OPERATES,
    "post_erasure": OPERATES,
    "get_erasure": READS_OPERATIONS,
    "health": ANYONE,
    "ready": ANYONE,
    "openapi": ANYONE,
    "openapi_v1": ANYONE,
}

WHO_MAY_STREAM: dict[str, frozenset[str]] = {
    "post_chat": SUBMITS,
    "post_agui": SUBMITS,
    "resume_agui": REVIEWS | OPERATES,
    "follow_conversation": READS_MONEY,
    "follow_assistant_conversation": READS_MONEY,
}
"""The same for the second app (`stream_app.py`)."""


def expanded(roles: frozenset[str]) -> frozenset[str]:
    """The roles with those they contain."""
    return frozenset().union(*(IMPLIED.get(role, frozenset({role})) for role in roles))
