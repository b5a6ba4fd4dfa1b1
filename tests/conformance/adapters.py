"""The adapters that the document store, telemetry sink and checkpoint log suites are run over: one line each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.adapters.azure.checkpoint_log import BlobCheckpointLog
from shared.adapters.azure.document_store import CosmosDocumentStore
from shared.adapters.azure.telemetry_sink import EventHubsTelemetrySink
from shared.adapters.embedded.checkpoint_log import FileCheckpointLog
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.telemetry_sink import JsonLinesTelemetrySink
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.document_store import DocumentStore, Schemas
from shared.ports.telemetry_sink import TelemetrySink
from tests.conformance.cosmos_live import ENDPOINT as LIVE_COSMOS
from tests.conformance.cosmos_live import cosmos_live
from tests.conformance.emulated import (
    BLOBS,
    EVENT_HUBS,
    EVENT_HUBS_NAMESPACE,
    blobs_emulated,
    event_hubs_emulated,
)
from tests.doubles.blob import KEY as ACCOUNT_KEY
from tests.doubles.blob import BlobContainer
from tests.doubles.cosmos import running as running_cosmos
from tests.doubles.cosmos_requests import KEY as COSMOS_KEY
from tests.doubles.event_hub import HUB, EventHub

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


def cosmos_double(folder: Path, schemas: Schemas, now: Clock) -> CosmosDocumentStore:
    """A store over the double of Cosmos DB, with a database of its own for each folder."""
    account = running_cosmos()
    database = f"{folder.parent.name}-{folder.name}"
    account.container(database)
    return CosmosDocumentStore(
        endpoint=account.endpoint,
        database=database,
        container="documents",
        credential=COSMOS_KEY,
        schemas=schemas,
        now=now,
    )


DOCUMENT_STORES: dict[str, OpenStore] = {
    "sqlite-thread": lambda folder, schemas, now: SqliteDocumentStore(folder / "store.db", schemas=schemas, now=now),
    "sqlite-inline": lambda folder, schemas, now: SqliteDocumentStore(
        folder / "store.db", schemas=schemas, now=now, executor="inline"
    ),
    "cosmos-double": cosmos_double,
    **({"cosmos-live": cosmos_live} if LIVE_COSMOS else {}),
}
type OpenSink = Callable[[int], TelemetrySink]
type OpenLog = Callable[[], CheckpointLog]


@asynccontextmanager
async def json_lines(folder: Path) -> AsyncIterator[OpenSink]:
    yield lambda capacity: JsonLinesTelemetrySink(folder / "events.jsonl", capacity)


@asynccontextmanager
async def event_hubs(folder: Path) -> AsyncIterator[OpenSink]:
    del folder
    hub = EventHub()
    await hub.start()
    yield lambda capacity: EventHubsTelemetrySink(
        namespace="", eventhub=HUB, credential=hub.connection_string, capacity=capacity
    )
    await hub.stop()


@asynccontextmanager
async def file_thread(folder: Path) -> AsyncIterator[OpenLog]:
    yield lambda: FileCheckpointLog(folder / "checkpoints.jsonl")


@asynccontextmanager
async def file_inline(folder: Path) -> AsyncIterator[OpenLog]:
    yield lambda: FileCheckpointLog(folder / "checkpoints.jsonl", executor="inline")


@asynccontextmanager
async def blobs(folder: Path) -> AsyncIterator[OpenLog]:
    del folder
    container = BlobContainer()
    await container.start()
    yield lambda: BlobCheckpointLog(container_url=container.url, credential=ACCOUNT_KEY)
    await container.stop()


TELEMETRY_SINKS: dict[str, Callable[[Path], AbstractAsyncContextManager[OpenSink]]] = {
    "json-lines": json_lines,
    "event-hubs": event_hubs,
    **({"event-hubs-live": event_hubs_emulated} if EVENT_HUBS or EVENT_HUBS_NAMESPACE else {}),
}
CHECKPOINT_LOGS: dict[str, Callable[[Path], AbstractAsyncContextManager[OpenLog]]] = {
    "file-thread": file_thread,
    "file-inline": file_inline,
    "blobs": blobs,
    **({"blobs-live": blobs_emulated} if BLOBS else {}),
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
