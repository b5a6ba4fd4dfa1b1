"""The test bench is the embedded product: real store, lanes and log in a folder, with a clock the test can move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from shared.adapters.embedded.checkpoint_log import FileCheckpointLog
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.telemetry_sink import JsonLinesTelemetrySink
from shared.contracts.kinds import KINDS
from shared.delivery.handling import Delivery, Flow, Producer
from shared.errors import RetryableError
from shared.ports.command_bus import OutgoingMessage
from shared.ports.document_store import Schemas
from shared.ports.event_publisher import CloudEvent

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = START

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class RecordingBus:
    """A bus that keeps what was sent, and can be down."""

    sent: list[OutgoingMessage] = field(default_factory=list)
    down: bool = False

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        if self.down:
            raise RetryableError("the bus is down", code="bus_unavailable")
        self.sent.extend(messages)

    async def ping(self) -> None:
        await self.send([])

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class RecordingEvents:
    """A publisher that keeps what was published, and can be down."""

    published: list[CloudEvent] = field(default_factory=list)
    down: bool = False

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        if self.down:
            raise RetryableError("the topic is down", code="publisher_unavailable")
        self.published.extend(events)

    async def ping(self) -> None:
        await self.publish([])

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class Bench:
    """A delivery over a real store in `folder`; `bus` and `events` record."""

    delivery: Delivery
    store: SqliteDocumentStore
    bus: RecordingBus
    events: RecordingEvents
    clock: Clock
    telemetry: JsonLinesTelemetrySink

    async def close(self) -> None:
        await self.telemetry.close()
        await self.store.close()


def make_bench(folder: Path, flows: Mapping[str, Flow], *, producers: Sequence[Producer] = ()) -> Bench:
    clock, bus, events, salts = Clock(), RecordingBus(), RecordingEvents(), count()
    schemas = Schemas({name: kind.schema_version for name, kind in KINDS.items()})
    store = SqliteDocumentStore(folder / "store.db", schemas=schemas, now=clock, executor="inline")
    telemetry = JsonLinesTelemetrySink(folder / "telemetry.jsonl", capacity=1000)
    delivery = Delivery(
        store=store,
        bus=bus,
        events=events,
        telemetry=telemetry,
        checkpoints=FileCheckpointLog(folder / "checkpoints.jsonl"),
        now=clock,
        new_salt=lambda: f"{next(salts):032x}",
        jitter=lambda: 0.0,
        flows=flows,
        producers=tuple(producers),
    )
    return Bench(delivery, store, bus, events, clock, telemetry)


def facts(transaction_id: str = "t-1", **changes: Any) -> dict[str, Any]:
    """A transaction's facts as a JSON object."""
    return {
        "transaction_id": transaction_id,
        "account": "acc-current",
        "booked_on": "2026-02-27",
        "amount_minor": -4320,
        "currency": "EUR",
        "descriptor": "REWE SAGT DANKE 4711",
        "mcc": "5411",
        "group": "",
        **changes,
    }
