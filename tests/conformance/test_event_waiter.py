"""What every event waiter promises, over a real store: woken by what is new, never late, never raising."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.adapters.azure.event_waiter import MAX_READS, PointReadEventWaiter
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.event_waiter import SqliteEventWaiter
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.ports.document_store import Document, Schemas
from shared.ports.event_waiter import EventWaiter

ROOT = Path(__file__).parents[2]
KINDS = {"conversation": 1, "stream_event": 1}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAITERS: dict[str, Callable[[SqliteDocumentStore, Path], EventWaiter]] = {
    "sqlite": SqliteEventWaiter,
    "point reads": lambda store, _: PointReadEventWaiter(store),
}
LATE_SECONDS = 2.0
TELLING = """
import asyncio, sys
from pathlib import Path
from tests.conformance.test_event_waiter import opened, tell
async def main():
    store = opened(Path(sys.argv[1]))
    await tell(store)
    await store.close()
asyncio.run(main())
"""


def opened(path: Path) -> SqliteDocumentStore:
    return SqliteDocumentStore(path, schemas=Schemas(KINDS), now=lambda: NOW)


async def tell(store: SqliteDocumentStore, partition: str = "home") -> None:
    merge = stream.told("c-1", [stream.step_started("plan")], now=NOW)
    await store.commit(partition, merge.made(await store.read_many(partition, list(merge.ids))))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteDocumentStore]:
    made = opened(tmp_path / "store.db")
    for partition in ("home", "other"):
        at = "2026-03-01T12:00:00.000000Z"
        begun = talk.conversation(partition, "c-1", owner="alice", at=at, when_busy="enqueue")
        await made.commit(partition, [begun])
    yield made
    await made.close()


@pytest.fixture(params=WAITERS)
async def waiter(
    request: pytest.FixtureRequest, store: SqliteDocumentStore, tmp_path: Path
) -> AsyncIterator[EventWaiter]:
    made = WAITERS[request.param](store, tmp_path / "store.db")
    yield made
    await made.close()


async def took(waiting: asyncio.Future[None] | asyncio.Task[None]) -> float:
    begun = time.monotonic()
    await waiting
    return time.monotonic() - begun


def wait(waiter: EventWaiter, *, after: int, seconds: float, id_: str = "c-1") -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(waiter.wait("home", id_, after=after, seconds=seconds))


async def test_what_is_there_already_is_not_waited_for(store: SqliteDocumentStore, waiter: EventWaiter):
    await tell(store)
    assert await took(wait(waiter, after=0, seconds=10)) < 1


async def test_a_commit_wakes(store: SqliteDocumentStore, waiter: EventWaiter):
    waiting = wait(waiter, after=0, seconds=10)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await tell(store)
    assert await took(waiting) < LATE_SECONDS


async def test_everybody_who_waits_is_woken(store: SqliteDocumentStore, waiter: EventWaiter):
    waiting = [wait(waiter, after=0, seconds=10) for _ in range(20)]
    await asyncio.sleep(0.05)
    await tell(store)
    assert await took(asyncio.gather(*waiting)) < LATE_SECONDS  # type: ignore[arg-type]


async def test_a_commit_of_another_process_wakes(store: SqliteDocumentStore, waiter: EventWaiter, tmp_path: Path):
    waiting = wait(waiter, after=0, seconds=20)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TELLING, str(tmp_path / "store.db"), cwd=ROOT, stderr=subprocess.DEVNULL
    )
    assert await process.wait() == 0
    assert await took(waiting) < LATE_SECONDS


async def test_nothing_new_is_waited_for_its_time_and_not_much_longer(store: SqliteDocumentStore, waiter: EventWaiter):
    await tell(store, "other")
    seconds = await took(wait(waiter, after=0, seconds=0.4))
    assert 0.35 < seconds < 0.4 + LATE_SECONDS


async def test_a_conversation_that_does_not_exist_is_waited_for_too(waiter: EventWaiter):
    assert 0.15 < await took(wait(waiter, after=0, seconds=0.2, id_="nobody")) < 0.2 + LATE_SECONDS


async def test_a_store_that_cannot_be_read_raises_nothing(store: SqliteDocumentStore, waiter: EventWaiter):
    await store.close()
    assert 0.15 < await took(wait(waiter, after=0, seconds=0.2)) < 0.2 + LATE_SECONDS


async def test_whoever_leaves_holds_nothing(store: SqliteDocumentStore, waiter: EventWaiter):
    waiting = wait(waiter, after=0, seconds=10)
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await tell(store)
    assert await took(wait(waiter, after=0, seconds=10)) < 1


async def test_the_embedded_waiter_wakes_at_once(store: SqliteDocumentStore, tmp_path: Path):
    waiter = SqliteEventWaiter(store, tmp_path / "store.db")
    delays = []
    for number in range(10):
        waiting = wait(waiter, after=number, seconds=10)
        await asyncio.sleep(0.01)
        await tell(store)
        delays.append(await took(waiting))
    await waiter.close()
    assert sorted(delays)[5] < 0.02, "half of them well below the polling of the file"


async def test_point_reads_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """25 seconds in a clock of its own: no more reads than promised, the last ones two seconds apart."""
    reads: list[float] = []

    class Clock:
        now = 0.0

    class Store:
        async def read(self, partition: str, document_id: str) -> Document | None:
            reads.append(Clock.now)
            return None

    async def sleep(seconds: float) -> None:
        Clock.now += seconds

    monkeypatch.setattr("shared.adapters.azure.event_waiter.asyncio.sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: Clock.now, raising=False)
    await PointReadEventWaiter(Store()).wait("home", "c-1", after=0, seconds=25.0)  # type: ignore[arg-type]
    assert len(reads) <= MAX_READS
    assert Clock.now == pytest.approx(25.0)
    assert max(later - earlier for earlier, later in itertools.pairwise(reads)) <= 2.0
