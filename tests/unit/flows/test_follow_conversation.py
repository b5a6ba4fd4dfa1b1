"""Following a conversation's stream: nothing twice, nothing left out, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.event_waiter import SqliteEventWaiter
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.flows.follow_conversation import BATCH, events_after, follow
from tests.bench import Bench, make_bench

TENANT, ID = "home", "c-1"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(tmp_path, {})
    begun = talk.conversation(TENANT, ID, owner="dev:alice", when_busy="enqueue", at="2026-03-01T12:00:00Z")
    await made.store.commit(TENANT, [begun])
    yield made
    await made.close()


@pytest.fixture
async def waiter(bench: Bench, tmp_path: Path) -> AsyncIterator[SqliteEventWaiter]:
    made = SqliteEventWaiter(bench.store, tmp_path / "store.db")
    yield made
    await made.close()


async def tell(bench: Bench, *names: str) -> None:
    merge = stream.told(ID, [stream.step_started(name) for name in names], now=bench.clock())
    known = await bench.store.read_many(TENANT, list(merge.ids))
    await bench.store.commit(TENANT, merge.made(known))


async def names_of(batches: AsyncIterator[Any], *, until: str) -> list[tuple[int, str]]:
    told = []
    async for batch in batches:
        told += [(one.number, one.event["stepName"]) for one in batch]
        if told and told[-1][1] == until:
            break
    return told


async def test_stored_events_come_in_order_and_only_after_the_last_known(bench: Bench):
    await tell(bench, "a", "b", "c")
    await tell(bench, "d")
    told = await events_after(bench.delivery, TENANT, ID, after=1)
    assert [(one.number, one.event["stepName"]) for one in told] == [(2, "b"), (3, "c"), (4, "d")]
    assert await events_after(bench.delivery, TENANT, ID, after=4) == []
    assert await events_after(bench.delivery, "other", ID, after=0) == []


async def test_a_long_stream_comes_whole(bench: Bench, waiter: SqliteEventWaiter):
    for number in range(BATCH * 2 + 3):
        await tell(bench, str(number))
    last = str(BATCH * 2 + 2)
    told = await names_of(follow(bench.delivery, waiter, TENANT, ID, after=0, seconds=5, beat_seconds=1), until=last)
    assert [name for _, name in told] == [str(number) for number in range(BATCH * 2 + 3)]


async def test_what_comes_later_is_told_at_once(bench: Bench, waiter: SqliteEventWaiter):
    await tell(bench, "a")
    batches = follow(bench.delivery, waiter, TENANT, ID, after=0, seconds=60, beat_seconds=30)
    assert await names_of(batches, until="a") == [(1, "a")]
    waiting = asyncio.ensure_future(
        names_of(follow(bench.delivery, waiter, TENANT, ID, after=1, seconds=60, beat_seconds=30), until="b")
    )
    await asyncio.sleep(0.05)
    await tell(bench, "b")
    async with asyncio.timeout(2):
        assert await waiting == [(2, "b")]


async def test_silence_beats_and_the_end_comes(bench: Bench, waiter: SqliteEventWaiter):
    batches = [batch async for batch in follow(bench.delivery, waiter, TENANT, ID, after=0, seconds=0, beat_seconds=1)]
    assert batches == []
    beats = follow(bench.delivery, waiter, TENANT, ID, after=0, seconds=3600, beat_seconds=0.01)
    assert [await anext(beats), await anext(beats)] == [[], []]
    bench.clock.forward(hours=1)
    assert [batch async for batch in beats] == []


async def test_events_that_are_gone_are_passed_over(bench: Bench, waiter: SqliteEventWaiter):
    """Else who waits for them would spin: the conversation says that there is more, and there is not."""
    await tell(bench, "a", "b")
    page = await bench.store.query(TENANT, "stream_event")
    await bench.store.discard(page.documents)
    beats = follow(bench.delivery, waiter, TENANT, ID, after=0, seconds=60, beat_seconds=0.02)
    assert await anext(beats) == []
    await tell(bench, "c")
    assert await names_of(beats, until="c") == [(3, "c")]


async def test_whoever_names_an_event_that_never_was_is_told_what_comes_next(bench: Bench, waiter: SqliteEventWaiter):
    await tell(bench, "a", "b")
    given: dict[str, Any] = {"after": 999, "seconds": 5.0, "beat_seconds": 5.0}
    following = asyncio.create_task(names_of(follow(bench.delivery, waiter, TENANT, ID, **given), until="c"))
    await asyncio.sleep(0.05)
    assert not following.done(), "what was there before is not told again"
    await tell(bench, "c")
    assert await asyncio.wait_for(following, 2) == [(3, "c")]
