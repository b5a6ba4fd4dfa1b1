"""What delivery works with: the ports in one value, and what a flow is given and gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable

from shared.audit.record import Entry
from shared.errors import RetryableError
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.command_bus import CommandBus
from shared.ports.document_store import Document, DocumentStore, Merge
from shared.ports.event_publisher import EventPublisher
from shared.ports.telemetry_sink import TelemetrySink
from shared.ports.tracer import UNTRACED, Tracer
from shared.runs.life_cycle import Run


class Producer(NamedTuple):
    """An outside pipeline that may put commands on a lane: these command types, for these tenants, and no others."""

    name: str
    command_types: frozenset[str]
    tenants: frozenset[str]


class Work(NamedTuple):
    """What a flow is given. `documents`: what its `needs` asked for, by id; what is missing is absent.

    command: the envelope of the flow's own command type. `run` is Running.
    at: `now` as text. store: for the one bounded query that a flow may make.
    """

    command: Any
    partition: str
    run: Run
    documents: Mapping[str, Document]
    now: datetime
    at: str
    store: DocumentStore


class ScoreOf(NamedTuple):
    """What telemetry is told of one specialist's turn."""

    specialist: str
    confidence_bp: int | None
    decision: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a flow gives back; nothing is saved yet.

    run: in a terminal status. entries: at least one audit entry. commands: envelopes of ours to send on (JSON objects).
    events: CloudEvents. scores: telemetry about each specialist. answer: what the caller of an HTTP command is told.
    merges: documents made from the newest version of others.
    """

    run: Run
    entries: list[Entry]
    writes: list[Document] = field(default_factory=list)
    deletes: list[Document] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    scores: list[ScoreOf] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)


class Left(NamedTuple):
    """What a command that was parked or delayed leaves behind beside itself."""

    writes: Sequence[Document] = ()
    events: Sequence[dict[str, Any]] = ()
    merges: Sequence[Merge] = ()
    entries: Sequence[Entry] = ()


class Flow(Protocol):
    """One command's story. One file in `flows/` and one line in `bootstrap.py`."""

    def needs(self, command: Any) -> tuple[str, ...]:
        """The ids to read beside receipt, run and audit head: known from the command alone, at most 20."""
        ...

    async def handle(self, work: Work) -> Outcome:
        """Decide. `EarlyError` when it is not this command's turn yet."""
        ...

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        """What else to write and tell when the command is parked with its `run` ended: its subject must not look as
        if it were still on its way."""
        ...


@runtime_checkable
class Patient(Flow, Protocol):
    """A flow that people wait for: they are told when its command has to be tried again later."""

    def when_delayed(
        self, command: Any, documents: Mapping[str, Document], *, run: Run, why: RetryableError, now: datetime
    ) -> Left:
        """Documents that say so, new ones alone, and at least one entry; `Left()` when nobody need know of `why`. Asked
        at every delay, committed at the first."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """The ports and givens that delivery works with; one per process, made by `bootstrap`.

    now: the UTC clock. new_salt: 32 random hex digits. jitter: a random number in [0, 1).
    """

    store: DocumentStore
    bus: CommandBus
    events: EventPublisher
    telemetry: TelemetrySink
    checkpoints: CheckpointLog
    now: Callable[[], datetime]
    new_salt: Callable[[], str]
    jitter: Callable[[], float]
    flows: Mapping[str, Flow]
    producers: tuple[Producer, ...] = ()
    known_tenants: set[str] = field(default_factory=set)
    tracer: Tracer = UNTRACED
