"""Pumps: concurrency, sessions, redelivery and locks of long runs."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from local import service_bus
from local.host_json import ServiceBusOptions
from local.service_bus import Pump
from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import DEAD_LETTER_SUFFIX, Lane
from shared.errors import ConfigurationError
from shared.ports.command_bus import OutgoingMessage
from tests.unit.local.clock import Clock
from tests.unit.local.stand_ins import ScriptedRuntime

LANES = {"talk": Lane("talk", sessions=True, max_delivery_count=4), "work": Lane("work", sessions=False)}
OPTIONS = ServiceBusOptions(max_concurrent_calls=3, max_concurrent_sessions=3, max_auto_lock_renewal_seconds=100)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.lanes = SqliteLanes(folder / "lanes.db", lanes=LANES, clock=self.clock)
        self.receiver = LaneReceiver(self.lanes)
        self.receiver.load()
        self.seen: list[dict[str, Any]] = []
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.pumps: list[Pump] = []
        self.work: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    def pump(self, queue: str, **binding: Any) -> Pump:
        runtime = ScriptedRuntime({("service_bus", "handler"): self._handle}, handler={"queueName": queue, **binding})
        pump = Pump(
            runtime=runtime,
            function=runtime.functions["handler"],
            receiver=self.receiver,
            options=OPTIONS,
            monotonic=self.clock,
        )
        self.pumps.append(pump)
        return pump

    async def _handle(self, message: dict[str, Any]) -> None:
        session = message.get("SessionId", "")
        self.seen.append(message)
        for key in ("all", f"session {session}"):
            self.running[key] += 1
            self.most[key] = max(self.most[key], self.running[key])
        try:
            await (self.work(message) if self.work else asyncio.sleep(0.002))
        finally:
            for key in ("all", f"session {session}"):
                self.running[key] -= 1

    async def send(self, queue: str, *ids: str, sessions: int = 1) -> None:
        await SqliteCommandBus(self.lanes).send(
            [OutgoingMessage(queue, i.encode(), i, f"s{n % sessions}") for n, i in enumerate(ids)]
        )

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.seen) < count:  # noqa: ASYNC110 the functions themselves are what is counted
                await asyncio.sleep(0.002)

    async def close(self) -> None:
        for pump in self.pumps:
            pump.cancel()
            await pump.stop()
        await self.receiver.close()
        await self.lanes.close()


@pytest.fixture
async def bench(tmp_path: Path):
    made = Bench(tmp_path)
    yield made
    await made.close()


async def test_a_session_is_handled_one_by_one_in_order_and_sessions_side_by_side(bench: Bench):
    bench.pump("talk", isSessionsEnabled=True)
    await bench.send("talk", *(f"m{n:03}" for n in range(100)), sessions=5)
    await bench.until(100)
    assert bench.most["all"] == OPTIONS.max_concurrent_sessions
    for session in range(5):
        assert bench.most[f"session s{session}"] == 1
        mine = [m["MessageId"] for m in bench.seen if m["SessionId"] == f"s{session}"]
        assert mine == sorted(mine)


async def test_a_queue_without_sessions_runs_as_many_as_host_json_allows(bench: Bench):
    bench.pump("work")
    await bench.send("work", *(f"m{n}" for n in range(50)))
    await bench.until(50)
    assert bench.most["all"] == OPTIONS.max_concurrent_calls


async def test_a_session_with_a_long_backlog_lets_others_have_a_turn(bench: Bench):
    bench.pump("talk", isSessionsEnabled=True)
    for session in ("a", "b", "c"):
        await SqliteCommandBus(bench.lanes).send(
            [OutgoingMessage("talk", b"", f"{session}{n}", session) for n in range(service_bus.TURN * 2)]
        )
    await SqliteCommandBus(bench.lanes).send([OutgoingMessage("talk", b"", "late", "d")])
    await bench.until(3 * service_bus.TURN * 2 + 1)
    position = [m["MessageId"] for m in bench.seen].index("late")
    assert position < 3 * service_bus.TURN + 10


async def test_a_failing_message_holds_its_session_until_it_is_dead_lettered(bench: Bench):
    bench.pump("talk", isSessionsEnabled=True)

    async def fail_first(message: dict[str, Any]) -> None:
        if message["MessageId"] == "m1":
            raise RuntimeError("poison")

    bench.work = fail_first
    await bench.send("talk", "m1", "m2")
    await bench.until(5)
    assert [(m["MessageId"], m["DeliveryCount"]) for m in bench.seen] == [
        ("m1", 1),
        ("m1", 2),
        ("m1", 3),
        ("m1", 4),
        ("m2", 1),
    ]


async def test_a_dead_letter_function_that_fails_is_called_again_more_and_more_slowly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_bus, "_DEAD_LETTER_WAIT_SECONDS", (0.04, 10.0))
    bench.pump("work" + DEAD_LETTER_SUFFIX)
    called_at: list[float] = []

    async def fail(message: dict[str, Any]) -> None:
        called_at.append(asyncio.get_running_loop().time())
        raise RuntimeError("the store is down")

    bench.work = fail
    await bench.send("work", "m1")
    bench.receiver.dead_letter(bench.receiver.receive("work"), "Unreadable", "why")
    await bench.until(4)
    waits = [after - before for before, after in itertools.pairwise(called_at)]
    # a busy machine makes a wait longer, never shorter; the loop's clock may be a tick ahead
    assert all(wait > least - 0.005 for wait, least in zip(waits[:3], (0.04, 0.08, 0.16), strict=True))
    assert bench.seen[0]["DeadLetterReason"] == "Unreadable"
    assert bench.seen[0]["DeadLetterSource"] == "work"


async def test_the_lock_of_a_long_run_is_renewed_as_long_as_host_json_says(bench: Bench):
    pump = bench.pump("talk", isSessionsEnabled=True)
    release = asyncio.Event()
    bench.work = lambda _: release.wait()
    await bench.send("talk", "m1")
    await bench.until(1)
    for _ in range(2):
        bench.clock.now += 45
        pump.renew_locks()
        bench.receiver.tick()
    assert len(bench.seen) == 1, "90 seconds in, its lock of 60 seconds is still held"
    for _ in range(2):
        bench.clock.now += 45
        pump.renew_locks()
        bench.receiver.tick()
    await bench.until(2)
    assert bench.seen[1]["DeliveryCount"] == 2
    release.set()


async def test_stopping_lets_the_current_message_end_and_takes_no_other(bench: Bench):
    pump = bench.pump("talk", isSessionsEnabled=True)
    release = asyncio.Event()
    bench.work = lambda _: release.wait()
    await bench.send("talk", "m1", "m2")
    await bench.until(1)
    stopping = asyncio.ensure_future(pump.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    release.set()
    await stopping
    assert [m["MessageId"] for m in bench.seen] == ["m1"]
    assert bench.receiver.queue("talk").ready == 1


@pytest.mark.parametrize(("queue", "sessions"), [("talk", False), ("work", True), ("talk/$deadletterqueue", True)])
async def test_a_binding_that_disagrees_with_its_queue_is_refused(bench: Bench, queue: str, sessions: bool):
    with pytest.raises(ConfigurationError, match="sessions"):
        bench.pump(queue, isSessionsEnabled=sessions)


async def test_a_function_of_an_unlisted_queue_is_refused(bench: Bench):
    with pytest.raises(ConfigurationError, match="nowhere"):
        bench.pump("nowhere")
