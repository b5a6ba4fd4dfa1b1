"""The ledger's documents: a transaction and how its review state moves, a merchant's and a category's recent amounts.

Review state: `Unclassified` -> `Categorized` (the guard) or `NeedsReview`; `NeedsReview` -> `Reviewed` (a person);
anything -> `NeedsReview`; `Erased` is the end: only the id is left, so that it is not taken in again.
`decision_version` grows with every change and names it to the world. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b, sha256
from typing import Any

from shared.audit.record import canonical
from shared.contracts.identity import deterministic_id
from shared.errors import StateConflictError
from shared.ledger.descriptor import normalised
from shared.ports.document_store import Body, Document

ERASED = "Erased"
TRANSITIONS: Mapping[str, frozenset[str]] = {
    "Unclassified": frozenset({"Categorized", "NeedsReview"}),
    "Categorized": frozenset({"NeedsReview"}),
    "NeedsReview": frozenset({"NeedsReview", "Reviewed"}),
    "Reviewed": frozenset({"NeedsReview"}),
    ERASED: frozenset(),
}
MAX_CHARGES = 24
MAX_AMOUNTS = 32
MAX_ACCOUNTS = 64
PROFILE_ID = "profile:tenant"


def transaction_doc_id(transaction_id: str) -> str:
    """The document id of a transaction."""
    return f"transaction:{transaction_id}"


def classify_command_id(partition: str, transaction_id: str) -> str:
    """One transaction is classified by one command, whoever brings it and however often."""
    return deterministic_id(partition, "classify", transaction_id)


def row_command_id(partition: str, facts: dict[str, Any]) -> str:
    """The command of a batch's row: the same facts give the same one, other facts under the same id another."""
    told = sha256(canonical(facts)).hexdigest()
    return deterministic_id(partition, "classify-row", f"{facts['transaction_id']}\x1f{told}")


def merchant_doc_id(descriptor: str, currency: str) -> str:
    """Where a merchant's recent charges are kept, one document per currency."""
    name = normalised(descriptor) or descriptor.casefold()
    return f"merchant:{currency}:{blake2b(name.encode(), digest_size=12).hexdigest()}"


def category_doc_id(category: str, currency: str) -> str:
    """Where a category's recent amounts are kept. Charts hold a tenant's own words, so they are hashed."""
    return f"category:{currency}:{blake2b(category.encode(), digest_size=12).hexdigest()}"


def unclassified(partition: str, facts: dict[str, Any], *, at: str, ingestion_id: str, run_id: str) -> Document:
    """A transaction as it comes in. `facts`: a `TransactionFacts` as a JSON object."""
    body = {
        "facts": facts,
        "review_state": "Unclassified",
        "decision_version": 0,
        "category": "",
        "suggested_category": "",
        "confidence_bp": 0,
        "decided_by": "",
        "reason_codes": [],
        "policy_version": "",
        "run_id": run_id,
        "ingestion_id": ingestion_id,
        "received_at": at,
        "decided_at": "",
        "reviewed_by": "",
        "review_note": "",
        "learned": {},  # the label merchant memory holds for this transaction, and its source
        "counted": "",  # the review state that the tenant's counter holds for this transaction
    }
    return transaction_document(partition, body)


def imported(partition: str, facts: dict[str, Any], *, category: str, at: str, ingestion_id: str) -> Document:
    """A transaction of old data whose category people gave before it came here: reviewed, learned and counted."""
    body = unclassified(partition, facts, at=at, ingestion_id=ingestion_id, run_id="").body
    known = {
        "review_state": "Reviewed",
        "decision_version": 1,
        "category": category,
        "suggested_category": category,
        "confidence_bp": 10_000,
        "decided_by": "history",
        "reason_codes": ["imported_history"],
        "decided_at": at,
        "learned": {"label": category, "source": "history"},
        "counted": "Reviewed",
    }
    return transaction_document(partition, {**body, **known})


def transaction_document(partition: str, body: Body, *, etag: str = "") -> Document:
    """The document of a transaction's body, with its look-ups: by review state, and by size for counterparts."""
    facts = body["facts"]
    keys = {"state": body["review_state"], "amount": amount_key(facts["currency"], facts["amount_minor"])}
    sort = f"{facts['booked_on']}:{facts['transaction_id']}"
    return Document(
        partition, transaction_doc_id(facts["transaction_id"]), "transaction", body, sort=sort, keys=keys, etag=etag
    )


def tombstone(document: Document, *, at: str) -> Document:
    """What is left of an erased transaction: its id. Found by no look-up and in no range of days."""
    body = {
        "facts": {"transaction_id": document.body["facts"]["transaction_id"]},
        "review_state": ERASED,
        "decision_version": document.body["decision_version"],
        "category": "",
        "decided_by": "",
        "reason_codes": [],
        "run_id": document.body["run_id"],
        "learned": {},
        "counted": ERASED,
        "erased_at": at,
    }
    return document._replace(body=body, sort="", keys={})


def amount_key(currency: str, amount_minor: int) -> str:
    """The look-up that brings the two legs of a transfer together."""
    return f"{currency}:{abs(amount_minor)}"


def decided(body: Body, review_state: str, *, at: str, **changes: Any) -> Body:
    """The transaction's body after a decision; `StateConflictError` for a step that the states do not allow."""
    if review_state not in TRANSITIONS[body["review_state"]]:
        raise StateConflictError(f"a transaction cannot go from {body['review_state']} to {review_state}")
    return {
        **body,
        **changes,
        "review_state": review_state,
        "decision_version": body["decision_version"] + 1,
        "decided_at": at,
    }


def charged(body: Body | None, facts: dict[str, Any]) -> Body:
    """The merchant's document after one more charge; equal transactions are kept once."""
    charges = body["charges"] if body else []
    if any(charge["transaction_id"] == facts["transaction_id"] for charge in charges):
        return body or {}
    charge = {name: facts[name] for name in ("transaction_id", "account", "booked_on", "amount_minor")}
    amounts = [*(body["amounts"] if body else []), abs(facts["amount_minor"])]
    return {
        "merchant": normalised(facts["descriptor"]),
        "currency": facts["currency"],
        "charges": [*charges, charge][-MAX_CHARGES:],
        "amounts": amounts[-MAX_AMOUNTS:],
    }


def with_amount(body: Body | None, category: str, facts: dict[str, Any]) -> Body:
    """The category's document after one more amount."""
    amounts = [*(body["amounts"] if body else []), abs(facts["amount_minor"])]
    return {"category": category, "currency": facts["currency"], "amounts": amounts[-MAX_AMOUNTS:]}


def with_accounts(body: Body | None, accounts: set[str]) -> Body | None:
    """The tenant's profile with further own accounts, or None when it knows them all (or holds no more)."""
    known = set(body["accounts"]) if body else set()
    fresh = sorted(accounts - known)[: MAX_ACCOUNTS - len(known)]
    if body and not fresh:
        return None
    base = body or {"chart": [], "base_currency": "", "time_zone": "UTC", "review_limit_minor": {}, "rules": ""}
    return {**base, "accounts": sorted(known | set(fresh))}
