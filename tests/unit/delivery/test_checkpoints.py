"""Which chains the timer writes outside the store, and that none is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.audit.verification import verify
from shared.delivery.checkpoints import checkpoint_all
from shared.delivery.one_commit import commit
from shared.errors import RetryableError
from shared.ports.checkpoint_log import Checkpoint
from tests.bench import Bench, make_bench

ENTRY = Entry("noted", {"kind": "worker", "id": "test"}, {}, {})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(tmp_path, {})
    yield made
    await made.delivery.checkpoints.close()
    await made.close()


async def note(bench: Bench, tenant: str) -> None:
    """One more record of the tenant's chain."""
    head = await bench.store.read(tenant, HEAD_ID)
    await commit(bench.delivery, tenant, [], [ENTRY], head=head)


async def test_a_chain_is_checkpointed_when_it_has_moved_and_only_then(bench: Bench):
    for tenant in ("jones", "smith"):
        await note(bench, tenant)
    assert await checkpoint_all(bench.delivery) == 2
    assert await checkpoint_all(bench.delivery) == 0
    await note(bench, "smith")
    await note(bench, "smith")
    assert await checkpoint_all(bench.delivery) == 1
    assert [one.sequence for one in await bench.delivery.checkpoints.all("smith")] == [1, 3]
    assert [one.sequence for one in await bench.delivery.checkpoints.all("jones")] == [1]


async def test_of_chains_that_do_not_move_nothing_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    for number in range(30):
        await note(bench, f"house-{number}")
    assert await checkpoint_all(bench.delivery) == 30
    asked: list[str] = []
    monkeypatch.setattr(bench.delivery.checkpoints, "latest", asked.append)
    assert await checkpoint_all(bench.delivery) == 0
    assert asked == []


async def test_more_chains_than_one_page_are_all_checkpointed(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.delivery.checkpoints.PAGE", 4)
    for number in range(11):
        await note(bench, f"house-{number}")
    assert await checkpoint_all(bench.delivery) == 11


async def test_while_the_log_is_down_every_chain_stays_due(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    for tenant in ("jones", "smith"):
        await note(bench, tenant)

    async def down(checkpoint: Checkpoint) -> None:
        raise RetryableError("the container is down", code="store_unavailable")

    with monkeypatch.context() as broken:
        broken.setattr(bench.delivery.checkpoints, "append", down)
        with pytest.raises(RetryableError):
            await checkpoint_all(bench.delivery)
    assert await checkpoint_all(bench.delivery) == 2


async def test_a_chain_that_moves_while_it_is_checkpointed_stays_due(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await note(bench, "smith")
    append = bench.delivery.checkpoints.append

    async def moving(checkpoint: Checkpoint) -> None:
        await append(checkpoint)
        await note(bench, "smith")

    with monkeypatch.context() as busy:
        busy.setattr(bench.delivery.checkpoints, "append", moving)
        assert await checkpoint_all(bench.delivery) == 1
    assert await checkpoint_all(bench.delivery) == 1
    assert [one.sequence for one in await bench.delivery.checkpoints.all("smith")] == [1, 2]
    told = await verify("smith", store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert told.problem == ""


async def test_a_command_goes_on_after_the_timer_has_written_the_head(bench: Bench):
    """The head's etag changes under a command that has read it: it links again, and decides nothing anew."""
    await note(bench, "smith")
    head = await bench.store.read("smith", HEAD_ID)
    await checkpoint_all(bench.delivery)
    await commit(bench.delivery, "smith", [], [ENTRY], head=head)
    moved = await bench.store.read("smith", HEAD_ID)
    assert moved is not None
    assert (moved.body["sequence"], moved.due_at != "") == (2, True)
