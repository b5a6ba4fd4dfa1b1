"""The adapters that the document store, telemetry sink and checkpoint log suites are run over: one line each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.adapters.embedded.checkpoint_log import FileCheckpointLog
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.telemetry_sink import JsonLinesTelemetrySink
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.document_store import DocumentStore, Schemas
from shared.ports.telemetry_sink import TelemetrySink

KINDS = {"run": 1, "outbox": 1, "receipt": 1, "audit": 1}


class Clock:
    """The time that the stores are given; it moves only when a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


type OpenStore = Callable[[Path, Schemas, Clock], DocumentStore]

DOCUMENT_STORES: dict[str, OpenStore] = {
    "sqlite-thread": lambda folder, schemas, now: SqliteDocumentStore(folder / "store.db", schemas=schemas, now=now),
    "sqlite-inline": lambda folder, schemas, now: SqliteDocumentStore(
        folder / "store.db", schemas=schemas, now=now, executor="inline"
    ),
}
TELEMETRY_SINKS: dict[str, Callable[[Path, int], TelemetrySink]] = {
    "json-lines": lambda folder, capacity: JsonLinesTelemetrySink(folder / "events.jsonl", capacity)
}
CHECKPOINT_LOGS: dict[str, Callable[[Path], CheckpointLog]] = {
    "file-thread": lambda folder: FileCheckpointLog(folder / "checkpoints.jsonl"),
    "file-inline": lambda folder: FileCheckpointLog(folder / "checkpoints.jsonl", executor="inline"),
}


class Stores:
    """Opens document stores over one and the same storage, and closes them after the test."""

    def __init__(self, opener: OpenStore, folder: Path) -> None:
        self._opener = opener
        self._folder = folder
        self._opened: list[DocumentStore] = []
        self.clock = Clock()

    def open(self, kinds: Schemas | None = None) -> DocumentStore:
        store = self._opener(self._folder, kinds or Schemas(KINDS), self.clock)
        self._opened.append(store)
        return store

    async def close(self) -> None:
        for store in self._opened:
            await store.close()
