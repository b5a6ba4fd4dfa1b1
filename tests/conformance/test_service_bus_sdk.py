"""The local host's AMQP as Microsoft's SDK sees it: what automation written for Service Bus may lean on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from shared.adapters.embedded.lanes import NewMessage
from shared.contracts.lanes import Lane
from tests.conformance.service_bus import AmqpHost, needs_amqp
from tests.unit.local.clock import Clock

pytestmark = needs_amqp

LANES = {
    "plain": Lane("plain", sessions=False, lock_seconds=60, max_delivery_count=3),
    "talk": Lane("talk", sessions=True, lock_seconds=60),
}


class Bench:
    """`now`: the SDK compares locks with the machine's own clock, so the lanes start at its time."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(datetime.now(UTC).timestamp())
        self.host = AmqpHost(folder, LANES, clock=self.clock, receive=True)

    async def open(self) -> None:
        await self.host.start()
        self.client = ServiceBusClient.from_connection_string(self.host.connection_string, retry_total=0)

    async def close(self) -> None:
        await self.client.close()
        await self.host.stop()

    async def put(self, *ids: str, lane: str = "plain", sessions: tuple[str, ...] = ("",)) -> None:
        """Messages, in turn for each session; not through the SDK, which takes a second to open and close."""
        turn = itertools.cycle(sessions)
        await self.host.lanes.send([NewMessage(lane, next(turn), 0.0, one, "", "", "", b"{}") for one in ids])

    def receiver(self, lane: str = "plain", **options: Any) -> Any:
        return self.client.get_queue_receiver(lane, **options)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.open()
    yield made
    await made.close()


def message(message_id: str = "m-1", **fields: Any) -> ServiceBusMessage:
    return ServiceBusMessage(b'{"a": 1}', message_id=message_id, **fields)


async def test_a_message_arrives_as_it_was_sent(bench: Bench):
    told = {"application_properties": {"n": 7, "t": "x", "b": True}, "subject": "S", "correlation_id": "C"}
    async with bench.client.get_queue_sender("plain") as sender:
        await sender.send_messages([message(session_id="s", **told)])
    async with bench.receiver() as receiver:
        (got,) = await receiver.receive_messages(max_wait_time=2)
        assert (got.message_id, b"".join(got.body), got.session_id) == ("m-1", b'{"a": 1}', "s")
        assert (got.subject, got.correlation_id, got.delivery_count) == ("S", "C", 0)
        assert got.application_properties == {b"n": 7, b"t": b"x", b"b": True}
        assert timedelta(seconds=50) < got.locked_until_utc - datetime.now(UTC) <= timedelta(seconds=61)
        assert got.enqueued_time_utc is not None
        assert got.sequence_number == 1
        await receiver.complete_message(got)
    assert bench.host.receiver.queue("plain").locked == 0


async def test_settling_does_what_it_says(bench: Bench):
    await bench.put("complete", "abandon", "bury", "defer")
    async with bench.receiver() as receiver:
        got = {one.message_id: one for one in await receiver.receive_messages(max_message_count=10, max_wait_time=2)}
        await receiver.complete_message(got["complete"])
        await receiver.abandon_message(got["abandon"])
        await receiver.dead_letter_message(got["bury"], reason="wrong", error_description="quite wrong")
        with pytest.raises(ServiceBusError, match="not supported"):
            await receiver.defer_message(got["defer"])
        (again,) = await receiver.receive_messages(max_wait_time=2)
        assert (again.message_id, again.delivery_count) == ("abandon", 1)
        await receiver.complete_message(again)
    async with bench.receiver(sub_queue=ServiceBusSubQueue.DEAD_LETTER) as graves:
        (dead,) = await graves.receive_messages(max_wait_time=2)
        assert dead.message_id == "bury"
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("wrong", "quite wrong")
        assert dead.dead_letter_source == "plain"
        await graves.complete_message(dead)


