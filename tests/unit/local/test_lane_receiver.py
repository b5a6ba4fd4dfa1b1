"""Peek-lock over the file: what survives what."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.instants import text
from shared.contracts.lanes import DEAD_LETTER_SUFFIX, Lane
from shared.ports.command_bus import OutgoingMessage
from tests.unit.local.clock import Clock

LANES = {
    "work": Lane("work", sessions=False, lock_seconds=60, max_delivery_count=3),
    "talk": Lane("talk", sessions=True, lock_seconds=60, max_delivery_count=3),
}
DEAD = "work" + DEAD_LETTER_SUFFIX
ROOT = Path(__file__).parents[3]


class Bench:
    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.lanes = SqliteLanes(path, lanes=LANES, clock=clock)
        self.bus = SqliteCommandBus(self.lanes)
        self.receiver = LaneReceiver(self.lanes)
        self.receiver.load()
        self.woken: list[str] = []
        for queue in (*LANES, DEAD):
            self.receiver.on_ready(queue, lambda queue=queue: self.woken.append(queue))

    async def send(self, *ids: str, lane: str = "work", session: str = "", **changes: object) -> None:
        await self.bus.send([OutgoingMessage(lane, b"{}", i, session)._replace(**changes) for i in ids])

    async def close(self) -> None:
        await self.receiver.close()
        await self.lanes.close()

    async def reopened(self) -> Bench:
        await self.close()
        return Bench(self.path, self.clock)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 a condition of the file's, which no event tells
                await asyncio.sleep(0.002)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "lanes.db", Clock())
    yield made
    await made.close()


async def test_a_send_wakes_whoever_waits_for_the_queue(bench: Bench):
    await bench.send("m-1")
    assert bench.woken == ["work"]


async def test_everybody_who_works_a_queue_is_woken(bench: Bench):
    others: list[str] = []
    bench.receiver.on_ready("work", lambda: others.append("work"))
    await bench.send("m-1")
    assert bench.woken == others == ["work"]


async def test_what_nobody_looked_at_does_not_die_of_being_given_back(bench: Bench):
    await bench.send("m-1")
    for _ in range(5):
        assert bench.receiver.abandon(bench.receiver.receive("work"), counted=False)
    assert bench.receiver.receive(DEAD) is None
    assert bench.receiver.receive("work").lock.delivery_count == 1


async def test_an_unsettled_message_comes_again_after_its_lock(bench: Bench):
    await bench.send("m-1")
    first = bench.receiver.receive("work")
    bench.woken.clear()
    bench.clock.now += 61
    bench.receiver.tick()
    assert bench.woken == ["work"]
    second = bench.receiver.receive("work")
    assert (first.lock.delivery_count, second.lock.delivery_count) == (1, 2)
    assert not bench.receiver.complete(first), "its lock is lost"
    assert bench.receiver.complete(second)


async def test_a_renewed_lock_does_not_lapse(bench: Bench):
    await bench.send("m-1")
    received = bench.receiver.receive("work")
    for _ in range(5):
        bench.clock.now += 50
        assert bench.receiver.renew(received)
        bench.receiver.tick()
    assert bench.receiver.complete(received)


async def test_a_completed_message_does_not_come_back_after_a_restart(tmp_path: Path):
    bench = Bench(tmp_path / "lanes.db", Clock())
    await bench.send("m-1", "m-2")
    bench.receiver.complete(bench.receiver.receive("work"))
    bench = await bench.reopened()
    assert bench.receiver.receive("work").message.message_id == "m-2"
    assert bench.receiver.receive("work") is None
    await bench.close()


async def test_delivery_counts_survive_a_restart_until_the_dead_letter_queue(tmp_path: Path):
    bench = Bench(tmp_path / "lanes.db", Clock())
    await bench.send("poison", properties={"a": "b"})
    for count in (1, 2):
        received = bench.receiver.receive("work")
        assert received.lock.delivery_count == count
        bench = await bench.reopened()
    received = bench.receiver.receive("work")
    assert received.lock.delivery_count == 3
    bench.receiver.abandon(received, reason="it failed")
    await bench.until(lambda: DEAD in bench.woken)
    assert bench.receiver.receive("work") is None
    bench = await bench.reopened()
    dead = bench.receiver.receive(DEAD)
    assert (dead.dead_reason, dead.dead_description) == ("MaxDeliveryCountExceeded", "it failed")
    assert dead.message.properties == '{"a": "b"}'
    assert bench.receiver.complete(dead)
    bench = await bench.reopened()
    assert bench.receiver.receive(DEAD) is None
    await bench.close()


async def test_a_message_can_be_dead_lettered_on_demand(bench: Bench):
    await bench.send("m-1")
    bench.receiver.dead_letter(bench.receiver.receive("work"), "Unreadable", "not JSON")
    await bench.until(lambda: DEAD in bench.woken)
    assert bench.receiver.receive(DEAD).dead_reason == "Unreadable"


async def test_a_lapsed_last_delivery_is_dead_lettered(bench: Bench):
    await bench.send("m-1")
    for _ in range(3):
        assert bench.receiver.receive("work") is not None
        bench.clock.now += 61
        bench.receiver.tick()
    await bench.until(lambda: DEAD in bench.woken)
    assert bench.receiver.receive("work") is None
    assert bench.receiver.receive(DEAD).message.message_id == "m-1"


async def test_the_dead_letter_queue_of_a_session_lane_has_no_sessions(bench: Bench):
    await bench.send("m-1", lane="talk", session="s")
    holder = bench.receiver.accept_session("talk")
    bench.receiver.dead_letter(bench.receiver.receive("talk", holder), "Unreadable", "")
    dead = "talk" + DEAD_LETTER_SUFFIX
    await bench.until(lambda: bench.receiver.queue(dead).ready == 1)
    assert bench.receiver.receive(dead).message.session_id == "s"


async def test_a_due_message_goes_to_the_end_of_its_session(bench: Bench):
    at = text(bench.clock.datetime(10))
    await bench.send("retry", lane="talk", session="s", scheduled_at=at)
    await bench.send("next", lane="talk", session="s")
    bench.clock.now += 11
    bench.receiver.tick()
    await bench.until(lambda: bench.receiver.queue("talk").ready == 2)
    holder = bench.receiver.accept_session("talk")
    assert [bench.receiver.receive("talk", holder).message.message_id for _ in range(2)] == ["next", "retry"]


async def test_what_another_process_sends_is_noticed_in_order(bench: Bench):
    other = SqliteLanes(bench.path, lanes=LANES, clock=bench.clock)
    await SqliteCommandBus(other).send([OutgoingMessage("talk", b"{}", "theirs", "s")])
    await bench.send("ours", lane="talk", session="s")
    bench.receiver.tick()
    holder = bench.receiver.accept_session("talk")
    assert [bench.receiver.receive("talk", holder).message.message_id for _ in range(2)] == ["theirs", "ours"]
    await SqliteCommandBus(other).send([OutgoingMessage("work", b"{}", "later")])
    bench.woken.clear()
    bench.receiver.tick()
    assert bench.woken == ["work"]
    await other.close()


async def test_what_a_threads_own_loop_sends_is_noticed_by_the_next_tick(bench: Bench):
    await asyncio.to_thread(lambda: asyncio.run(bench.send("m-1")))
    assert bench.woken == []
    bench.receiver.tick()
    assert bench.woken == ["work"]


async def test_a_message_whose_sender_was_cancelled_is_not_forgotten(bench: Bench):
    sender = asyncio.ensure_future(bench.send("m-1"))
    await asyncio.sleep(0)
    sender.cancel()
    await asyncio.wait([sender])
    await bench.send("m-2")
    bench.receiver.tick()
    got = {bench.receiver.receive("work").message.message_id for _ in range(2)}
    assert got == {"m-1", "m-2"}


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from shared.adapters.embedded.command_bus import SqliteCommandBus
    from shared.adapters.embedded.lane_receiver import LaneReceiver
    from shared.adapters.embedded.lanes import SqliteLanes
    from shared.contracts.lanes import Lane
    from shared.ports.command_bus import OutgoingMessage

    LANES = {"work": Lane("work", sessions=False)}

    async def main():
        lanes = SqliteLanes(Path(sys.argv[1]), lanes=LANES)
        bus, receiver = SqliteCommandBus(lanes), LaneReceiver(lanes)
        receiver.load()
        number = 0
        while True:
            ids = [f"{sys.argv[2]}-{number + i}" for i in range(3)]
            number += 3
            await bus.send([OutgoingMessage("work", b"x" * 300, i) for i in ids])
            print("sent", *ids, flush=True)
            received = receiver.receive("work")
            receiver.complete(received)
            print("done", received.message.message_id, flush=True)

    asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_sent_and_rarely_repeats(tmp_path: Path):
    """Three processes, one after the other, each killed in the middle of its work."""
    path, sent, done = tmp_path / "lanes.db", set(), set()
    for turn in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(path), str(turn)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, line in enumerate(child.stdout):
            if number == 150:
                child.send_signal(signal.SIGKILL)
            what, *ids = line.split()
            if line.endswith("\n"):
                (sent if what == "sent" else done).update(ids)
        child.wait()
        child.stdout.close()

    async def left() -> set[str]:
        bench = Bench(path, Clock())
        found = set()
        while (received := bench.receiver.receive("work")) is not None:
            found.add(received.message.message_id)
        await bench.close()
        return found

    remaining = asyncio.run(left())
    assert sent <= remaining | done, "nothing that was acknowledged is lost"
    assert len(remaining & done) <= 3 * 3, "only what was completed in the last moments comes again"
    assert len(sent) > 400
