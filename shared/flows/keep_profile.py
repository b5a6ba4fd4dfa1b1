"""An operator keeps the tenant's profile: chart of categories, base currency, time zone, own accounts. Audited."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from shared.audit.record import Entry, canonical
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.delivery.tenants import register
from shared.errors import InvalidInputError, StateConflictError
from shared.ledger.transactions import PROFILE_ID
from shared.ports.document_store import Body, Document


async def keep_profile(
    delivery: Delivery, tenant: str, update: dict[str, Any], *, seen_etag: str, by: str
) -> tuple[Body, str]:
    """Replace the profile that was seen with `seen_etag` ("" when there was none); returns it with its new etag.

    `StateConflictError("etag_stale")` when it has changed since: uploads add accounts to it.
    """
    await register(delivery, tenant)
    partition = partition_of(tenant)
    documents = await delivery.store.read_many(partition, [PROFILE_ID, HEAD_ID])
    stored = documents.get(PROFILE_ID)
    if stored is not None and all(stored.body.get(name) == value for name, value in update.items()):
        return stored.body, stored.etag
    _check_seen(stored, seen_etag)
    before = stored.body if stored else {}
    rules = _rules_of(update)
    body: Body = {**before, **update, "rules": rules, "updated_at": text(delivery.now()), "updated_by": by}
    changed = sorted(name for name, value in update.items() if before.get(name) != value and (value or name in before))
    payload = {"changed": changed, "rules": rules, "is": update, "was": {name: before.get(name) for name in changed}}
    entry = Entry("profile_changed", {"kind": "person", "id": by}, {"profile": tenant}, payload)
    document = Document(partition, PROFILE_ID, "profile", body, etag=stored.etag if stored else "")
    etags = await commit(delivery, partition, [document], [entry], head=documents.get(HEAD_ID))
    return body, etags[PROFILE_ID]


def _rules_of(update: dict[str, Any]) -> str:
    """The hash that a decision names beside the policy's: of the tenant's own chart and limits, "" without either."""
    rules = {"chart": update["chart"], "review_limit_minor": update.get("review_limit_minor", {})}
    return sha256(canonical(rules)).hexdigest()[:16] if any(rules.values()) else ""


def _check_seen(stored: Document | None, seen_etag: str) -> None:
    if stored is not None and not seen_etag:
        raise InvalidInputError("there is a profile: send the ETag you read in If-Match", code="if_match_required")
    if (stored.etag if stored else "") != seen_etag:
        raise StateConflictError("the profile has changed since you read it: read it again", code="etag_stale")