async def test_receive_and_delete_asks_nothing_back(bench: Bench):
    await bench.put("m-1")
    async with bench.receiver(receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        assert len(await receiver.receive_messages(max_wait_time=2)) == 1
    working = bench.host.receiver.queue("plain")
    assert (working.ready, working.locked) == (0, 0)


async def test_a_lock_is_renewed_and_a_lost_one_is_told(bench: Bench):
    await bench.put("m-1")
    async with bench.receiver() as receiver:
        (got,) = await receiver.receive_messages(max_wait_time=2)
        before = got.locked_until_utc
        bench.clock.now += 30
        assert await receiver.renew_message_lock(got) > before
        bench.clock.now += 61
        await asyncio.sleep(0.1)
        with pytest.raises(MessageLockLostError):
            await receiver.renew_message_lock(got)
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(got)


async def test_a_session_is_named_or_the_next_one_there_is(bench: Bench):
    await bench.put("a-0", "b-0", "a-1", "b-1", lane="talk", sessions=("a", "b"))
    async with bench.receiver("talk", session_id="b") as named:
        got = await named.receive_messages(max_message_count=5, max_wait_time=2)
        assert [one.message_id for one in got] == ["b-0", "b-1"]
        async with bench.receiver("talk", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as following:
            assert following.session.session_id == "a"
            others = await following.receive_messages(max_message_count=5, max_wait_time=2)
            assert [one.message_id for one in others] == ["a-0", "a-1"]
        with pytest.raises(SessionCannotBeLockedError):
            async with bench.receiver("talk", session_id="b") as second:
                await second.receive_messages(max_wait_time=1)
        before = named.session.locked_until_utc
        bench.clock.now += 30
        assert await named.session.renew_lock() > before
        for one in got:
            await named.complete_message(one)
    async with bench.receiver("talk", session_id="a", max_wait_time=5) as back:
        again = await back.receive_messages(max_message_count=5, max_wait_time=2)
        assert [(one.message_id, one.delivery_count) for one in again] == [("a-0", 0), ("a-1", 0)], (
            "given back, uncounted"
        )


async def test_a_session_that_lapsed_is_told_as_lost(bench: Bench):
    await bench.put("m-1", lane="talk", sessions=("s",))
    async with bench.receiver("talk", session_id="s") as receiver:
        (got,) = await receiver.receive_messages(max_wait_time=2)
        bench.clock.now += 61
        await asyncio.sleep(1.2)
        with pytest.raises((SessionLockLostError, ServiceBusError)) as lost:
            await receiver.complete_message(got)
        assert "lock" in str(lost.value)


async def test_the_sdk_keeps_long_work_locked_by_itself(bench: Bench):
    await bench.put("m-1")
    async with AutoLockRenewer() as renewer, bench.receiver(auto_lock_renewer=renewer) as receiver:
        (got,) = await receiver.receive_messages(max_wait_time=2)
        await asyncio.sleep(0.5)
        await receiver.complete_message(got)


async def test_nobody_waits_for_a_session_longer_than_it_said(bench: Bench):
    with pytest.raises(OperationTimeoutError):
        async with bench.receiver("talk", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1) as receiver:
            await receiver.receive_messages(max_wait_time=1)


async def test_what_was_scheduled_can_be_taken_back_until_its_time(bench: Bench):
    later = datetime.fromtimestamp(bench.clock.now + 30, UTC)
    async with bench.client.get_queue_sender("plain") as sender:
        numbers = await sender.schedule_messages([message("stays"), message("goes")], later)
        await sender.cancel_scheduled_messages(numbers[1])
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(numbers[1])
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(4711)
    bench.clock.now += 31
    async with bench.receiver() as receiver:
        got = await receiver.receive_messages(max_message_count=5, max_wait_time=2)
    assert [one.message_id for one in got] == ["stays"]


async def test_nobody_takes_back_what_the_app_has_scheduled(bench: Bench):
    from shared.adapters.embedded.command_bus import SqliteCommandBus
    from shared.contracts.instants import text
    from shared.ports.command_bus import OutgoingMessage

    retry = OutgoingMessage("plain", b"{}", "retry", scheduled_at=text(bench.clock.datetime(30)))
    await SqliteCommandBus(bench.host.lanes).send([retry])
    async with bench.client.get_queue_sender("plain") as sender:
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(1)


@pytest.mark.parametrize(
    ("lane", "sent", "error", "why"),
    [
        ("nowhere", message(), MessagingEntityNotFoundError, "nowhere"),
        ("talk", message(), ServiceBusError, "needs a session id"),
        ("plain", ServiceBusMessage(b"x" * 300_000), MessageSizeExceededError, "262144"),
    ],
)
async def test_what_cannot_be_sent_is_refused_by_name(
    bench: Bench, lane: str, sent: ServiceBusMessage, error: type[Exception], why: str
):
    async with bench.client.get_queue_sender(lane) as sender:
        with pytest.raises(error, match=why):
            await sender.send_messages(sent)


async def test_what_is_not_there_is_called_not_implemented(bench: Bench):
    async with bench.receiver() as receiver:
        for asked in (receiver.peek_messages(), receiver.receive_deferred_messages(1)):
            with pytest.raises(ServiceBusError, match="not-implemented"):
                await asked
    async with bench.receiver("talk", session_id="s") as receiver:
        with pytest.raises(ServiceBusError, match="not-implemented"):
            await receiver.session.get_state()
