"""A card: one exact action, shown to people who may allow it. Pure: documents in, documents out, nothing saved.

`digest` binds what will be done, `card_digest` what was shown: a signature names both, and an action is carried out
only if it still has the digest that was signed. One card per action, for ever; so a card's id is its action's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.audit.record import canonical, check_hashable
from shared.contracts.instants import text
from shared.errors import StateConflictError, TerminalError
from shared.guard.approvers import Terms, still_needed
from shared.ports.document_store import Body, Document

if TYPE_CHECKING:
    from shared.guard.disposition import Judgement

OPEN = frozenset({"pending", "modified"})
"""States in which a card waits for people. `modified`: somebody has edited what is asked for, and signed that."""
ENDED = frozenset({"rejected", "expired", "superseded", "consumed"})
TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"pending", "modified", "approved", "rejected", "expired", "superseded"}),
    "modified": frozenset({"modified", "approved", "rejected", "expired", "superseded"}),
    "approved": frozenset({"consumed", "expired", "superseded"}),
    **dict.fromkeys(ENDED, frozenset()),
}
SHOWN_TERMS = ("risk", "role", "quorum", "requester_may_sign")
"""What the card shows of its terms: stored once to be worked with, and once under the card's digest."""


class Card(NamedTuple):
    """What a person is shown. what: pairs of label and value, in the order to show; why: whose wish, in whose words.

    evidence: what it rests on; effects: what it will do, and what it will not. All plain text.
    """

    title: str
    what: Sequence[tuple[str, str]]
    why: str
    evidence: Sequence[str] = ()
    effects: Sequence[str] = ()


def approval_doc_id(approval_id: str) -> str:
    """The document id of a card."""
    return f"approval:{approval_id}"


def digest_of(
    *, tenant: str, action: str, schema_version: int, arguments: Body, run_id: str, policy_version: str
) -> str:
    """sha256 over RFC 8785 of exactly what will be done, for whom, under which policy, asked for in which run.

    `TerminalError("not_hashable")` for arguments whose canonical form is not unique (a float, a huge integer).
    """
    bound = {
        "tenant": tenant,
        "action": action,
        "schema_version": schema_version,
        "arguments": arguments,
        "run": run_id,
        "policy_version": policy_version,
    }
    check_hashable(bound)
    return sha256(canonical(bound)).hexdigest()


def digest_of_action(body: Body, *, tenant: str) -> str:
    """The digest of a stored action, or of a card's copy of it, made anew from what it says."""
    version = "action_schema_version" if "card" in body else "schema_version"
    return digest_of(
        tenant=tenant,
        action=body["action"],
        schema_version=body[version],
        arguments=body["arguments"],
        run_id=body["run_id"],
        policy_version=body["policy_version"],
    )


def card_digest_of(shown: Body, digest: str) -> str:
    """sha256 over RFC 8785 of the card as shown, together with the digest of what it asks for."""
    bound = {"card": shown, "digest": digest}
    check_hashable(bound)
    return sha256(canonical(bound)).hexdigest()


def requested(
    partition: str, action: Body, *, judged: Judgement, card: Card, tenant: str, requested_by: str, now: datetime
) -> Document:
    """A new card for `action` (the body of its document, with the policy version of `judged`).

    judged: its terms; expires_seconds, warn_seconds and escalate_seconds count from now, and a 0 for the latter two
    means that nobody is warned or called.
    """
    digest = digest_of_action(action, tenant=tenant)
    terms = Terms(judged.role, judged.quorum, judged.requester_may_sign, requested_by)
    expires_at = _later(now, judged.expires_seconds)
    shown = shown_of(card, terms, risk=judged.risk, until=expires_at)
    body: Body = {
        "approval_id": action["action_id"],
        "tenant": tenant,
        **{name: action[name] for name in ("action_id", "conversation_id", "turn", "run_id", "action", "arguments")},
        "action_schema_version": action["schema_version"],
        "policy_version": action["policy_version"],
        "digest": digest,
        "card": shown,
        "card_digest": card_digest_of(shown, digest),
        "state": "pending",
        "version": 1,
        "requested_by": requested_by,
        "requested_at": text(now),
        "expires_at": expires_at,
        "warn_at": _later(now, judged.warn_seconds),
        "escalate_at": _later(now, judged.escalate_seconds),
        **{name: shown[name] for name in SHOWN_TERMS},
        "signatures": [],
        "voided": [],
        "edited_by": [],
        **dict.fromkeys(NOT_YET, ""),
    }
    keys = {"state": "open", "subject": requested_by, "conversation": action["conversation_id"]}
    id_, due_at = approval_doc_id(body["approval_id"]), due_at_of(body)
    return Document(partition, id_, "approval", body, sort=body["requested_at"], keys=keys, due_at=due_at)


NOT_YET = (
    "warned_at",
    "escalated_at",
    "answered_at",
    "rejected_by",
    "rationale",
    "expired_at",
    "superseded_at",
    "superseded_by",
    "superseded_why",
    "consumed_at",
    "consumed_run",
)


MEMBERS = frozenset(
    {
        "approval_id",
        "tenant",
        "action_id",
        "conversation_id",
        "turn",
        "run_id",
        "action",
        "arguments",
        "state",
        "version",
    }
    | {"action_schema_version", "policy_version", "digest", "card", "card_digest", "requested_by", "requested_at"}
    | {"expires_at", "warn_at", "escalate_at", "signatures", "voided", *SHOWN_TERMS, *NOT_YET}
)


