"""`CosmosDocumentStore`: documents in one Cosmos DB container; the port states the promises.

That a read sees every commit that returned before holds across instances when the account's consistency is "Strong";
with "Session" it holds within each instance, and etags catch what was decided on something older.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy

from shared.adapters.azure import cosmos_queries
from shared.adapters.azure.cosmos_calls import CHANGED, CONFLICT, NOT_FOUND, CosmosCalls
from shared.adapters.azure.cosmos_charges import Charges
from shared.adapters.azure.cosmos_commit import Batch, batch_of
from shared.adapters.azure.cosmos_container import CosmosContainer, Where
from shared.adapters.azure.cosmos_items import Item, is_alive, marker, their_etag, to_document
from shared.adapters.azure.cosmos_queries import Question
from shared.adapters.azure.credentials import Credential
from shared.adapters.document_pages import Range
from shared.contracts.instants import text
from shared.errors import RetryableError, TerminalError, UnreadableError
from shared.ports.document_limits import check_commit, check_query
from shared.ports.document_store import Document, Page, Schemas

PING_SECONDS = 1.0
PING_PARTITION = "ping"
CLOSING_SECONDS = 5.0
MAX_ROUNDS = 5
"""How often a commit is judged and sent again while everything it needs holds, and yet it is refused."""
MAX_DISCARDS = 1000
"""Discards under way at once; more than these stay."""
_ID = re.compile(r"[^/\\?#\x00-\x1f]{1,255}")
_LOST = (NOT_FOUND, CONFLICT, CHANGED)

_log = logging.getLogger(__name__)


class CosmosDocumentStore:
    """Nothing is opened before the first call.

    credential: an account key (for emulators), or what gives a token credential, asked at the first call.
    preferred_regions: to read from, the nearest first. What a block of work is charged: `cosmos_charges.counted`.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        database: str,
        container: str,
        credential: Credential,
        schemas: Schemas,
        now: Callable[[], datetime],
        preferred_regions: Sequence[str] = (),
    ) -> None:
        self._container = CosmosContainer(Where(endpoint, database, container, credential, preferred_regions))
        self._calls = CosmosCalls(self._container)
        self._schemas = schemas
        self._now = now
        self._discards: set[asyncio.Task[None]] = set()

    @property
    def charges(self) -> Charges:
        """What this process was charged so far."""
        return self._calls.charges

    async def read(self, partition: str, document_id: str) -> Document | None:
        item = await self._read_item("read", partition, document_id)
        return None if item is None else to_document(item, self._schemas)

    async def read_many(self, partition: str, ids: Sequence[str]) -> dict[str, Document]:
        wanted = list(dict.fromkeys(ids))
        if len(wanted) <= 1:  # a point read is the cheapest
            found = [item for id_ in wanted if (item := await self._read_item("read_many", partition, id_)) is not None]
        else:
            found = await self._select("read_many", cosmos_queries.by_ids(wanted), len(wanted), partition=partition)
        return {item["id"]: to_document(item, self._schemas) for item in found}

    async def query(
        self,
        partition: str,
        kind: str,
        *,
        key: tuple[str, str] | None = None,
        low: str = "",
        high: str = "",
        descending: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> Page:
        check_query(limit, key)
        span = Range(kind, key, low, high, descending)
        items = await self._select("query", cosmos_queries.page(span, cursor), limit + 1, partition=partition)
        found = [to_document(item, self._schemas) for item in items]
        return Page(found[:limit], span.cursor_after(found[limit - 1]) if len(found) > limit else "")

    async def due(self, kind: str, *, before: str, limit: int) -> list[Document]:
        if limit <= 0:
            return []
        found = []
        for item in await self._select("due", cosmos_queries.due(kind, before), limit):
            try:
                found.append(to_document(item, self._schemas))
            except UnreadableError as failed:
                _log.error("left out of what is due: %s", failed)
        return found

    async def commit(
        self, partition: str, writes: Sequence[Document], *, deletes: Sequence[Document] = ()
    ) -> dict[str, str]:
        check_commit(partition, writes, deletes, self._schemas)
        if not writes and not deletes:
            return {}
        batch = batch_of(partition, writes, deletes, commit_id=secrets.token_hex(12), now=self._now())
        for _ in range(MAX_ROUNDS):
            etags = None if batch.has_lost(self._now()) else await self._sent(batch)
            if etags is not None:
                return etags
            outcome = batch.outcome(await self._standing(batch), self._now())
            if not isinstance(outcome, Batch):
                return outcome
            batch = outcome
        raise RetryableError("a commit is refused again and again for no reason found", code="store_unavailable")

    async def discard(self, documents: Sequence[Document]) -> None:
        if len(self._discards) >= MAX_DISCARDS:
            _log.warning("%d documents stay: too many are being discarded", len(documents))
            return
        task = asyncio.create_task(self._discard(documents))
        self._discards.add(task)
        task.add_done_callback(self._discards.discard)

    async def purge(self, limit: int = 500) -> int:
        """Cosmos DB frees the space of expired items by itself."""
        del limit
        return 0

    async def ping(self) -> None:
        async def write(container: ContainerProxy, options: dict[str, Any]) -> None:
            await container.upsert_item(marker(PING_PARTITION, "ping"), **options)

        await self._calls.call("ping", write, budget_seconds=PING_SECONDS)

    async def close(self) -> None:
        if self._discards:
            await asyncio.wait(self._discards, timeout=CLOSING_SECONDS)
        await self._container.close()

    async def _read_item(self, operation: str, partition: str, document_id: str) -> Item | None:
        """One point read; None for what is missing or has expired."""
        if not _could_exist(document_id):
            return None

        async def read(container: ContainerProxy, options: dict[str, Any]) -> Item:
            return dict(await container.read_item(document_id, partition, **options))

        try:
            item = await self._calls.call(operation, read, or_on=(NOT_FOUND,))
        except AzureError:
            return None
        return item if is_alive(item, text(self._now())) else None

    async def _select(
        self, operation: str, question: Question, limit: int, *, partition: str | None = None, expired: bool = False
    ) -> list[Item]:
        """The first `limit` items, of all partitions without one; those that have expired only when asked for."""
        _checked(question)
        within: dict[str, Any] = {} if partition is None else {"partition_key": partition}

        async def select(container: ContainerProxy, options: dict[str, Any]) -> list[Item]:
            at, found = text(self._now()), list[Item]()
            pages = container.query_items(
                question.sql, parameters=question.parameters, max_item_count=limit, **within, **options
            )
            async for item in pages:
                if expired or is_alive(item, at):
                    found.append(item)
                    if len(found) == limit:
                        break
            return found

        return await self._calls.call(operation, select)

    async def _sent(self, batch: Batch) -> dict[str, str] | None:
        """The new etags; None when a precondition failed, or was made to fail by the batch itself."""

        async def send(container: ContainerProxy, options: dict[str, Any]) -> list[Any]:
            return list(await container.execute_item_batch(batch.operations(), batch.partition, **options))

        try:
            results = await self._calls.call("commit", send, or_on=_LOST)
        except AzureError:
            return None
        return batch.etags_in(results)

    async def _standing(self, batch: Batch) -> dict[str, Item]:
        ids = batch.looked_at()
        question = cosmos_queries.standing(ids)
        found = await self._select("conflict", question, len(ids), partition=batch.partition, expired=True)
        return {item["id"]: item for item in found}

    async def _discard(self, documents: Sequence[Document]) -> None:
        for document in documents:
            theirs = their_etag(document.etag, text(self._now()))
            if theirs:
                await self._discard_one(document, theirs)

    async def _discard_one(self, document: Document, etag: str) -> None:
        async def delete(container: ContainerProxy, options: dict[str, Any]) -> None:
            await container.delete_item(
                document.id, document.partition, etag=etag, match_condition=MatchConditions.IfNotModified, **options
            )

        try:
            await self._calls.call("discard", delete, or_on=_LOST)
        except (RetryableError, AzureError) as failed:
            _log.info("%s stays or is gone already: %s", document.id, type(failed).__name__)


def _could_exist(document_id: str) -> bool:
    """An id that `check_commit` refuses is nobody's, and would be another address in a URL."""
    return _ID.fullmatch(document_id) is not None


def _checked(question: Question) -> None:
    try:
        "".join(question.values.values()).encode()
    except UnicodeEncodeError as error:
        raise TerminalError("invalid_document", "ids and look-ups have no lone surrogates") from error
