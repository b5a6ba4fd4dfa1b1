"""What every command bus promises (`shared/ports/command_bus.py`), held against each adapter.

An adapter takes part through a `Bench`: it makes the bus, reads what arrived, moves time and restarts the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.instants import text
from shared.contracts.lanes import Lane
from shared.errors import RetryableError, TerminalError
from shared.ports.command_bus import MAX_BODY_BYTES, CommandBus, OutgoingMessage
from tests.conformance.service_bus import AmqpHost, needs_amqp
from tests.unit.local.clock import Clock

LANES = {
    "with-sessions": Lane("with-sessions", sessions=True, duplicate_window_seconds=600),
    "plain": Lane("plain", sessions=False, duplicate_window_seconds=600),
}


class Arrived(NamedTuple):
    message_id: str
    session_id: str
    body: bytes
    correlation_id: str
    subject: str
    properties: str


class Bench(Protocol):
    bus: CommandBus

    async def arrived(self, lane: str) -> list[Arrived]: ...

    async def later(self, seconds: float) -> None: ...

    async def crash_and_restart(self) -> None: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def instant(self, seconds_from_now: float) -> str: ...


class SqliteBench:
    """The embedded bus; `arrived` takes what is ready and completes it."""

    def __init__(self, folder: Path, executor: str) -> None:
        self.clock = Clock()
        self._folder = folder
        self._executor = executor

    async def open(self) -> None:
        self._open()

    def _open(self) -> None:
        self.lanes = SqliteLanes(self._folder / "lanes.db", lanes=LANES, clock=self.clock, executor=self._executor)
        self.bus = SqliteCommandBus(self.lanes)
        self.receiver = LaneReceiver(self.lanes)
        self.receiver.load()

    async def arrived(self, lane: str) -> list[Arrived]:
        return taken_from(self.receiver, lane)

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        await brought_out(self.receiver)

    async def crash_and_restart(self) -> None:
        """Nothing is told to the old one: its file is opened again beside it."""
        old, reader = self.lanes, self.receiver._reader
        self._open()
        reader.close()
        await old.close()

    async def close(self) -> None:
        await self.receiver.close()
        await self.lanes.close()

    def instant(self, seconds_from_now: float) -> str:
        return text(self.clock.datetime(seconds_from_now))


class ServiceBusBench:
    """The Azure adapter, through Microsoft's SDK and a socket, to the local host's AMQP listener."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self._host = AmqpHost(folder, LANES, clock=self.clock)

    async def open(self) -> None:
        from shared.adapters.azure.command_bus import ServiceBusCommandBus

        await self._host.start()
        self.bus = ServiceBusCommandBus(connection_string=self._host.connection_string, lanes=LANES)

    async def arrived(self, lane: str) -> list[Arrived]:
        return taken_from(self._host.receiver, lane)

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        await brought_out(self._host.receiver)

    async def crash_and_restart(self) -> None:
        await self._host.crash_and_restart()

    async def close(self) -> None:
        await self.bus.close()
        await self._host.stop()

    def instant(self, seconds_from_now: float) -> str:
        return text(self.clock.datetime(seconds_from_now))


def taken_from(receiver: LaneReceiver, lane: str) -> list[Arrived]:
    """What is ready, completed."""
    found, holder = [], None
    while True:
        if LANES[lane].sessions:
            holder = receiver.accept_session(lane)
            if holder is None:
                return found
        while (received := receiver.receive(lane, holder)) is not None:
            m = received.message
            found.append(Arrived(m.message_id, m.session_id, m.body, m.correlation_id, m.subject, m.properties))
            receiver.complete(received)
        if holder is None:
            return found
        receiver.release_session(lane, holder)


async def brought_out(receiver: LaneReceiver) -> None:
    receiver.tick()
    for _ in range(10):  # what is due goes through the writer's thread
        await asyncio.sleep(0.003)


ADAPTERS: dict[str, Callable[[Path], Bench]] = {
    "sqlite": lambda folder: SqliteBench(folder, "thread"),
    "sqlite-inline": lambda folder: SqliteBench(folder, "inline"),
    "service-bus": ServiceBusBench,
}


