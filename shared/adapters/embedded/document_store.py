"""`SqliteDocumentStore`: documents in one SQLite file, safe for several processes; the port states the promises."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.adapters.document_pages import Range
from shared.adapters.embedded.document_batch import Commit, apply_commits, delete_lookups
from shared.adapters.embedded.document_rows import (
    DUE,
    ONE,
    PAGE_DOWN,
    PAGE_UP,
    SCHEMA,
    entries,
    read_sql,
    to_document,
    to_write,
    unpacked,
)
from shared.adapters.embedded.sqlite_file import connect, storage_failure
from shared.adapters.embedded.sqlite_writer import Executor, SqliteWriter
from shared.contracts.instants import text
from shared.errors import RetryableError, TerminalError, UnreadableError
from shared.ports.document_limits import check_commit, check_query, check_size
from shared.ports.document_store import Document, Page, Schemas

PING_SECONDS = 1.0
Watcher = Callable[[str, Sequence[Document]], None]
"""Is given the partition and the documents of a commit."""

_log = logging.getLogger(__name__)


class SqliteDocumentStore:
    """Commits go through the file's writer; reads run at once on the caller's thread, from the newest snapshot.

    executor: "thread", or "inline" for a simulated event loop. busy_seconds: how long a commit waits for another
    process's lock. Opening raises `ConfigurationError` when a newer program wrote the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        schemas: Schemas,
        now: Callable[[], datetime],
        executor: Executor = "thread",
        busy_seconds: float = 5.0,
    ) -> None:
        self._path = path
        self._schemas = schemas
        self._now = now
        self._busy_seconds = busy_seconds
        self._writer = SqliteWriter(path, SCHEMA, executor=executor, busy_seconds=busy_seconds)
        self._own = threading.local()  # a reading connection for each thread that reads
        self._readers: list[sqlite3.Connection] = []
        self._watchers: list[Watcher] = []
        self._closed = False

    def watch(self, watcher: Watcher) -> None:
        """Let `watcher` know of every commit of this process, after it; it must be quick and may not raise."""
        self._watchers.append(watcher)

    async def read(self, partition: str, document_id: str) -> Document | None:
        return (await self.read_many(partition, (document_id,))).get(document_id)

    async def read_many(self, partition: str, ids: Sequence[str]) -> dict[str, Document]:
        wanted = tuple(dict.fromkeys(ids))
        packed = self._fetch(read_sql(len(wanted)), (partition, *wanted, text(self._now())))[0][0]
        upcast = self._schemas.upcast
        try:
            return {document.id: upcast(document) for document in unpacked(partition, packed)}
        except ValueError:  # one of them is no JSON: told by name
            return {document.id: document for id_ in wanted for document in self._select(ONE, (partition, id_))}

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
        lower, upper = span.bounds(cursor)
        sql = PAGE_DOWN if descending else PAGE_UP
        parameters = (partition, kind, *(key or ("", "")), *lower, *upper, text(self._now()), limit + 1)
        found = self._select(sql, parameters)
        return Page(found[:limit], span.cursor_after(found[limit - 1]) if len(found) > limit else "")

    async def due(self, kind: str, *, before: str, limit: int) -> list[Document]:
        found = []
        for row in self._fetch(DUE, (kind, before, text(self._now()), max(0, limit))):
            try:
                found.append(self._schemas.upcast(to_document(row)))
            except UnreadableError as failed:
                _log.error("left out of what is due: %s", failed)
        return found

    async def commit(
        self, partition: str, writes: Sequence[Document], *, deletes: Sequence[Document] = ()
    ) -> dict[str, str]:
        check_commit(partition, writes, deletes, self._schemas)
        rows = tuple([to_write(document) for document in writes])
        check_size(sum([len(row.values[-1]) for row in rows]))
        if not rows and not deletes:
            return {}
        gone = tuple([((partition, document.id), document.etag) for document in deletes])
        etags = await self._writer.submit_item(apply_commits, Commit(text(self._now()), rows, gone))
        for watcher in self._watchers:
            watcher(partition, writes)
        return etags

    async def discard(self, documents: Sequence[Document]) -> None:
        for document in documents:
            gone = ((document.partition, document.id), document.etag)
            try:
                self._writer.post_item(apply_commits, Commit(text(self._now()), (), (gone,)))
            except RetryableError as failed:
                _log.info("%s stays: %s", document.id, failed)

    async def purge(self, limit: int = 500) -> int:
        """Delete up to `limit` expired documents, oldest first; how many they were. For a timer."""
        now = text(self._now())
        return await self._writer.submit(lambda connection: _purge(connection, now, limit))

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._writer.submit(_touch)
        except TimeoutError as error:
            raise storage_failure(self._path, TimeoutError(f"no commit within {PING_SECONDS:g} s")) from error

    async def close(self) -> None:
        self._closed = True
        await self._writer.close()
        while self._readers:
            self._readers.pop().close()

    def _select(self, sql: str, parameters: tuple[Any, ...]) -> list[Document]:
        """The documents of one statement, as today's code knows them."""
        return [self._schemas.upcast(to_document(row)) for row in self._fetch(sql, parameters)]

    def _fetch(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._reader().execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise storage_failure(self._path, error) from error
        except UnicodeEncodeError as error:
            raise TerminalError("invalid_document", "ids and look-ups have no lone surrogates") from error

    def _reader(self) -> sqlite3.Connection:
        if self._closed:
            raise RetryableError("the store is closed; another instance may take over", code="store_closed")
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = connect(self._path, busy_seconds=self._busy_seconds, writing=False)
            self._own.connection = connection
            self._readers.append(connection)
        return connection


def _touch(connection: sqlite3.Connection) -> None:
    """The smallest write that reaches the disk: SQLite does not write a row that stays as it was."""
    connection.execute("UPDATE counter SET last = last + 1")


def _purge(connection: sqlite3.Connection, now: str, limit: int) -> int:
    expired = connection.execute(
        "SELECT partition, id, number, sort, keys FROM documents"
        " WHERE expires_at <> '' AND expires_at <= ? ORDER BY expires_at LIMIT ?",
        (now, limit),
    ).fetchall()
    delete_lookups(connection, [entry for row in expired for entry in entries(*row)])
    connection.executemany("DELETE FROM documents WHERE number = ?", [(row[2],) for row in expired])
    return len(expired)
