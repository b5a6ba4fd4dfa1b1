"""Deliveries of events: retries, their schedule, restarts, and the end of trying."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.event_grid import MAX_ATTEMPTS, PARALLEL, EventGrid, next_attempt, retry_scale
from shared.adapters.embedded.event_publisher import SqliteEventPublisher
from shared.adapters.embedded.event_topic import EventTopic
from shared.adapters.embedded.lanes import SqliteLanes
from shared.errors import ConfigurationError
from tests.unit.local.clock import Clock
from tests.unit.local.stand_ins import ScriptedRuntime


def test_the_schedule_is_event_grids():
    waits = [next_attempt(n, 0.0, 0.0, 1.0) for n in range(1, 10)]
    assert waits == [10, 30, 60, 300, 600, 1800, 3600, 3600, 3600]
    assert next_attempt(MAX_ATTEMPTS, 0.0, 0.0, 1.0) is None
    assert next_attempt(5, 0.0, 86_000.0, 1.0) is None, "a day is the end"
    assert next_attempt(1, 100.0, 100.0, 0.01) == pytest.approx(100.1)


@pytest.mark.parametrize("value", ["0", "-1", "2", "soon", ""])
def test_a_wrong_scale_is_named(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("COUNTERSIGN_EVENT_RETRY_SCALE", value)
    with pytest.raises(ConfigurationError, match="COUNTERSIGN_EVENT_RETRY_SCALE"):
        retry_scale()


class Bench:
    """Two functions; `fail` says which (function, event id) fail, by how many times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.fail: Counter[tuple[str, str]] = Counter()
        self.running = self.most_running = 0
        self.start()

    def start(self) -> None:
        self.lanes = SqliteLanes(self.folder / "lanes.db", clock=self.clock)
        self.publisher = SqliteEventPublisher(self.lanes)
        self.grid = EventGrid(
            runtime=ScriptedRuntime({("event_grid", n): self._handler(n) for n in ("a", "b")}),
            lanes=self.lanes,
            dead_letters=self.folder / "dead.jsonl",
            clock=self.clock,
        )
        self.grid.start()

    def _handler(self, name: str) -> Callable[[Any], Any]:
        async def handle(event: dict[str, Any]) -> None:
            self.calls[name, event["id"]] += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await asyncio.sleep(0.001)
            self.running -= 1
            if self.fail[name, event["id"]] >= self.calls[name, event["id"]]:
                raise RuntimeError("not now")

        return handle

    async def publish(self, *ids: str) -> None:
        await self.publisher.publish([{"specversion": "1.0", "id": i, "source": "/s", "type": "t"} for i in ids])

    async def settle(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        self.grid.tick()
        for _ in range(8):
            await asyncio.sleep(0.004)

    async def stop(self) -> None:
        await self.grid.stop()
        self.grid.close()
        await self.lanes.close()


@pytest.fixture
async def bench(tmp_path: Path):
    made = Bench(tmp_path)
    yield made
    await made.stop()


async def test_a_failing_delivery_is_tried_again_at_its_time_and_only_for_its_subscriber(bench: Bench):
    bench.fail["a", "e"] = 2
    await bench.publish("e")
    await bench.settle()
    assert bench.calls == {("a", "e"): 1, ("b", "e"): 1}
    await bench.settle(9)
    assert bench.calls["a", "e"] == 1
    await bench.settle(2)
    assert bench.calls["a", "e"] == 2
    await bench.settle(31)
    await bench.settle(4000)
    assert bench.calls == {("a", "e"): 3, ("b", "e"): 1}


async def test_a_restart_forgets_neither_the_retry_nor_what_was_delivered(bench: Bench):
    bench.fail["a", "e"] = 1
    await bench.publish("e")
    await bench.settle()
    await bench.stop()
    bench.start()
    await bench.settle()
    assert bench.calls == {("a", "e"): 1, ("b", "e"): 1}
    await bench.settle(11)
    assert bench.calls == {("a", "e"): 2, ("b", "e"): 1}
    await bench.stop()
    bench.start()
    await bench.settle(4000)
    assert bench.calls == {("a", "e"): 2, ("b", "e"): 1}


async def test_after_the_last_attempt_the_event_is_a_line_in_the_dead_letter_file(bench: Bench):
    bench.fail["a", "e"] = 1000
    await bench.publish("e")
    for _ in range(MAX_ATTEMPTS + 3):
        await bench.settle(3601)
    assert 20 < bench.calls["a", "e"] <= MAX_ATTEMPTS
    (line,) = [json.loads(text) for text in (bench.folder / "dead.jsonl").read_text().splitlines()]
    assert line["event"]["id"] == "e"
    assert line["subscriber"] == "a"
    assert line["deadLetterReason"] == "TimeToLiveExceeded"
    assert "not now" in line["lastDeliveryOutcome"]


async def test_a_sick_subscriber_holds_nobody_up(bench: Bench):
    for n in range(50):
        bench.fail["a", f"e{n}"] = 1000
    await bench.publish(*(f"e{n}" for n in range(50)))
    await bench.publish("healthy")
    await bench.settle(0)
    await bench.settle(0)
    assert bench.calls["b", "healthy"] == bench.calls["a", "healthy"] == 1


async def test_deliveries_run_side_by_side_up_to_a_bound(bench: Bench):
    await bench.publish(*(f"e{n}" for n in range(100)))
    await bench.settle()
    await bench.settle()
    assert len(bench.calls) == 200
    assert 4 < bench.most_running <= PARALLEL


async def test_a_long_backlog_is_delivered_whole(bench: Bench):
    await bench.stop()
    lanes = SqliteLanes(bench.folder / "lanes.db", clock=bench.clock)
    ids = [f"e{n}" for n in range(2500)]
    await SqliteEventPublisher(lanes).publish(
        [{"specversion": "1.0", "id": i, "source": "/s", "type": "t"} for i in ids]
    )
    await lanes.close()
    bench.start()
    async with asyncio.timeout(10):
        while len(bench.calls) < 5000:
            await bench.settle()
    assert set(bench.calls.values()) == {1}


async def test_an_event_of_another_process_is_noticed(bench: Bench):
    other = SqliteLanes(bench.folder / "lanes.db", clock=bench.clock)
    await SqliteEventPublisher(other).publish([{"specversion": "1.0", "id": "x", "source": "/s", "type": "t"}])
    await bench.settle()
    assert bench.calls["a", "x"] == 1
    await other.close()


async def test_an_event_that_somebody_removed_by_hand_holds_nobody_up(tmp_path: Path):
    lanes = SqliteLanes(tmp_path / "lanes.db")
    await lanes.publish(['"gone"', '"kept"'])
    topic = EventTopic(lanes, ["a"], lambda: None)
    topic.load()
    await lanes.submit(lambda connection: connection.execute("DELETE FROM event WHERE sequence = 1") and None)
    delivery = topic.take(0.0)
    assert delivery is not None
    assert delivery.body == '"kept"'
    assert topic.take(0.0) is None
    topic.close()
    await lanes.close()
