"""`SqliteEventWaiter`: a commit of this process wakes whoever waits at once; one of another process is noticed within
`POLL_SECONDS`, by SQLite's own count of the file's changes (`PRAGMA data_version`), asked only while somebody waits."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.sqlite_file import connect
from shared.conversation.stream import conversation_doc_id
from shared.errors import ConfigurationError, RetryableError
from shared.ports.document_store import Document

POLL_SECONDS = 0.05

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    """Somebody who waits. `event` is set by anything that may have made the conversation grow."""

    partition: str
    id: str
    loop: asyncio.AbstractEventLoop
    event: asyncio.Event


class SqliteEventWaiter:
    """One per process, beside its document store over the file `path`."""

    def __init__(self, store: SqliteDocumentStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._waiting: set[_Waiting] = set()
        self._connection: sqlite3.Connection | None = None
        store.watch(self._committed)

    async def wait(self, partition: str, conversation_id: str, *, after: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        one = _Waiting(partition, conversation_doc_id(conversation_id), loop, asyncio.Event())
        end = loop.time() + seconds
        self._waiting.add(one)
        version = self._version()
        try:
            while not await self._has_grown(one, after):
                one.event.clear()
                version = await self._something_new(one, version, end)
                if loop.time() >= end:
                    return
        finally:
            self._waiting.discard(one)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _committed(self, partition: str, writes: Sequence[Document]) -> None:
        """This process has committed: whoever waits for one of these conversations is woken."""
        if not self._waiting:
            return
        ids = {document.id for document in writes if document.kind == "conversation"}
        for one in [one for one in self._waiting if one.partition == partition and one.id in ids]:
            one.loop.call_soon_threadsafe(one.event.set)

    async def _something_new(self, one: _Waiting, version: int, end: float) -> int:
        """Until a wake-up, a change of the file by anybody, or the end; the file's version then."""
        while (left := end - one.loop.time()) > 0:
            try:
                async with asyncio.timeout(min(POLL_SECONDS, left)):
                    await one.event.wait()
            except TimeoutError:
                now = self._version()
                if now == version:
                    continue
                return now
            return version
        return version

    async def _has_grown(self, one: _Waiting, after: int) -> bool:
        try:
            stored = await self._store.read(one.partition, one.id)
        except RetryableError:
            return False  # the caller's own read tells what is wrong
        return stored is not None and stored.body["last_sequence"] > after

    def _version(self) -> int:
        """Changes whenever another connection has committed to the file; -1 while nobody can tell."""
        try:
            if self._connection is None:
                self._connection = connect(self._path, busy_seconds=0.0, writing=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, RetryableError, ConfigurationError) as failed:
            _log.debug("the file's version cannot be told: %s", failed)
            return -1
