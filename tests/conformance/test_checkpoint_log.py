"""What every checkpoint log promises (`shared/ports/checkpoint_log.py`), held against each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shared.errors import RetryableError
from shared.ports.checkpoint_log import Checkpoint, CheckpointLog

type Open = Callable[[], CheckpointLog]


def checkpoint(sequence: int, partition: str = "smith") -> Checkpoint:
    return Checkpoint(partition, sequence, f"{sequence:064x}", "2026-03-01T12:00:00.000000Z")


async def test_an_empty_log_knows_of_nothing(open_log: Open):
    log = open_log()
    assert await log.latest("smith") is None
    assert await log.all("smith") == []
    await log.close()


async def test_checkpoints_are_read_in_the_order_of_appending(open_log: Open):
    log = open_log()
    appended = [checkpoint(n) for n in (1, 5, 3)]  # also one that goes back: that is evidence, and is kept
    for one in appended:
        await log.append(one)
        assert await log.latest("smith") == one
    assert await log.all("smith") == appended
    assert await log.all("smith", limit=2) == appended[1:]
    assert await log.all("smith", limit=0) == []
    await log.close()


async def test_partitions_have_checkpoints_of_their_own(open_log: Open):
    log = open_log()
    for partition in ("smith", "jones\n", "Zoë"):
        await log.append(checkpoint(1, partition))
    assert await log.all("jones\n") == [checkpoint(1, "jones\n")]
    assert await log.latest("Zoë") == checkpoint(1, "Zoë")
    assert await log.latest("jones") is None
    await log.close()


async def test_what_was_appended_is_there_after_reopening_and_for_others(open_log: Open):
    first, second = open_log(), open_log()
    await first.append(checkpoint(1))
    assert await second.latest("smith") == checkpoint(1)
    await second.append(checkpoint(2))
    assert await first.latest("smith") == checkpoint(2)
    await first.close()
    await second.close()
    third = open_log()
    assert await third.all("smith") == [checkpoint(1), checkpoint(2)]
    await third.close()


async def test_concurrent_appends_are_all_kept(open_log: Open):
    first, second = open_log(), open_log()
    await asyncio.gather(*[log.append(checkpoint(n)) for n in range(20) for log in (first, second)])
    kept = await first.all("smith")
    assert sorted(kept) == sorted([checkpoint(n) for n in range(20)] * 2)
    await first.close()
    await second.close()


async def test_a_closed_log_says_so(open_log: Open):
    log = open_log()
    await log.close()
    with pytest.raises(RetryableError):
        await log.append(checkpoint(1))
    with pytest.raises(RetryableError):
        await log.latest("smith")
