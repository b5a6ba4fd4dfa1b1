"""What the Service Bus adapter makes of links that break, close or never answer: nothing lost or doubled, in time.

Through Microsoft's SDK and real sockets, to the local host's AMQP listener; a gate between them does the harm.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from shared.adapters.azure import service_bus_lane
from shared.adapters.azure.command_bus import ServiceBusCommandBus
from shared.contracts.lanes import Lane
from shared.errors import ConfigurationError, RetryableError, TerminalError
from shared.ports.command_bus import OutgoingMessage
from tests.conformance.service_bus import LEAVES_SOCKETS, AmqpHost, connection_string, needs_amqp, reset

pytestmark = [needs_amqp, *LEAVES_SOCKETS]

LANES = {"work": Lane("work", sessions=True, duplicate_window_seconds=600), "plain": Lane("plain", sessions=False)}


class Gate:
    """Stands between the adapter and Service Bus, and holds back answers."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.connections = 0
        self.silent = False
        self.silent_connections = 0  # so many of the next
        self.swallow_next_answer = False  # and end the connection
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            reset(writer.transport)
            return
        silent, self.silent_connections = self.silent_connections > 0, max(0, self.silent_connections - 1)
        answers = self._answer(there, writer, silent=silent)
        ends = [asyncio.create_task(self._pass(reader, back)), asyncio.create_task(answers)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            reset(writer.transport)
            back.transport.abort()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silent: bool) -> None:
        while piece := await reader.read(65_536):
            if silent or self.silent:
                continue
            if self.swallow_next_answer:
                self.swallow_next_answer = False
                return
            writer.write(piece)
            await writer.drain()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.host = AmqpHost(folder, LANES)

    async def open(self) -> None:
        await self.host.start()
        self.gate = Gate(self.host.port)
        await self.gate.start()
        self.bus = ServiceBusCommandBus(connection_string=connection_string(self.gate.port), lanes=LANES)

    async def close(self) -> None:
        await self.bus.close()
        await self.gate.stop()
        await self.host.stop()
        gc.collect()

    def arrived(self, lane: str = "plain") -> list[str]:
        found, holder = [], None
        if LANES[lane].sessions:
            holder = self.host.receiver.accept_session(lane)
        while (received := self.host.receiver.receive(lane, holder)) is not None:
            found.append(received.message.message_id)
            self.host.receiver.complete(received)
        return found


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.open()
    yield made
    await made.close()


def message(message_id: str, lane: str = "plain", **changes: object) -> OutgoingMessage:
    return OutgoingMessage(lane, b"{}", message_id)._replace(**changes)


async def within(seconds: float, work: Awaitable[None]) -> None:
    async with asyncio.timeout(seconds):
        await work


async def test_a_link_that_was_cut_while_idle_is_opened_again(bench: Bench):
    await bench.bus.send([message("m-1")])
    assert bench.host.cut() == 1
    await within(5, bench.bus.send([message("m-2")]))
    assert bench.arrived() == ["m-1", "m-2"]


async def test_a_link_that_service_bus_closed_as_idle_is_opened_again(bench: Bench):
    await bench.bus.send([message("m-1")])
    assert bench.host.close_idle_links() == 1
    await within(5, bench.bus.send([message("m-2")]))
    assert bench.arrived() == ["m-1", "m-2"]


async def test_when_the_answer_is_lost_the_repeat_has_the_same_ids_and_is_dropped(bench: Bench):
    await bench.bus.send([message("m-1")])
    bench.gate.swallow_next_answer = True  # it says "accepted"
    await within(6, bench.bus.send([message("m-2"), message("m-3")]))
    assert bench.arrived() == ["m-1", "m-2", "m-3"]
    assert bench.gate.connections == 2, "it was sent twice, over two connections"


async def test_links_that_are_cut_again_and_again_lose_and_double_nothing(bench: Bench):
    cuts = 0

    async def harm() -> None:
        nonlocal cuts
        while True:
            await asyncio.sleep(1.1)  # a link takes half a second to open
            cuts += bench.host.cut()

    harming = asyncio.create_task(harm())
    sent = []
    while cuts < 3:
        sent.append(f"m-{len(sent)}")
        while True:  # as the outbox does
            try:
                await within(20, bench.bus.send([message(sent[-1])]))
                break
            except RetryableError:
                continue
    harming.cancel()
    assert bench.arrived() == sent


async def test_service_bus_that_never_answers_is_given_up_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service_bus_lane, "BUDGET_SECONDS", 1.5)
    monkeypatch.setattr(service_bus_lane, "ATTEMPT_SECONDS", 0.6)
    monkeypatch.setattr(service_bus_lane, "CLOSE_SECONDS", 0.2)
    bench.gate.silent = True
    started = asyncio.get_running_loop().time()
    with pytest.raises(RetryableError) as refused:
        await bench.bus.send([message("m-1")])
    assert refused.value.code == "bus_unavailable"
    assert asyncio.get_running_loop().time() - started < 3
    bench.gate.silent = False
    monkeypatch.undo()
    await bench.bus.send([message("m-1")])
    assert bench.arrived() == ["m-1"], "and then goes on"


