"""The one list of lanes: one Service Bus queue each. Bindings, the local host and infrastructure read it here.

`sessions`: every message needs a session id, and a session's messages are handled one at a time: a tenant's
statements and sweeps, a conversation's messages, an approval's answers, an action's steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Lane(NamedTuple):
    """Durations in seconds; `max_delivery_count` is the platform's, before a message is dead-lettered."""

    queue: str
    sessions: bool
    lock_seconds: int = 60
    max_delivery_count: int = 10
    duplicate_window_seconds: int = 600


INGESTION = Lane("runtime-ingestion-completed", sessions=True)
SWEEP = Lane("runtime-nightly-anomaly-sweep", sessions=True)
MESSAGES = Lane("runtime-agent-message-posted", sessions=True)
ACTIONS = Lane("runtime-action-requested", sessions=True)

LANES: dict[str, Lane] = {lane.queue: lane for lane in (INGESTION, SWEEP, MESSAGES, ACTIONS)}

LANE_OF_COMMAND: dict[str, str] = {
    "ClassifyTransaction": INGESTION.queue,
    "IngestionCompleted": INGESTION.queue,
    "SweepTenant": SWEEP.queue,
    "AgentMessagePosted": MESSAGES.queue,
    "AgentApprovalSubmitted": MESSAGES.queue,
    "RequestAction": ACTIONS.queue,
    "PerformAction": ACTIONS.queue,
}

FROM_OUTSIDE = frozenset({"ClassifyTransaction", "IngestionCompleted", "SweepTenant"})
"""What an outside producer may be listed for. The others name a record that only our own functions commit."""

SESSION_KEYS: dict[str, str] = {
    "AgentMessagePosted": "conversation_id",
    "AgentApprovalSubmitted": "approval_id",
    "RequestAction": "action_id",
    "PerformAction": "action_id",
}
"""The member of a command's payload that is its session within the tenant; the others' session is the tenant."""


def session_of(command_type: str, tenant: str, payload: Mapping[str, Any]) -> str:
    """The session id of a command. Answers to a card never wait behind a conversation's messages."""
    key = SESSION_KEYS.get(command_type)
    return f"{tenant}:{payload[key]}" if key else tenant


DEAD_LETTER_SUFFIX = "/$deadletterqueue"