@pytest.fixture(params=["sqlite", "sqlite-inline", pytest.param("service-bus", marks=needs_amqp)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = ADAPTERS[request.param](tmp_path)
    await made.open()
    yield made
    await made.close()


def message(message_id: str, lane: str = "plain", **changes: object) -> OutgoingMessage:
    return OutgoingMessage(lane, b"{}", message_id)._replace(**changes)


async def test_a_sent_message_arrives_whole(bench: Bench):
    sent = message(
        "m-1",
        body=b"\x00\xffbytes",
        session_id="s",
        correlation_id="c",
        subject="Classify",
        properties={"attempt": "1"},
    )
    await bench.bus.send([sent])
    assert await bench.arrived("plain") == [Arrived("m-1", "s", b"\x00\xffbytes", "c", "Classify", '{"attempt": "1"}')]


async def test_what_was_sent_survives_a_crash(bench: Bench):
    await bench.bus.send([message("m-1"), message("m-2", "with-sessions", session_id="s")])
    await bench.crash_and_restart()
    assert [m.message_id for m in await bench.arrived("plain")] == ["m-1"]
    assert [m.message_id for m in await bench.arrived("with-sessions")] == ["m-2"]


async def test_a_sessions_messages_arrive_in_the_order_of_sending(bench: Bench):
    ids = [f"m-{n}" for n in range(40)]
    for message_id in ids:
        await bench.bus.send([message(message_id, "with-sessions", session_id="s")])
    assert [m.message_id for m in await bench.arrived("with-sessions")] == ids


async def test_the_same_id_within_the_window_is_delivered_once(bench: Bench):
    await bench.bus.send([message("m-1"), message("m-1")])
    await bench.bus.send([message("m-1", body=b"again")])
    assert [m.body for m in await bench.arrived("plain")] == [b"{}"]
    await bench.bus.send([message("m-1")])
    assert await bench.arrived("plain") == [], "also after it was completed"


async def test_duplicates_are_recognised_after_a_restart(bench: Bench):
    await bench.bus.send([message("m-1")])
    await bench.crash_and_restart()
    await bench.bus.send([message("m-1")])
    assert len(await bench.arrived("plain")) == 1


async def test_the_same_id_on_another_lane_is_another_message(bench: Bench):
    await bench.bus.send([message("m-1"), message("m-1", "with-sessions", session_id="s")])
    assert len(await bench.arrived("plain")) == len(await bench.arrived("with-sessions")) == 1


async def test_after_the_window_an_id_may_be_used_again(bench: Bench):
    await bench.bus.send([message("m-1")])
    await bench.later(599)
    await bench.bus.send([message("m-1")])
    await bench.later(3)
    await bench.bus.send([message("m-1")])
    assert len(await bench.arrived("plain")) == 2


async def test_a_scheduled_message_arrives_at_its_time_and_not_before(bench: Bench):
    await bench.bus.send([message("late", scheduled_at=bench.instant(30)), message("now")])
    assert [m.message_id for m in await bench.arrived("plain")] == ["now"]
    await bench.later(29)
    assert await bench.arrived("plain") == []
    await bench.later(2)
    assert [m.message_id for m in await bench.arrived("plain")] == ["late"]


async def test_a_scheduled_message_survives_a_crash(bench: Bench):
    await bench.bus.send([message("late", scheduled_at=bench.instant(30))])
    await bench.crash_and_restart()
    assert await bench.arrived("plain") == []
    await bench.later(31)
    assert [m.message_id for m in await bench.arrived("plain")] == ["late"]


async def test_a_schedule_in_the_past_means_now(bench: Bench):
    await bench.bus.send([message("m-1", scheduled_at=bench.instant(-30))])
    assert len(await bench.arrived("plain")) == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (message("m", "nowhere"), "unknown_lane"),
        (message("m", "plain/$deadletterqueue"), "unknown_lane"),
        (message("m", "with-sessions"), "session_required"),
        (message(""), "message_id_required"),
        (message("m", body=b"x" * (MAX_BODY_BYTES + 1)), "message_too_large"),
        (message("m" * 129), "message_too_large"),
        (message("m", session_id="s" * 129), "message_too_large"),
        (message("m", properties={"p": "x" * 70_000}), "message_too_large"),
        (message("m", scheduled_at="tomorrow"), "invalid_schedule"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_message_is_terminal_and_nothing_of_its_batch_is_sent(
    bench: Bench, wrong: OutgoingMessage, code: str
):
    with pytest.raises(TerminalError) as refused:
        await bench.bus.send([message("good"), wrong])
    assert refused.value.code == code
    assert await bench.arrived("plain") == []


async def test_the_largest_body_is_taken(bench: Bench):
    await bench.bus.send([message("m-1", body=b"x" * MAX_BODY_BYTES)])
    assert len((await bench.arrived("plain"))[0].body) == MAX_BODY_BYTES


async def test_sending_nothing_is_nothing(bench: Bench):
    await bench.bus.send([])


async def test_many_senders_at_once_lose_nothing(bench: Bench):
    await asyncio.gather(*(bench.bus.send([message(f"{a}-{b}") for b in range(7)]) for a in range(60)))
    assert len({m.message_id for m in await bench.arrived("plain")}) == 420


async def test_a_ping_says_that_something_could_be_sent(bench: Bench):
    await bench.bus.ping()


@pytest.mark.parametrize("name", ["sqlite", pytest.param("service-bus", marks=needs_amqp)])
async def test_a_bus_that_cannot_write_says_try_again(tmp_path: Path, name: str):
    closed = ADAPTERS[name](tmp_path)
    await closed.open()
    await closed.close()
    with pytest.raises(RetryableError):
        await closed.bus.send([message("m-1")])
    with pytest.raises(RetryableError):
        await closed.bus.ping()
