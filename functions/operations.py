"""One row per HTTP function for docs/openapi.json: what it takes and gives. Adding an endpoint is a row here."""

from __future__ import annotations

from typing import NamedTuple

from ag_ui.core import RunAgentInput
from pydantic import BaseModel

from shared.actions.life_cycle import TRANSITIONS as ACTION_TRANSITIONS
from shared.contracts import (
    action_answers,
    answers,
    approval_answers,
    approval_requests,
    audit_answers,
    chat_requests,
    conversation_answers,
    conversation_requests,
    history,
    requests,
)
from shared.runs.life_cycle import RUN_TRANSITIONS


class Query(NamedTuple):
    """A parameter of the query string. An integer unless it has choices or is the cursor."""

    name: str
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    default: int | None = None


class Operation(NamedTuple):
    """takes, gives: body shapes. other_takes: media types beside JSON. status: of the answer; also: a further one.
    refuses: status codes beside those that follow from the rest. told: what the answer is, in words.
    """

    gives: type[BaseModel] | None
    takes: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    status: int = 200
    also: int = 0
    other_takes: tuple[str, ...] = ()
    gives_type: str = "application/json"
    idempotent: bool = False
    may_be_empty: bool = False
    headers: tuple[str, ...] = ()
    refuses: tuple[int, ...] = ()
    told: str = "done"

    @property
    def untyped(self) -> str:
        """The JSON Schema type of an answer that has no shape."""
        return "string" if self.gives_type.startswith("text/") else "object"


PAGE = (Query("limit", low=1, high=200, default=50), Query("cursor"))
LIMIT = Query("limit", low=1, high=200, default=50)
EVENT_STREAM = "text/event-stream"
AFTER = Query("after", low=0, high=10**12 - 1, default=0)

POST_MESSAGE = Operation(
    conversation_answers.MessageAccepted, conversation_requests.MessagePost, status=202, idempotent=True
)
GET_CONVERSATION = Operation(conversation_answers.Conversation, query=PAGE)
LIST_CONVERSATIONS = Operation(conversation_answers.ConversationPage, query=PAGE)
SETTINGS = Operation(conversation_answers.ConversationLine, conversation_requests.ConversationSettings)
STREAM = Operation(
    None,
    query=(Query("last_event_id", low=0, high=10**10 - 1, default=0),),
    gives_type=EVENT_STREAM,
    told="server-sent events: AG-UI 1.0 events as JSON, whose `id` is their number in the conversation; up to 25 s are "
    "waited for the next. The second app streams until the reader leaves; the local host leads there with `live=true`.",
)

