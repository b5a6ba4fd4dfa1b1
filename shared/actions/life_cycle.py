"""An action from wish to outcome: its document, its states and the steps between them. Pure.

denied: policy said no. waiting: for people. requested: to be checked for the last time. intended: the intent is on the
record, and the effect may have happened. done, refused (nothing was done), cancelled (nothing was tried).
needs_review: nobody can tell; only the backend's own word moves it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.audit.record import Entry
from shared.errors import StateConflictError
from shared.ports.document_store import Body, Document

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "denied": frozenset(),
    "waiting": frozenset({"waiting", "requested", "cancelled"}),
    "requested": frozenset({"intended", "cancelled", "denied", "needs_review"}),
    "intended": frozenset({"done", "refused", "needs_review"}),
    "needs_review": frozenset({"intended", "done", "refused", "cancelled", "denied"}),
    "done": frozenset(),
    "refused": frozenset(),
    "cancelled": frozenset(),
}
STATES = tuple(TRANSITIONS)
SETTLED = frozenset({"denied", "done", "refused", "cancelled"})
FIRST_STATE: Mapping[str, str] = {"Rejected": "denied", "Deferred": "waiting", "Applied": "requested"}
"""Where an action begins, by the guard's outcome on the wish."""


MEMBERS = frozenset(
    {"action_id", "action", "schema_version", "arguments", "digest", "requested_by", "requester_roles", "requested_at"}
    | {"conversation_id", "turn", "run_id", "policy_version", "configuration", "approval_id", "mentions", "state"}
    | {"decision", "risk", "backend", "code", "detail", "idempotency_key", "intent_at", "intent_run", "reference"}
)
"""What every stored action has, and its handling relies on."""


def action_doc_id(action_id: str) -> str:
    """The document id of an action."""
    return f"action:{action_id}"


def document_of(partition: str, body: Body, *, etag: str = "") -> Document:
    """The document of an action's body, listed by state, by conversation and by who asked."""
    keys = {"state": body["state"], "subject": body["requested_by"]}
    if body["conversation_id"]:
        keys["conversation"] = body["conversation_id"]
    id_ = action_doc_id(body["action_id"])
    return Document(partition, id_, "action", body, sort=body["requested_at"], keys=keys, etag=etag)


def is_whole(document: Document) -> bool:
    """Whether a stored action is one that any code of ours has written: a byte changed by hand may say otherwise."""
    body = document.body
    return body.keys() >= MEMBERS and document.id == action_doc_id(body["action_id"]) and body["state"] in TRANSITIONS


def moved(document: Document, state: str, *, at: str, code: str = "", detail: str = "", **changes: Any) -> Document:
    """The action in its next state; `StateConflictError("action_state")` for a step that its life does not know.

    code, detail: why, for the person. changes: further members of the body.
    """
    body = document.body
    if state not in TRANSITIONS[body["state"]]:
        raise StateConflictError(f"the action is {body['state']}: it cannot become {state}", code="action_state")
    settled = {"finished_at": at} if state in SETTLED else {}
    changed = {**body, **changes, **settled, "state": state, "code": code, "detail": detail[:500]}
    return document_of(document.partition, changed, etag=document.etag)


def edited(
    document: Document, arguments: Body, *, schema_version: int, policy_version: str, digest: str, risk: str, at: str
) -> Document:
    """A waiting action whose arguments a person has replaced, with the digest that was signed."""
    return moved(
        document,
        "waiting",
        at=at,
        arguments=arguments,
        schema_version=schema_version,
        policy_version=policy_version,
        digest=digest,
        risk=risk,
    )


def entry(
    what: str,
    body: Body,
    *,
    who: Mapping[str, str],
    run_id: str,
    command_id: str,
    correlation_id: str,
    **payload: Any,
) -> Entry:
    """The audit entry of a step. what: `action_proposed`, `action_released`, `action_refused`, `effect_intent`,
    `effect_outcome`, `action_cancelled`, `action_waiting`, `action_settled`. body: the action after it."""
    ids = {"run": run_id, "command": command_id, "correlation": correlation_id, "action": body["action_id"]}
    ids |= {"conversation": body["conversation_id"]} if body["conversation_id"] else {}
    ids |= {"approval": body["approval_id"]} if body["approval_id"] else {}
    told = {"action": body["action"], "state": body["state"], "code": body["code"], "digest": body["digest"], **payload}
    return Entry(what, dict(who), ids, told)
