"""A person closes a finding: what was found out is on the record. A repeat in the same words changes nothing."""

from __future__ import annotations

from typing import Any

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.errors import NotFoundError, StateConflictError
from shared.flows.reading import finding
from shared.ports.document_store import Document


async def close_finding(delivery: Delivery, tenant: str, finding_id: str, *, note: str, by: str) -> dict[str, Any]:
    """The finding as closed; `NotFoundError`, `StateConflictError` when somebody else closed it, `ConflictError`."""
    partition = partition_of(tenant)
    documents = await delivery.store.read_many(partition, [f"finding:{finding_id}", HEAD_ID])
    stored = documents.get(f"finding:{finding_id}")
    if stored is None:
        raise NotFoundError(f"there is no finding {finding_id}")
    if stored.body["state"] == "closed":
        return _closed_before(stored, note=note, by=by)
    at = text(delivery.now())
    body = {**stored.body, "state": "closed", "closed_at": at, "closed_by": by, "note": note}
    closed = stored._replace(body=body, keys={**stored.keys, "state": "closed"})
    payload = {"kind": body["kind"], "subject": body["subject"], "note": note}
    entry = Entry("finding_closed", {"kind": "person", "id": by}, {"finding": finding_id}, payload)
    await commit(delivery, partition, [closed], [entry], head=documents.get(HEAD_ID))
    return finding(closed)


def _closed_before(stored: Document, *, note: str, by: str) -> dict[str, Any]:
    if (stored.body["closed_by"], stored.body["note"]) != (by, note):
        raise StateConflictError(f"the finding was closed at {stored.body['closed_at']}", code="already_closed")
    return finding(stored)