OPERATIONS: dict[str, Operation] = {
    "post_transactions": Operation(
        answers.Ingestion, requests.TransactionBatch, status=202, other_takes=("text/csv",), idempotent=True
    ),
    "get_ingestion": Operation(answers.Ingestion),
    "list_transactions": Operation(
        answers.TransactionPage,
        query=(Query("review_state", ("Unclassified", "Categorized", "NeedsReview", "Reviewed")), *PAGE),
    ),
    "get_transaction": Operation(answers.Transaction),
    "review_transaction": Operation(answers.Review, requests.ReviewRequest, idempotent=True),
    "post_history": Operation(answers.Ingestion, history.HistoryImport, idempotent=True),
    "list_runs": Operation(answers.RunPage, query=(Query("status", tuple(RUN_TRANSITIONS)), *PAGE)),
    "get_run": Operation(answers.Run),
    "list_run_audit": Operation(audit_answers.RunAuditPage, query=PAGE),
    "list_audit": Operation(audit_answers.AuditPage, query=(AFTER, LIMIT)),
    "verify_audit": Operation(audit_answers.Verification, requests.VerificationRequest, may_be_empty=True),
    "export_audit": Operation(
        audit_answers.AuditRecord, query=(AFTER,), gives_type="application/x-ndjson", headers=("X-Next-After",)
    ),
    "list_checkpoints": Operation(audit_answers.CheckpointList, query=(LIMIT,)),
    "list_parked": Operation(answers.ParkedPage, query=(Query("state", ("parked", "replayed", "discarded")), *PAGE)),
    "get_parked": Operation(answers.Parked),
    "replay_parked": Operation(answers.Resolution, requests.ResolutionRequest, idempotent=True, may_be_empty=True),
    "discard_parked": Operation(answers.Resolution, requests.ResolutionRequest, idempotent=True, may_be_empty=True),
    "post_message": POST_MESSAGE,
    "post_assistant_message": POST_MESSAGE,
    "get_conversation": GET_CONVERSATION,
    "get_assistant_conversation": GET_CONVERSATION,
    "list_conversations": LIST_CONVERSATIONS,
    "list_assistant_conversations": LIST_CONVERSATIONS,
    "put_conversation_settings": SETTINGS,
    "put_assistant_conversation_settings": SETTINGS,
    "stream_conversation": STREAM,
    "stream_assistant_conversation": STREAM,
    "post_chat": Operation(
        None,
        chat_requests.ChatPost,
        gives_type=EVENT_STREAM,
        refuses=(404, 422),
        told="server-sent events: `token` {text} while the reply is made; then `done` {conversation_id, message_id, "
        "run_id, status, text, approvals}, or `error` with a problem",
    ),
    "post_agui": Operation(
        None,
        RunAgentInput,
        gives_type=EVENT_STREAM,
        told="server-sent events: the AG-UI 1.0 events of one run, from RUN_STARTED to RUN_FINISHED or RUN_ERROR",
    ),
    "list_approvals": Operation(
        approval_answers.ApprovalPage,
        query=(
            Query("state", ("pending", "modified", "approved", "rejected", "expired", "superseded", "consumed")),
            Query("risk", ("low", "medium", "high", "critical")),
            Query("role", ("reviewer", "operator")),
            Query("older_than", low=0, high=527_040, default=0),
            *PAGE,
        ),
    ),
    "get_approval": Operation(approval_answers.Approval),
    "answer_approval": Operation(approval_answers.Answered, approval_requests.ApprovalAnswer, idempotent=True),
    "answer_conversation_approval": Operation(
        approval_answers.Answered, approval_requests.ApprovalAnswer, idempotent=True
    ),
    "answer_assistant_approval": Operation(
        approval_answers.Answered, approval_requests.ApprovalAnswer, idempotent=True
    ),
    "list_actions": Operation(action_answers.ActionPage, query=(Query("state", tuple(ACTION_TRANSITIONS)), *PAGE)),
    "get_action": Operation(action_answers.Action),
    "get_statement": Operation(None, gives_type="text/csv", headers=("X-Truncated",)),
    "list_budgets": Operation(action_answers.BudgetPage, query=PAGE),
    "get_preferences": Operation(action_answers.Preferences),
    "list_drafts": Operation(action_answers.DraftPage, query=PAGE),
    "get_action_metrics": Operation(
        action_answers.ActionMetrics, query=(Query("days", low=1, high=90, default=7), Query("cursor"))
    ),
    "list_findings": Operation(answers.FindingPage, query=(Query("state", ("open", "closed")), *PAGE)),
    "close_finding": Operation(answers.Finding, requests.FindingClosure),
    "get_profile": Operation(answers.Profile, headers=("ETag",)),
    "put_profile": Operation(answers.Profile, requests.ProfileUpdate, headers=("ETag",)),
    "list_categories": Operation(answers.Categories),
    "get_counters": Operation(answers.Counters),
    "list_members": Operation(answers.MemberPage, query=PAGE),
    "put_member": Operation(answers.Member, requests.MemberUpdate),
    "post_erasure": Operation(answers.Erasure, requests.ErasureRequest, also=202, idempotent=True),
    "get_erasure": Operation(answers.Erasure),
    "health": Operation(answers.Health),
    "ready": Operation(answers.Readiness, also=503),
    "openapi": Operation(None),
    "openapi_v1": Operation(None),
}
