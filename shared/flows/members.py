"""Members of a tenant, for deployments whose identity provider knows no tenants (TENANT_CLAIM is empty).

What counts is one document per person in `system`: one read when somebody calls. The tenant's own list and the audit
record are in the tenant's partition. Two partitions cannot share a commit: the record comes first, then the effect; a
crash between them is an error for the operator, who sends the same again. The list shows what counts, not what was
meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.delivery.tenants import register
from shared.errors import ConflictError, InvalidInputError, StateConflictError
from shared.ports.document_store import Document

MAX_TENANTS = 200
TRIES = 5


def membership_id(principal: str) -> str:
    """The document id of a person's membership, in `system` and in each tenant."""
    return f"membership:{sha256(principal.encode()).hexdigest()[:40]}"


async def roles_of(delivery: Delivery, principal: str) -> dict[str, list[str]]:
    """Roles by tenant; one point read."""
    stored = await delivery.store.read(SYSTEM_PARTITION, membership_id(principal))
    tenants: dict[str, list[str]] = stored.body["tenants"] if stored else {}
    return tenants


async def list_members(delivery: Delivery, tenant: str, *, limit: int, cursor: str) -> dict[str, Any]:
    """One page of members with the roles that count; {"items", "cursor"}."""
    found = await delivery.store.query(partition_of(tenant), "membership", limit=limit, cursor=cursor)
    ids = [document.id for document in found.documents]
    counting = await delivery.store.read_many(SYSTEM_PARTITION, ids) if ids else {}
    items = []
    for document in found.documents:
        stored = counting.get(document.id)
        roles = stored.body["tenants"].get(tenant, []) if stored else []
        if roles or document.body["roles"]:
            items.append({**document.body, "roles": roles})
    return {"items": items, "cursor": found.cursor}


async def set_member(
    delivery: Delivery, tenant: str, principal: str, roles: Sequence[str], *, by: str
) -> dict[str, Any]:
    """Give `principal` exactly these roles in the tenant, none to remove it; returns the member. Repeatable."""
    if tenant == SYSTEM_PARTITION:
        raise InvalidInputError("the tenant system takes no members: name its operators in settings", code="no_members")
    if principal == by and "operator" not in roles:
        raise StateConflictError("you cannot take operator from yourself: let another one do it", code="own_operator")
    await register(delivery, tenant)
    kept = sorted(set(roles))
    member = await _recorded(delivery, tenant, principal, kept, by)
    for turn in range(TRIES):
        stored = await delivery.store.read(SYSTEM_PARTITION, membership_id(principal))
        document = _counting(stored, tenant, principal, kept)
        if document is None:
            break
        try:
            await delivery.store.commit(SYSTEM_PARTITION, [document])
            break
        except ConflictError:
            if turn == TRIES - 1:
                raise
    return member


async def _recorded(delivery: Delivery, tenant: str, principal: str, roles: list[str], by: str) -> dict[str, Any]:
    """The tenant's side: its list and the audit record, in one commit; nothing when it is so already."""
    partition, id_ = partition_of(tenant), membership_id(principal)
    documents = await delivery.store.read_many(partition, [id_, HEAD_ID])
    stored = documents.get(id_)
    was = stored.body["roles"] if stored else []
    if stored is not None and was == roles:
        return stored.body
    body = {"principal": principal, "roles": roles, "changed_at": text(delivery.now()), "changed_by": by}
    document = Document(partition, id_, "membership", body, sort=principal, etag=stored.etag if stored else "")
    entry = Entry(
        "member_changed",
        {"kind": "person", "id": by},
        {"member": id_},
        {"principal": principal, "was": was, "is": roles},
    )
    await commit(delivery, partition, [document], [entry], head=documents.get(HEAD_ID))
    return body


def _counting(stored: Document | None, tenant: str, principal: str, roles: list[str]) -> Document | None:
    """The person's document in `system` with these roles in `tenant`, or None when it says so already."""
    tenants = dict(stored.body["tenants"]) if stored else {}
    if tenants.get(tenant, []) == roles:
        return None
    tenants.pop(tenant, None)
    if roles:
        tenants[tenant] = roles
    if len(tenants) > MAX_TENANTS:
        raise StateConflictError(f"a person belongs to at most {MAX_TENANTS} tenants", code="too_many_tenants")
    body = {"principal": principal, "tenants": tenants}
    etag = stored.etag if stored else ""
    return Document(SYSTEM_PARTITION, membership_id(principal), "membership", body, sort=principal, etag=etag)
