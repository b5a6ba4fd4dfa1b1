"""Reading many documents of one partition by their ids, in as many round trips as it takes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import batched

from shared.ports.document_store import MAX_PAGE, Document, DocumentStore


async def read_all(store: DocumentStore, partition: str, ids: Iterable[str]) -> dict[str, Document]:
    """What is stored under these ids, however many there are."""
    found: dict[str, Document] = {}
    for some in batched(dict.fromkeys(ids), MAX_PAGE, strict=False):
        found |= await store.read_many(partition, some)
    return found