def is_whole(document: Document) -> bool:
    """Whether a stored card is one that any code of ours has written: a byte changed by hand may say otherwise."""
    body = document.body
    return body.keys() >= MEMBERS and document.id == approval_doc_id(body["approval_id"]) and "title" in body["card"]


def shown_of(card: Card, terms: Terms, *, risk: str, until: str) -> Body:
    """The card as it is shown and signed, a JSON object."""
    return {
        "title": card.title,
        "what": [[label, value] for label, value in card.what],
        "why": card.why,
        "asked_by": terms.requested_by,
        "evidence": list(card.evidence),
        "effects": list(card.effects),
        "risk": risk,
        "role": terms.role,
        "quorum": terms.quorum,
        "requester_may_sign": terms.requester_may_sign,
        "until": until,
    }


def terms_of(body: Body) -> Terms:
    """What the card asks for."""
    return Terms(body["role"], body["quorum"], body["requester_may_sign"], body["requested_by"])


def signers_of(body: Body) -> list[str]:
    """Who has signed the card as it is now."""
    return [signature["person"] for signature in body["signatures"]]


def consumed(document: Document, *, run_id: str, at: str) -> Document:
    """The approved card, used up by the run that commits the intent: no second effect can refer to it."""
    return moved(document, "consumed", consumed_at=at, consumed_run=run_id)


def superseded(document: Document, *, why: str, by: str, at: str) -> Document:
    """A card that no longer counts. by: the run or message that takes its place; why: a code."""
    return moved(document, "superseded", superseded_at=at, superseded_by=by, superseded_why=why)


def moved(document: Document, state: str, **changes: Any) -> Document:
    """The card in its next state. `StateConflictError("approval_closed")` for a step that its life does not know."""
    body = document.body
    if state not in TRANSITIONS[body["state"]]:
        raise StateConflictError(f"the card is {body['state']}: it cannot become {state}", code="approval_closed")
    changed = {**body, **changes, "state": state, "version": body["version"] + 1}
    keys = {**document.keys, "state": "open" if state in OPEN else state}
    return document._replace(body=changed, keys=keys, due_at=due_at_of(changed))


def due_at_of(body: Body) -> str:
    """When a timer has to look at the card again, "" for never: an approved card too goes stale if nobody uses it."""
    if body["state"] in ENDED:
        return ""
    moments: list[str] = [body["expires_at"]]
    if body["state"] in OPEN:
        moments += [body[f"{name}_at"] for name, done in AGEING if body[f"{name}_at"] and not body[done]]
    return min(moments)


AGEING = (("warn", "warned_at"), ("escalate", "escalated_at"))


def has_expired(body: Body, *, at: str) -> bool:
    """Whether the card's time is over, marked or not."""
    return body["state"] == "expired" or (body["state"] not in ENDED and at >= body["expires_at"])


def valid_for(card: Body, action: Body, *, tenant: str, now: datetime) -> str:
    """Why the card does not allow the action at this moment, as a code, or "" when it does. The last check of all.

    card, action: the stored bodies. What was stored is not believed: both digests are made anew.
    `action_changed`, `arguments_changed` (the card's copy), `card_changed`, `signature_mismatch`, `approval_mismatch`
    (of another action), `approval_consumed`, `approval_not_given` (its state), `approval_expired`, `quorum_missing`.
    """
    if card["state"] == "consumed":
        return "approval_consumed"
    if card["action_id"] != action["action_id"] or card["tenant"] != tenant:
        return "approval_mismatch"
    changed = what_changed(card, action, tenant=tenant)
    if changed:
        return changed
    if has_expired(card, at=text(now)):
        return "approval_expired"
    if card["state"] != "approved":
        return "approval_not_given"
    return "quorum_missing" if still_needed(terms_of(card), signers_of(card)) else ""


def what_changed(card: Body, action: Body, *, tenant: str) -> str:
    """Which of action, card and signatures is no longer what was stored together, as a code, or ""."""
    if _digest_or_none(action, tenant) != action["digest"]:
        return "action_changed"
    if _digest_or_none(card, tenant) != card["digest"]:
        return "arguments_changed"
    if card["digest"] != action["digest"]:
        return "approval_mismatch"
    shown = card["card"]
    if (
        any(shown[name] != card[name] for name in SHOWN_TERMS)
        or (shown["asked_by"], shown["until"]) != (card["requested_by"], card["expires_at"])
        or _or_none(shown, card["digest"]) != card["card_digest"]
    ):
        return "card_changed"
    signed = [(one["digest"], one["card_digest"]) for one in card["signatures"]]
    return "" if set(signed) <= {(card["digest"], card["card_digest"])} else "signature_mismatch"


def _digest_or_none(body: Body, tenant: str) -> str | None:
    try:
        return digest_of_action(body, tenant=tenant)
    except TerminalError:
        return None  # what cannot be hashed was never signed


def _or_none(shown: Body, digest: str) -> str | None:
    try:
        return card_digest_of(shown, digest)
    except TerminalError:
        return None


def _later(now: datetime, seconds: int) -> str:
    return text(now + timedelta(seconds=seconds)) if seconds else ""