async def test_a_link_that_is_silent_is_given_up_for_another_before_the_time_is_used_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_bus_lane, "ATTEMPT_SECONDS", 0.6)
    monkeypatch.setattr(service_bus_lane, "CLOSE_SECONDS", 0.2)
    bench.gate.silent_connections = 1
    await within(5, bench.bus.send([message("m-1")]))
    assert bench.arrived() == ["m-1"]
    assert bench.gate.connections == 2


async def test_when_nothing_listens_everybody_who_waits_is_told_at_once(bench: Bench):
    await bench.host.stop()
    started = asyncio.get_running_loop().time()
    outcomes = await asyncio.gather(
        *(bench.bus.send([message(f"m-{n}", "work", session_id=f"s-{n}")]) for n in range(20)), return_exceptions=True
    )
    assert {getattr(one, "code", None) for one in outcomes} == {"bus_unavailable"}
    assert asyncio.get_running_loop().time() - started < 10, "one budget for all of them"
    await bench.host.start()


async def test_who_is_cancelled_while_it_sends_harms_nobody_else(bench: Bench):
    await bench.bus.send([message("m-0")])
    first = asyncio.create_task(bench.bus.send([message("m-1")]))
    second = asyncio.create_task(bench.bus.send([message("m-2")]))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert "m-2" in bench.arrived()


async def test_what_one_relay_sends_into_a_session_is_one_operation(bench: Bench):
    await bench.bus.send([message(f"m-{n}", "work", session_id="household") for n in range(40)])
    assert bench.bus.operations == 1
    assert len(bench.arrived("work")) == 40


async def test_sessions_are_never_mixed_in_a_batch(bench: Bench):
    """A partition of Service Bus would refuse the whole of it."""
    await bench.bus.send([message(f"m-{n}", "work", session_id=f"tenant-{n % 2}") for n in range(6)])
    assert bench.bus.operations == 2
    assert bench.arrived("work") == ["m-0", "m-2", "m-4"]
    assert bench.arrived("work") == ["m-1", "m-3", "m-5"]


async def test_what_does_not_fit_into_one_batch_goes_in_several(bench: Bench):
    await bench.bus.send([message(f"m-{n}", body=b"x" * 100_000) for n in range(5)])
    assert bench.bus.operations == 3
    assert len(bench.arrived()) == 5


async def test_many_at_once_share_batches_and_one_connection(bench: Bench):
    await asyncio.gather(*(bench.bus.send([message(f"m-{n}", "work", session_id="s")]) for n in range(200)))
    assert bench.bus.operations <= 3
    assert bench.gate.connections == 1


async def test_a_queue_that_is_not_there_is_named_and_can_be_made_later(bench: Bench):
    listed = {**LANES, "unmade": Lane("unmade", sessions=False)}
    bus = ServiceBusCommandBus(connection_string=connection_string(bench.gate.port), lanes=listed)
    with pytest.raises(RetryableError, match="unmade"):
        await within(4, bus.send([message("m-1", "unmade")]))
    await bus.close()


async def test_body_and_properties_that_do_not_fit_together_are_refused_before_anything_is_sent(bench: Bench):
    large = message("m-2", body=b"x" * 200_000, properties={"p": "x" * 60_000})
    with pytest.raises(TerminalError) as refused:
        await bench.bus.send([message("m-1"), large])
    assert refused.value.code == "message_too_large"
    assert bench.arrived() == []


async def test_a_ping_after_a_send_costs_nothing_and_one_to_nobody_fails(bench: Bench):
    await bench.bus.send([message("m-1")])
    await bench.bus.ping()
    assert bench.gate.connections == 1
    alone = ServiceBusCommandBus(connection_string=connection_string(1), lanes=LANES)
    with pytest.raises(RetryableError):
        await within(6, alone.ping())
    await alone.close()


@pytest.mark.parametrize(
    "made",
    [
        lambda: ServiceBusCommandBus(
            connection_string="Endpoint=sb://n.servicebus.windows.net;SharedAccessKeyName=n;SharedAccessKey=secret"
        ),
        lambda: ServiceBusCommandBus(namespace="n.servicebus.windows.net"),
        ServiceBusCommandBus,
    ],
)
def test_what_is_no_emulator_is_reached_by_identity_alone(made: Callable[[], ServiceBusCommandBus]):
    with pytest.raises(ConfigurationError, match="fullyQualifiedNamespace") as refused:
        made()
    assert "secret" not in str(refused.value)
