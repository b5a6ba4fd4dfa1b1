"""What is left of the documents of a conversation once what they tell is erased: ids, states, numbers, instants. Pure.

A digest is taken away with what it was made of: amounts and accounts are few enough to be guessed from one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.actions.life_cycle import SETTLED
from shared.actions.life_cycle import document_of as action_document
from shared.approvals import card as cards
from shared.conversation import documents as talk
from shared.flows.erasure_rules import ERASED_TEXT, discarded
from shared.ports.document_store import Body, Document

CODE = "data_erased"
"""Why an action or a card has ended (`guard.reasons`)."""
STATE_AFTER: Mapping[str, str] = {"waiting": "cancelled", "requested": "cancelled"}
PLACES = ("next_turn", "last_sequence", "queue", "open_approvals")
"""What a conversation needs to go on where it is."""

NO_SUBJECT: Body = {"arguments": {}, "digest": ""}


def message_left(document: Document, *, at: str) -> Document:
    """A message without words; one that was not answered yet never will be."""
    body = document.body
    if "erased_at" in body:
        return document
    left = {
        **body,
        "text": ERASED_TEXT,
        "user_note": _blank(body["user_note"]),
        "mentions": [],
        "status": "superseded" if body["status"] == "queued" else body["status"],
        "erased_at": at,
    }
    return document._replace(body=left)


def action_left(document: Document, *, at: str) -> Document:
    """An action of which nobody can tell what it was. The key stays while a backend may still be asked about it."""
    body = document.body
    state = _state_after(body)
    left = {
        **body,
        **NO_SUBJECT,
        "result": {},
        "lately": {},
        "mentions": [],
        "detail": _blank(body["detail"]),
        "state": state,
        "erased_at": at,
    }
    if state != body["state"]:
        left["code"] = CODE
    if state in SETTLED:
        left |= {"idempotency_key": "", "finished_at": body["finished_at"] or at}
    return action_document(document.partition, left, etag=document.etag)


def _state_after(body: Body) -> str:
    """Of an action that was on its way. What a backend may have done already is asked for by its key, never tried
    again; in our own store an effect is committed with its outcome, so there was none."""
    if body["state"] not in ("intended", "needs_review"):
        return STATE_AFTER.get(body["state"], body["state"])
    if not body["intent_at"]:
        return "cancelled"
    return "needs_review" if body["backend"] else "refused"


def card_left(document: Document, *, by: str, at: str) -> Document:
    """A card that shows nothing, superseded by the erasure `by` if it still allowed anything. Who signed it and when
    stays, under the principal's id."""
    if "superseded" in cards.TRANSITIONS.get(document.body["state"], ()):
        document = cards.superseded(document, why=CODE, by=by, at=at)
    body = document.body
    shown = {**body["card"], "title": ERASED_TEXT, "what": [], "why": "", "evidence": [], "effects": []}
    left = {
        **body,
        **NO_SUBJECT,
        "card": shown,
        "card_digest": "",
        "rationale": _blank(body["rationale"]),
        **{name: [_signature_left(one) for one in body[name]] for name in ("signatures", "voided")},
        "erased_at": at,
    }
    return document._replace(body=left)


def card_without(document: Document, person: str) -> Document:
    """Somebody else's card without what `person` wrote on it, and without the person's name; the card itself when
    there is nothing of it. The signature counts as it did."""
    body = document.body
    changed: dict[str, Any] = {
        name: [_anonymous(one) if one["person"] == person else one for one in body[name]]
        for name in ("signatures", "voided")
    }
    if body["rejected_by"] == person:
        changed["rationale"] = _blank(body["rationale"])
    left = {**body, **changed}
    return document if left == body else document._replace(body=left)


def has_answered(body: Body, person: str) -> bool:
    """Whether the person has ever answered the card with this body."""
    people = [one["person"] for one in (*body["signatures"], *body["voided"])]
    return person in (*people, body["rejected_by"])


def rejected_action_left(document: Document) -> Document:
    """An action without the words with which somebody turned it down; itself when there are none."""
    if document.body["code"] != "rejected_by_person" or document.body["detail"] in ("", ERASED_TEXT):
        return document
    return document._replace(body={**document.body, "detail": ERASED_TEXT})


def receipt_left(document: Document) -> Document:
    """A receipt without digests. Whoever sends the same again is told that the key was used before."""
    answer = {name: "" if name in ("digest", "card_digest") else told for name, told in document.body["answer"].items()}
    left = {**document.body, "fingerprint": ERASED_TEXT, "answer": answer}
    return document if left == document.body else document._replace(body=left)


def parked_left(document: Document, *, at: str, by: str) -> Document:
    """A parked command without what is said of it. One that only asks what became of an effect can go round again."""
    if document.body["command_type"] != "PerformAction":
        return discarded(document, at=at, by=by) if document.body["message"] else document
    if document.body["detail"] in ("", ERASED_TEXT):
        return document
    return document._replace(body={**document.body, "detail": ERASED_TEXT})


def forgetting(body: Body) -> Body:
    """A conversation that remembers nothing of what was talked about, and goes on where it is."""
    fresh = talk.conversation(
        "", body["conversation_id"], owner=body["owner"], at=body["started_at"], when_busy=body["when_busy"]
    )
    return {**fresh.body, **{name: body[name] for name in PLACES}}


def abandoned(body: Body) -> Body:
    """A conversation that was erased as a whole: nothing waits in it, and the next message has the next number."""
    return {**talk.without_waiting(forgetting(body)), "open_approvals": []}


def _signature_left(signature: Body) -> Body:
    return {**signature, "digest": "", "card_digest": "", "rationale": _blank(signature["rationale"])}


def _anonymous(signature: Body) -> Body:
    return {**signature, "name": "", "rationale": _blank(signature["rationale"])}


def _blank(text: str) -> str:
    return ERASED_TEXT if text else ""
