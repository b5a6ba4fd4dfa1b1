"""Timer functions: schedules, what was missed, and no overlap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.timers import Timers, check, following
from shared.adapters.embedded.lanes import SqliteLanes
from shared.errors import ConfigurationError
from tests.unit.local.clock import Clock
from tests.unit.local.stand_ins import ScriptedRuntime

NIGHTLY = "0 0 2 * * *"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def at(*day_and_time: int) -> float:
    return datetime(2026, 3, *day_and_time, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (NIGHTLY, at(2, 2)),
        ("*/15 * * * * *", at(1, 12, 0, 15)),
        ("30 0 12 * * *", at(1, 12, 0, 30)),
        ("0 0 9 * * MON-FRI", at(2, 9)),
        ("0 0 0 15 * *", at(15, 0)),
    ],
)
def test_six_fields_seconds_first(schedule: str, expected: float):
    assert following(schedule, NOON) == expected


@pytest.mark.parametrize("schedule", ["0 2 * * *", "00:05:00", "0 0 25 * * *", "0 0 0 1 * MON", "0 0 0 31 2 *"])
def test_a_schedule_that_another_reader_would_read_otherwise_is_refused(schedule: str):
    with pytest.raises(ConfigurationError, match="nightly"):
        check("nightly", schedule)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(NOON)
        self.fired: list[bool] = []
        self.hold: asyncio.Event | None = None
        self.failing = False

    async def start(self, schedule: str = NIGHTLY) -> None:
        self.lanes = SqliteLanes(self.folder / "lanes.db", clock=self.clock)
        runtime = ScriptedRuntime({("timer", "nightly"): self._handle}, nightly={"schedule": schedule})
        self.timers = Timers(runtime=runtime, lanes=self.lanes, clock=self.clock)
        await self.timers.start()

    async def _handle(self, status: dict) -> None:
        self.fired.append(status["IsPastDue"])
        if self.hold is not None:
            await self.hold.wait()
        if self.failing:
            raise RuntimeError("no")

    async def tick(self, now: float) -> None:
        self.clock.now = now
        self.timers.tick()
        await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await self.timers.stop()
        await self.lanes.close()


@pytest.fixture
async def bench(tmp_path: Path):
    made = Bench(tmp_path)
    yield made
    await made.stop()


async def test_it_fires_once_at_its_time(bench: Bench):
    await bench.start()
    await bench.tick(at(2, 1, 59, 59))
    assert bench.fired == []
    for second in (0, 1, 2):
        await bench.tick(at(2, 2, 0, second))
    assert bench.fired == [False]
    await bench.tick(at(3, 2))
    assert bench.fired == [False, False]


async def test_what_was_missed_is_fired_once_at_the_next_start_as_past_due(bench: Bench):
    await bench.start()
    await bench.stop()
    bench.clock.now = at(5, 12)
    await bench.start()
    await bench.tick(at(5, 12))
    assert bench.fired == [True]
    await bench.tick(at(6, 2))
    assert bench.fired == [True, False]


async def test_an_occurrence_cut_short_by_a_crash_is_fired_again(bench: Bench):
    await bench.start()
    bench.hold = asyncio.Event()
    await bench.tick(at(2, 2))
    bench.timers.cancel()
    await bench.stop()
    bench.hold = None
    await bench.start()
    await bench.tick(at(2, 2, 1))
    assert bench.fired == [False, True]


async def test_a_run_is_never_overlapped(bench: Bench):
    await bench.start("*/15 * * * * *")
    bench.hold = asyncio.Event()
    await bench.tick(NOON + 15)
    await bench.tick(NOON + 31)
    assert bench.fired == [False]
    bench.hold.set()
    await asyncio.sleep(0.02)
    await bench.tick(NOON + 44)
    assert bench.fired == [False], "the occurrence at 30 s fell into the run"
    await bench.tick(NOON + 46)
    assert bench.fired == [False, False]


async def test_a_failure_is_not_tried_again(bench: Bench):
    await bench.start()
    bench.failing = True
    await bench.tick(at(2, 2))
    await bench.tick(at(2, 2, 1))
    assert bench.fired == [False]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_small_correction_of_the_clock_fires_nothing_twice(bench: Bench, restart: bool):
    await bench.start()
    await bench.tick(at(2, 2))
    if restart:
        await bench.stop()
        bench.clock.now = at(2, 1, 59, 59)
        await bench.start()
    for second in (59, 60):
        await bench.tick(at(2, 1, 59) + second)
    assert bench.fired == [False]


async def test_firing_by_hand(bench: Bench):
    await bench.start()
    bench.timers.fire("nightly")
    bench.timers.fire("nightly")
    await asyncio.sleep(0.05)
    assert bench.fired == [False, False]


async def test_another_schedule_is_taken_from_now(bench: Bench):
    await bench.start("0 0 13 * * *")
    await bench.stop()
    bench.clock.now = at(1, 14)
    await bench.start()
    await bench.tick(at(1, 14))
    assert bench.fired == []
