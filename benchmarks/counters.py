"""A document store that counts and times what is asked of it, and passes everything on."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from shared.ports.document_store import Document, DocumentStore, Page


class CountingStore:
    """`calls`: how often each method was called; `documents`: how many it read or wrote; `seconds`: of each call.

    `commits`: the kinds written or deleted by each commit, in order.
    """

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self.calls: Counter[str] = Counter()
        self.documents: Counter[str] = Counter()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.commits: list[tuple[str, ...]] = []

    def _note(self, name: str, began: float, documents: int) -> None:
        self.seconds[name].append(time.perf_counter() - began)
        self.calls[name] += 1
        self.documents[name] += documents

    async def read(self, partition: str, document_id: str) -> Document | None:
        began = time.perf_counter()
        found = await self._store.read(partition, document_id)
        self._note("read", began, found is not None)
        return found

    async def read_many(self, partition: str, ids: Sequence[str]) -> dict[str, Document]:
        began = time.perf_counter()
        found = await self._store.read_many(partition, ids)
        self._note("read_many", began, len(found))
        return found

    async def query(self, partition: str, kind: str, **options: Any) -> Page:
        began = time.perf_counter()
        page = await self._store.query(partition, kind, **options)
        self._note("query", began, len(page.documents))
        return page

    async def due(self, kind: str, *, before: str, limit: int) -> list[Document]:
        began = time.perf_counter()
        found = await self._store.due(kind, before=before, limit=limit)
        self._note("due", began, len(found))
        return found

    async def commit(
        self, partition: str, writes: Sequence[Document], *, deletes: Sequence[Document] = ()
    ) -> dict[str, str]:
        began = time.perf_counter()
        etags = await self._store.commit(partition, writes, deletes=deletes)
        self._note("commit", began, len(writes) + len(deletes))
        self.commits.append(tuple(document.kind for document in (*writes, *deletes)))
        return etags

    async def discard(self, documents: Sequence[Document]) -> None:
        began = time.perf_counter()
        await self._store.discard(documents)
        self._note("discard", began, len(documents))

    async def purge(self, limit: int = 500) -> int:
        return await self._store.purge(limit)

    async def ping(self) -> None:
        await self._store.ping()

    async def close(self) -> None:
        await self._store.close()
