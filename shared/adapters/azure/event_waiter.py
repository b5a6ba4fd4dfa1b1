"""`PointReadEventWaiter`: on Azure another instance does the work, so whoever waits asks the store now and then."""

from __future__ import annotations

import asyncio

from shared.conversation.stream import conversation_doc_id
from shared.errors import RetryableError
from shared.ports.document_store import DocumentStore

FIRST_SECONDS, LONGEST_SECONDS, GROWTH = 0.25, 2.0, 1.3
MAX_READS = 20
"""Point reads that one wait may cost; 25 seconds take 19."""


class PointReadEventWaiter:
    """The port's promises over any `DocumentStore`."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store

    async def wait(self, partition: str, conversation_id: str, *, after: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + seconds, FIRST_SECONDS
        for _ in range(MAX_READS):
            if await self._has_grown(partition, conversation_id, after):
                return
            left = end - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(pause, left))
            pause = min(pause * GROWTH, LONGEST_SECONDS)
        await asyncio.sleep(max(0.0, end - loop.time()))

    async def close(self) -> None:
        """Nothing to close: the store is its owner's."""

    async def _has_grown(self, partition: str, conversation_id: str, after: int) -> bool:
        try:
            stored = await self._store.read(partition, conversation_doc_id(conversation_id))
        except RetryableError:
            return False  # the caller's own read tells what is wrong
        return stored is not None and stored.body["last_sequence"] > after
