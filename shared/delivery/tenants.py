"""Tenants are registered in the system partition before their first commit, so that timers can enumerate them."""

from __future__ import annotations

from shared.contracts.instants import text
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.handling import Delivery
from shared.errors import ConflictError
from shared.ports.document_store import Document, Page


async def register(delivery: Delivery, tenant: str) -> None:
    """Make sure that `tenant` is registered. Remembered per process: a registration is never taken back."""
    if tenant in delivery.known_tenants:
        return
    document_id = f"tenant:{tenant}"
    if await delivery.store.read(SYSTEM_PARTITION, document_id) is None:
        body = {"tenant": tenant, "registered_at": text(delivery.now())}
        document = Document(SYSTEM_PARTITION, document_id, "tenant", body, sort=tenant)
        try:
            await delivery.store.commit(SYSTEM_PARTITION, [document])
        except ConflictError:
            delivery.known_tenants.add(tenant)  # another instance registered it in the same moment
    delivery.known_tenants.add(tenant)


async def enumerate_tenants(delivery: Delivery, *, cursor: str = "", limit: int = 200) -> Page:
    """One page of registered tenants, in order of their ids: no tenant's data is touched."""
    return await delivery.store.query(SYSTEM_PARTITION, "tenant", limit=limit, cursor=cursor)
