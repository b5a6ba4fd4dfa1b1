"""The chaos harness sees what it is there to see: each step of a transaction, and each kind of loss."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local.chaos_checks import wrong_in_files
from local.chaos_files import LOST, STEPS, left_to_do, record_events, standing
from local.chaos_plan import SHAPES, plan_of
from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.event_publisher import SqliteEventPublisher
from shared.adapters.embedded.lanes import SqliteLanes
from shared.delivery import outbox
from shared.delivery.handling import Delivery
from shared.delivery.inbox import handle_once
from shared.delivery.parking import Incoming
from shared.errors import RetryableError
from shared.flows.decision_changed import react
from tests.unit.flows.bench import TENANT, Bench, facts, money_bench, upload

WANTED = {TENANT: frozenset({"t-1"})}


class Down:
    """A bus or a topic that takes nothing, or a store that forgets nothing."""

    def __init__(self, store: Any = None) -> None:
        if store is not None:
            self.read, self.read_many, self.query, self.due = store.read, store.read_many, store.query, store.due

    async def send(self, *given: Any, **named: Any) -> None:
        raise RetryableError("down")

    publish = commit = send

    async def discard(self, *given: Any) -> None:
        """Nothing goes, as after a crash."""


@dataclass
class Story:
    """One transaction on its way, step by step, on the files that a host would have."""

    bench: Bench
    data: Path
    lanes: SqliteLanes

    @property
    def delivery(self) -> Delivery:
        return self.bench.delivery

    def step(self) -> str:
        return standing(self.data, WANTED)[TENANT, "t-1"]

    def sql(self, file: str, statement: str) -> None:
        with closing(sqlite3.connect(self.data / file)) as connection, connection:
            connection.execute(statement)

    async def accept(self) -> None:
        object.__setattr__(self.bench, "delivery", replace(self.delivery, bus=Down()))
        await upload(self.bench, facts("t-1"))
        object.__setattr__(self.bench, "delivery", replace(self.delivery, bus=SqliteCommandBus(self.lanes)))

    async def relay(self, *, marked: bool) -> None:
        waiting = await self.bench.store.due("outbox", before="9", limit=10)
        store = self.bench.store if marked else Down(self.bench.store)
        for document in waiting:
            await outbox.relay(replace(self.delivery, store=store), document)

    async def decide(self) -> None:
        with closing(self.lanes.reader()) as reader:
            (body,) = reader.execute("SELECT body FROM message").fetchone()
        incoming = Incoming("runtime-ingestion-completed", body, "m", 1, TENANT)
        assert await handle_once(replace(self.delivery, events=Down()), incoming) == "committed"
        self.sql("lanes.db", "DELETE FROM message")

    async def finish(self) -> None:
        await react(self.delivery, tenant=TENANT, transaction_id="t-1")
        self.sql("lanes.db", "DELETE FROM event")


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    bench = money_bench(tmp_path)
    lanes = SqliteLanes(tmp_path / "lanes.db", executor="inline")
    record_events(tmp_path)
    events = SqliteEventPublisher(lanes)
    object.__setattr__(bench, "delivery", replace(bench.delivery, bus=SqliteCommandBus(lanes), events=events))
    yield Story(bench, tmp_path, lanes)
    await lanes.close()
    await bench.close()


async def test_each_step_is_told_from_the_files(story: Story):
    seen = [story.step()]
    await story.accept()
    seen.append(story.step())
    await story.relay(marked=False)
    seen.append(story.step())
    await story.relay(marked=True)
    seen.append(story.step())
    await story.decide()
    seen.append(story.step())
    await story.relay(marked=False)
    seen.append(story.step())
    await story.relay(marked=True)
    seen.append(story.step())
    assert set(left_to_do(story.data)) == {"events"}
    await story.finish()
    seen.append(story.step())
    assert tuple(seen) == STEPS
    assert left_to_do(story.data) == {}
    assert wrong_in_files(story.data, WANTED) == []


async def test_what_is_nowhere_is_lost(story: Story):
    await story.accept()
    await story.relay(marked=True)
    story.sql("lanes.db", "DELETE FROM message")
    assert story.step() == LOST


async def test_an_event_that_is_nowhere_is_lost(story: Story):
    await story.accept()
    await story.relay(marked=True)
    await story.decide()
    await story.relay(marked=True)
    story.sql("lanes.db", "DELETE FROM event")
    assert story.step() == LOST


async def done(story: Story) -> None:
    await story.accept()
    await story.relay(marked=True)
    await story.decide()
    await story.relay(marked=True)
    await story.finish()
    assert wrong_in_files(story.data, WANTED) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM documents WHERE kind = 'receipt'", "no receipt"),
        (
            "UPDATE documents SET body = replace(body, 'transaction_decided', 'x') WHERE kind = 'audit'",
            "0 audit records",
        ),
        ("UPDATE documents SET body = replace(body, '\"Completed\"', '\"Running\"') WHERE kind = 'run'", "run Running"),
        ("DELETE FROM documents WHERE kind = 'transaction'", "1 missing"),
        (
            "UPDATE documents SET body = replace(body, 'version\":1', 'version\":2') WHERE kind = 'transaction'",
            "decision 2",
        ),
    ],
)
async def test_each_loss_in_the_store_is_told(story: Story, statement: str, said: str):
    await done(story)
    story.sql("store.db", statement)
    assert any(said in line for line in wrong_in_files(story.data, WANTED))


@pytest.mark.parametrize(
    ("change", "said"), [({"time": "later"}, "two contents"), ({"id": "another"}, "two ids"), (None, "no event")]
)
async def test_each_fault_of_the_events_is_told(story: Story, change: dict[str, str] | None, said: str):
    await done(story)
    with closing(sqlite3.connect(story.data / "lanes.db")) as lanes, lanes:
        (body,) = lanes.execute("SELECT body FROM chaos_published").fetchone()
        if change is None:
            lanes.execute("DELETE FROM chaos_published")
        else:
            forged = json.dumps({**json.loads(body), **change})
            lanes.execute("INSERT INTO chaos_published (body) VALUES (?)", (forged,))
    assert any(said in line for line in wrong_in_files(story.data, WANTED))


def test_a_plan_follows_from_its_seed_and_every_shape_comes():
    assert plan_of(1, 2, 0, 100) == plan_of(1, 2, 0, 100) != plan_of(1, 2, 1, 100)
    plans = [plan_of(3, number, 0, 100) for number in range(40)]
    assert {plan.shape for plan in plans} == set(SHAPES)
    assert all(sum(map(len, plan.ids.values())) == 100 for plan in plans)
    assert 0 < sum(plan.second_kill_seconds > 0 for plan in plans) < 40
