"""The opponent: the unit of `workload.py` by hand on SQLite, as well as one would write it for this and nothing else.

asyncio on one side, one writer thread on the other: what has queued up while it was busy becomes one transaction
(group commit), WAL, `synchronous=FULL`. Two durable commits per unit, accept and finish. Two variants: `writer` is
that alone; `real` validates the command, the proposals and the decision with pydantic, chains each decision's hash to
the one before, and writes six JSON log lines to a file. No broker, no retries, no reads, no tenants, no policy file.

    python -m benchmarks.reference writer|real IN_FLIGHT UNITS
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict

from benchmarks import workload
from benchmarks.measure import Measured, Meter, closed_loop, data_folder, finish
from benchmarks.workload import Json

WARM_UP = 50
MOST_IN_A_GROUP = 256

Rows = Sequence[tuple[str, Sequence[object]]]
"""Statements with their parameters. The first one's row count must be 1: it carries the precondition."""


class Closed(BaseModel):
    """Unknown fields are refused, nothing can be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Transaction(Closed):
    """Its fields, typed."""

    transaction_id: str
    account: str
    booked_on: str
    amount_minor: int
    currency: str
    descriptor: str
    note: str
    mcc: str


class Command(Closed):
    """Its fields, typed."""

    command_id: str
    idempotency_key: str
    tenant: str
    transaction: Transaction
    policy_version: str
    requested_by: str


class Proposal(Closed):
    """Its fields, typed."""

    specialist: str
    category: str
    confidence: float
    model: str
    version: str
    rationale: str
    evidence: list[str]


class Reason(Closed):
    """Its fields, typed."""

    code: str
    passed: bool
    detail: str


class Decision(Closed):
    """Its fields, typed."""

    outcome: Literal["Applied", "NeedsReview"]
    category: str
    score: float
    weights: dict[str, float]
    reasons: list[Reason]
    command_id: str
    policy_version: str
    fail_closed: bool


class GroupWriter:
    """One thread that owns the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: queue.SimpleQueue[tuple[Rows, asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, daemon=True).start()

    def write(self, rows: Rows) -> Awaitable[None]:
        """Durable when awaited."""
        done = self._loop.create_future()
        self._waiting.put((rows, done))
        return done

    def _work(self) -> None:
        connection = opened(self._path)
        while True:
            group = self._queued()
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [(done, self._apply(connection, rows)) for rows, done in group]
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_settle, outcomes)

    def _queued(self) -> list[tuple[Rows, asyncio.Future[None]]]:
        """Waits for the first; takes what else is there."""
        group = [self._waiting.get()]
        while len(group) < MOST_IN_A_GROUP:
            try:
                group.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return group

    @staticmethod
    def _apply(connection: sqlite3.Connection, rows: Rows) -> Exception | None:
        """A precondition is checked by the first statement, before anything was written."""
        try:
            for place, (statement, values) in enumerate(rows):
                if connection.execute(statement, values).rowcount != 1 and place == 0:
                    return RuntimeError("somebody else was first")
        except sqlite3.IntegrityError as failed:
            return failed
        return None


def _settle(outcomes: Sequence[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for done, failed in outcomes:
        if failed is None:
            done.set_result(None)
        else:
            done.set_exception(failed)


def opened(path: Path) -> sqlite3.Connection:
    """The file, with its tables."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    for pragma in workload.PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in workload.DDL:
            connection.execute(statement)
    return connection


def text(value: object) -> str:
    """JSON."""
    return orjson.dumps(value).decode()


def accepting(asked: Json) -> Rows:
    """The first commit."""
    run_id = f"run-{asked['command_id']}"
    return (
        (workload.INSERT_IDEMPOTENCY, (asked["idempotency_key"], run_id)),
        (workload.INSERT_RUN, (run_id, "Accepted", 1, text(asked))),
    )


def finishing(asked: Json, proposals: list[Json], decision: Json) -> Rows:
    """The second commit: everything that was decided, and what is to be sent."""
    run = workload.run_of(asked, proposals, decision)
    run_id = run["run_id"]
    stages = [value for one in proposals for value in (run_id, one["specialist"], text(one))]
    return (
        (workload.FINISH_RUN, (text(run), run_id)),
        (workload.INSERT_STAGES, stages),
        (workload.INSERT_DECISION, (run_id, text(decision))),
        (workload.INSERT_STATE, (asked["transaction"]["transaction_id"], decision["outcome"], run_id)),
        (workload.INSERT_OUTBOX, (text(workload.announcement(run)),)),
    )


async def asked_of(specialist: str, asked: Json) -> Json:
    """A specialist is a coroutine, because some are models."""
    return workload.proposal(specialist, asked)


def plain(writer: GroupWriter) -> Callable[[int], Awaitable[None]]:
    """The variant `writer`."""

    async def unit(number: int) -> None:
        asked = workload.command(number)
        await writer.write(accepting(asked))
        proposals = await asyncio.gather(*(asked_of(name, asked) for name in workload.SPECIALISTS))
        await writer.write(finishing(asked, proposals, workload.judged(asked, proposals)))

    return unit


class JsonLine(logging.Formatter):
    """One record, one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = {"at": record.created, "level": record.levelname, "message": record.getMessage()}
        return text({**said, **record.__dict__.get("fields", {})})


def logger_to(path: Path) -> logging.Logger:
    """A log of its own, each line written as it comes."""
    handler = logging.FileHandler(path)
    handler.setFormatter(JsonLine())
    log = logging.getLogger("benchmarks.reference")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


def real(writer: GroupWriter, log: logging.Logger) -> Callable[[int], Awaitable[None]]:
    """The variant `real`."""
    chained = bytes(32)

    async def unit(number: int) -> None:
        nonlocal chained
        asked = Command.model_validate_json(orjson.dumps(workload.command(number))).model_dump()
        about = {"fields": {"command_id": asked["command_id"], "tenant": asked["tenant"]}}
        log.info("accepted", extra=about)
        await writer.write(accepting(asked))
        said = await asyncio.gather(*(asked_of(name, asked) for name in workload.SPECIALISTS))
        proposals = [Proposal.model_validate(one).model_dump() for one in said]
        for one in proposals:
            log.info("%s proposes", one["specialist"], extra=about)
        decision = Decision.model_validate(workload.judged(asked, proposals)).model_dump()
        chained = sha256(chained + orjson.dumps(decision)).digest()
        log.info("judged", extra=about)
        await writer.write(finishing(asked, proposals, decision))
        log.info("decided", extra=about)

    return unit


async def measured(variant: str, in_flight: int, units: int, folder: Path) -> Measured:
    """One run in an empty folder."""
    path = folder / "reference.db"
    opened(path).close()
    writer = GroupWriter(path)
    unit = plain(writer) if variant == "writer" else real(writer, logger_to(folder / "log.jsonl"))
    for number in range(WARM_UP):
        await unit(10**8 + number)
    meter = Meter()
    result = meter.read(await closed_loop(unit, units, in_flight))
    rows = opened(path)
    for table in ("decisions", "outbox", "states"):
        kept = rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 a constant
        assert kept == units + WARM_UP, (table, kept)
    return result


def main() -> None:
    """Measure what the command line names."""
    variant, in_flight, units = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with data_folder() as folder:
        result = asyncio.run(measured(variant, in_flight, units, folder))
    finish(result)


if __name__ == "__main__":
    main()
