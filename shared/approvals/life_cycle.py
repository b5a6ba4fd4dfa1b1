"""What people and time do to a card. Pure: each takes the stored card and gives the changed one, or refuses.

Refusals are errors that a client can tell apart: 403 `role_missing`, `requester_may_not_sign`; 409 `already_signed`,
`approval_closed`, `approval_expired`, `card_changed`. They come in this order, so that one card gives one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.approvals.card import (
    AGEING,
    OPEN,
    Card,
    card_digest_of,
    digest_of,
    has_expired,
    moved,
    shown_of,
    signers_of,
    superseded,
    terms_of,
)
from shared.errors import ForbiddenError, StateConflictError
from shared.guard.approvers import APPROVE, REJECT, Terms, still_needed, why_not
from shared.guard.disposition import APPROVED_BY_HUMAN, REJECTED_BY_HUMAN
from shared.ports.document_store import Body, Document

WARN, ESCALATE, EXPIRE = "warn", "escalate", "expire"

EXPLAINED = {
    "role_missing": "this card asks for the role {role}",
    "already_signed": "you have answered this card already; it is {state}",
    "requester_may_not_sign": "whoever asks may not sign the own request here: somebody else must",
    "approval_expired": "the card expired at {expires_at}, which denies what it asked for; ask again",
    "approval_closed": "the card is {state}: it takes no further answers",
    "policy_context_missing": "nothing can be signed without a policy: the card waits, and can only be turned down",
    "card_changed": "the card is not the one that you were shown: read it again, and answer what it says now",
}


class Signer(NamedTuple):
    """A person who answers, as sign-in knows them: principal, name to show, roles in the tenant."""

    person: str
    name: str
    roles: Sequence[str]


class Edit(NamedTuple):
    """What somebody changed the action into, judged again. card: as it is shown from now on."""

    arguments: Body
    schema_version: int
    policy_version: str
    risk: str
    terms: Terms
    card: Card


def refusal(body: Body, signer: Signer, *, decision: str, at: str) -> str:
    """Why `signer` may not answer the card now, as a code of `EXPLAINED`, or "" when they may."""
    terms = terms_of(body)
    answered = [*signers_of(body), *([body["rejected_by"]] if body["rejected_by"] else [])]
    code = why_not(terms, person=signer.person, roles=signer.roles, signers=answered, decision=decision)
    if code in ("role_missing", "already_signed"):
        return code
    if has_expired(body, at=at) and body["state"] in (*OPEN, "expired"):
        return "approval_expired"
    if body["state"] not in OPEN:
        return "approval_closed"
    return code


def check(body: Body, signer: Signer, *, decision: str, card_digest: str, at: str) -> None:
    """Raises the refusal of this answer, if there is one. card_digest: of the card that the person was shown."""
    code = refusal(body, signer, decision=decision, at=at)
    if not code and card_digest != body["card_digest"]:
        code = "card_changed"
    if not code:
        return
    said = explained(code, body)
    raise (ForbiddenError if code in ("role_missing", "requester_may_not_sign") else StateConflictError)(
        said, code=code
    )


def explained(code: str, body: Body) -> str:
    """One sentence for the person who may not answer."""
    return EXPLAINED[code].format(role=body["role"], state=body["state"], expires_at=body["expires_at"])


def signed(document: Document, signer: Signer, *, rationale: str, at: str) -> Document:
    """The card with one more signature; `approved` once they suffice."""
    body = document.body
    signatures = [*body["signatures"], _signature(body, signer, rationale=rationale, at=at)]
    enough = not still_needed(terms_of(body), [one["person"] for one in signatures])
    changes = {"signatures": signatures, "answered_at": at if enough else ""}
    return moved(document, "approved" if enough else body["state"], **changes)


def rejected(document: Document, signer: Signer, *, rationale: str, at: str) -> Document:
    """The card after somebody's no. One is enough."""
    return moved(document, "rejected", rejected_by=signer.person, rationale=rationale, answered_at=at)


def edited(document: Document, edit: Edit, signer: Signer, *, rationale: str, at: str) -> Document:
    """The card for other arguments: earlier signatures are void, and the editor's is the first on the new one.

    The time that the card has left stays as it was. `ForbiddenError` when the editor may not sign the new card.
    """
    body = document.body
    digest = digest_of(
        tenant=body["tenant"],
        action=body["action"],
        schema_version=edit.schema_version,
        arguments=edit.arguments,
        run_id=body["run_id"],
        policy_version=edit.policy_version,
    )
    shown = shown_of(edit.card, edit.terms, risk=edit.risk, until=body["expires_at"])
    renewed = {
        **body,
        "arguments": edit.arguments,
        "action_schema_version": edit.schema_version,
        "policy_version": edit.policy_version,
        "digest": digest,
        "card": shown,
        "card_digest": card_digest_of(shown, digest),
        "risk": edit.risk,
        "role": edit.terms.role,
        "quorum": edit.terms.quorum,
        "requester_may_sign": edit.terms.requester_may_sign,
        "signatures": [],
        "voided": [*body["voided"], *body["signatures"]],
        "edited_by": [*body.get("edited_by", []), signer.person],
        "state": "modified",
    }
    check(renewed, signer, decision=APPROVE, card_digest=renewed["card_digest"], at=at)
    return signed(document._replace(body=renewed), signer, rationale=rationale, at=at)


def moment_due(body: Body, *, at: str) -> str:
    """What time has brought: `expire`, `escalate`, `warn`, or "" when nothing is due."""
    if has_expired(body, at=at) and body["state"] != "expired":
        return EXPIRE
    if body["state"] not in OPEN:
        return ""
    due = [name for name, done in AGEING if body[f"{name}_at"] and not body[done] and at >= body[f"{name}_at"]]
    return due[-1] if due else ""


def aged(document: Document, moment: str, *, at: str) -> Document:
    """The card after `moment`. `StateConflictError("approval_not_due")` when that is not what is due (any more)."""
    if not moment or moment_due(document.body, at=at) != moment:
        raise StateConflictError(f"nothing of the card is due for {moment or 'anything'}", code="approval_not_due")
    if moment == EXPIRE:
        return moved(document, "expired", expired_at=at)
    return moved(document, document.body["state"], **{dict(AGEING)[moment]: at})


def unused(document: Document, *, why: str, by: str, at: str) -> Document:
    """A card whose action will not be carried out: `expired` when its time is over, else `superseded` by the run `by`
    that found out, with the code `why`."""
    if has_expired(document.body, at=at):
        return moved(document, "expired", expired_at=at)
    return superseded(document, why=why, by=by, at=at)


def answer_of(decision: str) -> str:
    """The disposition that an answer gives to what was asked."""
    return REJECTED_BY_HUMAN if decision == REJECT else APPROVED_BY_HUMAN


def _signature(body: Body, signer: Signer, *, rationale: str, at: str) -> Body:
    return {
        "person": signer.person,
        "name": signer.name,
        "roles": sorted(signer.roles),
        "at": at,
        "digest": body["digest"],
        "card_digest": body["card_digest"],
        "rationale": rationale,
    }
