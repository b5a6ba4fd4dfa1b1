"""The AMQP listener, spoken to frame by frame: what it takes, what it refuses, and whom it survives."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.adapters.embedded.lanes import NewMessage
from shared.contracts.lanes import Lane
from shared.errors import ConfigurationError
from tests.conformance.service_bus import AmqpHost, needs_amqp

pytestmark = needs_amqp
if importlib.util.find_spec("proton") is not None:
    import proton

    from local import amqp, amqp_connection, amqp_management
    from local.amqp_messages import MAX_MESSAGE_BYTES
    from local.amqp_sasl import AMQP_HEADER, SASL_HEADER
    from tests.unit.local.amqp_peer import Peer
    from tests.unit.local.test_amqp_values import sasl_init

LANES = {
    "plain": Lane("plain", sessions=False, lock_seconds=60, max_delivery_count=3),
    "talk": Lane("talk", sessions=True, lock_seconds=60),
}
NOT_A_NUMBER = b"\x82\x7f\xf8" + b"\x00" * 6
DEAD = "plain/$DeadLetterQueue"


class Bench:
    def __init__(self, folder: Path, *, receive: bool) -> None:
        self.host = AmqpHost(folder, LANES, receive=receive)
        self.peers: list[Peer] = []

    async def peer(self, **options: bytes) -> Peer:
        peer = Peer(self.host.port, **options)
        self.peers.append(peer)
        return await peer.open()

    def waiting(self, lane: str = "plain") -> list[tuple[str, bytes]]:
        found = []
        while (received := self.host.receiver.receive(lane)) is not None:
            found.append((received.message.message_id, received.message.body))
            self.host.receiver.complete(received)
        return found


@asynccontextmanager
async def opened(folder: Path, *, receive: bool) -> AsyncIterator[Bench]:
    made = Bench(folder, receive=receive)
    await made.host.start()
    yield made
    for peer in made.peers:
        await peer.close()
    await made.host.stop()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path, receive=True) as made:
        yield made


@pytest.fixture
async def as_served(tmp_path: Path) -> AsyncIterator[Bench]:
    """As `make serve AMQP=1` opens it."""
    async with opened(tmp_path, receive=False) as made:
        yield made


def encoded(body: bytes = b"{}", message_id: str = "m-1", **fields: object) -> bytes:
    message = proton.Message(body=body, id=message_id, inferred=True)
    for name, value in fields.items():
        setattr(message, name, value)
    return bytes(message.encode())


def batch(*messages: bytes) -> bytes:
    return b"".join(b"\x00\x53\x75\xb0" + len(one).to_bytes(4) + one for one in messages)


async def accepted(peer: Peer, number: int = 1) -> None:
    await peer.until(lambda: len(peer.outcomes) == number)
    assert {state for state, _ in peer.outcomes} == {"ACCEPTED"}, peer.outcomes


@pytest.mark.parametrize(
    "address", ["plain", "/plain", "PLAIN", "amqps://localhost/plain", "sb://localhost:5672/Plain/"]
)
async def test_a_queue_is_found_under_every_form_of_its_address(bench: Bench, address: str):
    peer = await bench.peer()
    peer.send(peer.sender(address), encoded())
    await accepted(peer)
    assert bench.waiting() == [("m-1", b"{}")]


async def test_a_batch_is_taken_whole(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), batch(encoded(b"1", "a"), encoded(b"2", "b"), encoded(b"3", "c")))
    await accepted(peer)
    assert bench.waiting() == [("a", b"1"), ("b", b"2"), ("c", b"3")]


async def test_of_a_batch_with_a_wrong_message_nothing_is_taken(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("talk"), batch(encoded(message_id="a", group_id="s"), encoded(message_id="b")))
    await peer.until(lambda: peer.outcomes)
    assert peer.outcomes == [("REJECTED", "amqp:not-allowed")]
    assert bench.host.receiver.queue("talk").ready == 0


async def test_a_body_in_several_sections_is_one_body_and_no_batch(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), b"\x00\x53\x73\xc0\x05\x01\xa1\x02id" + batch(b"one ", b"body"))
    await accepted(peer)
    assert bench.waiting() == [("id", b"one body")]


async def test_a_message_without_an_id_gets_one(bench: Bench):
    peer = await bench.peer()
    for _ in range(2):
        peer.send(peer.sender("plain"), batch(b"{}"))
    await accepted(peer, 2)
    assert len({message_id for message_id, _ in bench.waiting()}) == 2


@pytest.mark.parametrize(
    ("target", "raw", "condition"),
    [
        ("nowhere", b"", "amqp:not-found"),
        ("plain/subscriptions/x", b"", "amqp:not-found"),
        (DEAD, b"", "amqp:not-allowed"),
        ("talk", b"", "amqp:not-allowed"),
        ("plain", b"\x00\x53\x77\xa1\x02{}", "amqp:not-implemented"),
        ("plain", b"\x00\x53\x73\x45", "amqp:decode-error"),
        ("plain", b"garbage", "amqp:decode-error"),
        ("plain", b"\x00\x53\x75\xa1\x02{}", "amqp:decode-error"),
        ("plain", b"\x00\x53\x74\xc1\x07\x02\xa1\x01k\xa0\x01v\x00\x53\x75\xa0\x01x", "amqp:invalid-field"),
        ("plain", b"\x00\x53\x74\xc1\x0d\x02\xa1\x01k" + NOT_A_NUMBER + b"\x00\x53\x75\xa0\x01x", "amqp:invalid-field"),
        ("plain", b"\x00\x53\x73\xc0\x84\x01\xa1\x81" + b"i" * 129 + b"\x00\x53\x75\xa0\x01x", "amqp:invalid-field"),
    ],
)  # fmt: skip
async def test_what_cannot_be_taken_is_rejected_with_a_reason(bench: Bench, target: str, raw: bytes, condition: str):
    peer = await bench.peer()
    link = peer.sender(target)
    peer.send(link, raw or encoded())
    await peer.until(lambda: peer.outcomes)
    assert peer.outcomes == [("REJECTED", condition)]
    assert bench.waiting() == []
    peer.send(peer.sender("plain"), encoded())
    await peer.until(lambda: len(peer.outcomes) == 2)
    assert bench.waiting() == [("m-1", b"{}")], "and the connection is as good as before"


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 5_000_000] if importlib.util.find_spec("proton") else [0])
async def test_an_oversized_message_is_rejected_and_never_held(bench: Bench, size: int):
    peer = await bench.peer()
    link = peer.sender("plain")
    peer.send(link, encoded(b"x" * size))
    await peer.until(lambda: peer.outcomes)
    assert peer.outcomes == [("REJECTED", "amqp:link:message-size-exceeded")]
    peer.send(link, encoded())
    await peer.until(lambda: len(peer.outcomes) == 2)
    assert bench.waiting() == [("m-1", b"{}")]


async def test_what_was_accepted_is_in_the_file_whatever_comes_next(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), encoded())
    await accepted(peer)
    await bench.host.crash_and_restart()
    assert bench.waiting() == [("m-1", b"{}")]


async def test_an_id_that_was_seen_is_accepted_and_dropped(bench: Bench):
    peer = await bench.peer()
    link = peer.sender("plain")
    for _ in range(3):
        peer.send(link, encoded())
    await accepted(peer, 3)
    assert len(bench.waiting()) == 1


async def test_a_message_has_its_properties_as_the_trigger_shows_them(bench: Bench):
    peer = await bench.peer()
    at = proton.timestamp(1_700_000_000_000)
    raw = encoded(subject="S", correlation_id="C", group_id="s", properties={"n": 1, "t": "x", "b": True, "at": at})
    peer.send(peer.sender("plain"), raw)
    await accepted(peer)
    message = bench.host.receiver.receive("plain").message
    assert (message.subject, message.correlation_id, message.session_id) == ("S", "C", "s")
    assert message.properties == '{"n": 1, "t": "x", "b": true, "at": "2023-11-14T22:13:20+00:00"}'


async def test_a_scheduled_message_waits_for_its_time(bench: Bench):
    peer = await bench.peer()
    later = proton.timestamp(int((bench.host.clock.now + 30) * 1000))
    peer.send(peer.sender("plain"), encoded(annotations={proton.symbol("x-opt-scheduled-enqueue-time"): later}))
    await accepted(peer)
    assert bench.waiting() == []
    bench.host.clock.now += 31
    await peer.until(lambda: bench.host.receiver.queue("plain").ready)


# receiving


async def test_a_message_that_is_handed_out_is_locked_until_it_is_settled(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), encoded())
    peer.receiver("plain")
    await peer.until(lambda: peer.deliveries)
    assert bench.waiting() == []
    peer.settle(peer.deliveries[0], proton.Delivery.ACCEPTED)
    await peer.until(lambda: peer.deliveries[0].settled)
    bench.host.clock.now += 61
    await asyncio.sleep(0.05)
    assert bench.waiting() == []


async def test_a_lock_outlives_its_link_and_lapses_in_its_own_time(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), encoded())
    peer.receiver("plain")
    await peer.until(lambda: peer.deliveries)
    await peer.close()
    await asyncio.sleep(0.05)
    assert bench.waiting() == []
    bench.host.clock.now += 61
    other = await bench.peer()
    await other.until(lambda: bench.host.receiver.queue("plain").ready)


async def test_a_released_message_comes_again_and_is_not_counted(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), encoded())
    peer.receiver("plain", credit=10)
    for turn in range(5):
        await peer.until(lambda turn=turn: len(peer.deliveries) == turn + 1)
        message = proton.Message()
        message.decode(peer.received[turn])
        assert message.delivery_count == 0
        peer.settle(peer.deliveries[turn], proton.Delivery.RELEASED)


async def test_an_abandoned_message_is_dead_after_its_last_delivery(bench: Bench):
    peer = await bench.peer()
    peer.send(peer.sender("plain"), encoded())
    peer.receiver("plain", credit=10)
    for turn in range(3):
        await peer.until(lambda turn=turn: len(peer.deliveries) == turn + 1)
        peer.settle(peer.deliveries[turn], proton.Delivery.MODIFIED)
    peer.receiver(DEAD)
    await peer.until(lambda: len(peer.received) == 4)
    dead = proton.Message()
    dead.decode(peer.received[3])
    assert dead.properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert dead.annotations[proton.symbol("x-opt-deadletter-source")] == "plain"


async def test_a_session_whose_link_is_gone_is_free_at_once_with_all_its_messages(bench: Bench):
    peer = await bench.peer()
    link = peer.sender("talk")
    for n in range(3):
        peer.send(link, encoded(message_id=f"m-{n}", group_id="s"))
    await accepted(peer, 3)
    peer.receiver("talk", any_session=True)
    await peer.until(lambda: len(peer.deliveries) == 3)
    await peer.close()
    other = await bench.peer()
    other.receiver("talk", session="s")
    await other.until(lambda: len(other.received) == 3)


async def test_who_waits_for_a_session_gets_the_next_that_has_a_message(bench: Bench):
    peer, other = await bench.peer(), await bench.peer()
    receiver = peer.receiver("talk", any_session=True)
    other.send(other.sender("talk"), encoded(group_id="fresh"))
    await peer.until(lambda: peer.received)
    accepted_filter = receiver.remote_source.filter
    accepted_filter.next()
    assert accepted_filter.get_dict() == {proton.symbol("com.microsoft:session-filter"): "fresh"}


async def test_a_session_has_one_holder(bench: Bench):
    peer, other = await bench.peer(), await bench.peer()
    held = peer.receiver("talk", session="s")
    await peer.until(lambda: held.state & proton.Endpoint.REMOTE_ACTIVE)
    assert await other.refused(other.receiver("talk", session="s")) == "com.microsoft:session-cannot-be-locked"


async def test_a_session_whose_lock_lapses_is_taken_from_its_link(bench: Bench):
    peer = await bench.peer()
    held = peer.receiver("talk", session="s")
    await peer.until(lambda: held.state & proton.Endpoint.REMOTE_ACTIVE)
    bench.host.clock.now += 61
    assert await peer.refused(held) == "com.microsoft:session-lock-lost"


async def test_who_waits_for_a_session_in_vain_is_told_when_its_time_is_up(bench: Bench):
    peer = await bench.peer()
    waiting = peer.receiver("talk", any_session=True, properties={"com.microsoft:timeout": proton.uint(100)})
    assert await peer.refused(waiting) == "com.microsoft:timeout"


async def test_who_waits_for_a_session_no_longer_is_forgotten_at_once(bench: Bench):
    peer = await bench.peer()
    link = peer.receiver("talk", any_session=True, properties={"com.microsoft:timeout": proton.uint(300_000)})
    waiting = bench.host.listener._consumers
    await peer.until(lambda: waiting.get("talk"))
    kept = weakref.ref(waiting["talk"][0])
    link.close()
    peer.flush()
    await peer.until(lambda: not waiting["talk"])
    await asyncio.sleep(0.02)
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(
    ("source", "session", "condition"),
    [
        ("nowhere", None, "amqp:not-found"),
        ("talk", None, "amqp:not-allowed"),
        ("plain", "s", "amqp:not-allowed"),
        (DEAD, "s", "amqp:not-allowed"),
        ("nowhere/$management", None, "amqp:not-found"),
    ],
)
async def test_a_receiver_that_cannot_be_is_refused(bench: Bench, source: str, session: str | None, condition: str):
    peer = await bench.peer()
    assert await peer.refused(peer.receiver(source, session=session)) == condition


@pytest.mark.parametrize(("source", "session"), [("plain", None), (DEAD, None), ("talk", "s")])
async def test_by_default_nobody_takes_messages_from_the_app(as_served: Bench, source: str, session: str | None):
    peer = await as_served.peer()
    peer.send(peer.sender("plain"), encoded())
    await accepted(peer)
    assert await peer.refused(peer.receiver(source, session=session)) == "amqp:unauthorized-access"
    assert as_served.waiting() == [("m-1", b"{}")]


async def test_a_consumer_that_reads_nothing_does_not_fill_our_memory(bench: Bench):
    for n in range(200):
        message = NewMessage("plain", "", 0.0, f"m-{n}", "", "", "", os.urandom(100_000))
        await bench.host.lanes.send([message])
    slow = await bench.peer()
    slow._reading.cancel()
    slow.writer.transport.pause_reading()
    slow.receiver("plain", credit=1000)
    await slow.until(lambda: bench.host.receiver.queue("plain").locked)
    await asyncio.sleep(0.3)
    assert bench.host.receiver.queue("plain").locked < 150, "the rest waits in the file"
    slow.writer.transport.resume_reading()
    slow.read_on()
    await slow.until(lambda: len(slow.received) == 200)


# whoever connects


async def test_a_peer_that_says_nothing_is_let_go(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(amqp_connection, "HANDSHAKE_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.host.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b"", "the end"
    writer.transport.abort()


async def test_a_peer_that_gets_in_and_opens_nothing_is_let_go(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(amqp_connection, "HANDSHAKE_SECONDS", 0.1)
    _, writer = await asyncio.open_connection("127.0.0.1", bench.host.port)
    writer.write(SASL_HEADER + sasl_init(b"ANONYMOUS") + AMQP_HEADER)
    peer = await bench.peer()
    await peer.until(lambda: len(bench.host.listener._connections) == 2)
    await peer.until(lambda: len(bench.host.listener._connections) == 1)
    peer.send(peer.sender("plain"), encoded())
    await accepted(peer)
    writer.transport.abort()


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 64, b"AMQP\x00\x01\x00\x00" + b"\x00\x00\x00\x08\x02\x00\x00\x00" + b"\xff" * 99]
)
async def test_a_peer_that_sends_garbage_harms_itself_alone(bench: Bench, garbage: bytes):
    peer, wild = await bench.peer(), await bench.peer()
    wild.writer.write(garbage)
    await wild.until(lambda: wild.gone)
    peer.send(peer.sender("plain"), encoded())
    await accepted(peer)


def listed(*members: bytes) -> bytes:
    content = b"".join(members)
    return b"\xd0" + (len(content) + 4).to_bytes(4) + len(members).to_bytes(4) + content


def attach_frame(source_filter: bytes, properties: bytes) -> bytes:
    source = b"\x00\x53\x28" + listed(b"\xa1\x05plain", *[b"\x40"] * 6, source_filter)
    target = b"\x00\x53\x29" + listed(b"\xa1\x04peer")
    fields = [b"\xa1\x01L", b"\x52\x05", b"\x41", b"\x40", b"\x40", source, target, *[b"\x40"] * 6, properties]
    body = b"\x00\x53\x12" + listed(*fields)
    return (len(body) + 8).to_bytes(4) + b"\x02\x00\x00\x00" + body


@pytest.mark.parametrize("deep", [b"\xd0" + b"\x7f" * 8, None, "described"])
async def test_an_attach_that_is_nested_beyond_reason_harms_its_sender_alone(bench: Bench, deep: bytes | str | None):
    nested = b"\x40"
    for _ in range(2_000):
        nested = listed(nested) if deep is None else b"\x00\x53\x01" + nested
    nested = deep if isinstance(deep, bytes) else nested
    for frame in (attach_frame(nested, b"\x40"), attach_frame(b"\x40", nested)):
        wild = await bench.peer()
        wild.writer.write(frame)
        await asyncio.sleep(0.02)
    peer = await bench.peer()
    peer.send(peer.sender("plain"), encoded())
    await accepted(peer)


async def test_a_connection_has_so_many_links_and_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(amqp, "MAX_LINKS", 3)
    peer = await bench.peer()
    links = [peer.sender("plain") for _ in range(4)]
    assert await peer.refused(links[3]) == "amqp:resource-limit-exceeded"
    peer.send(links[0], encoded())
    await accepted(peer)


async def test_there_are_so_many_connections_and_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(amqp, "MAX_CONNECTIONS", 2)
    kept = [await bench.peer() for _ in range(2)]
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await bench.peer()
    await kept[0].close()
    await asyncio.sleep(0.05)
    await bench.peer()


async def test_a_producer_that_dies_in_mid_transfer_leaves_nothing(bench: Bench):
    peer = await bench.peer()
    link = peer.sender("plain")
    await peer.until(lambda: link.credit)
    link.delivery("half")
    link.stream(encoded(b"x" * 100_000)[:90_000])
    peer.flush()
    await asyncio.sleep(0.05)
    await peer.close()
    await asyncio.sleep(0.05)
    assert bench.waiting() == []


async def test_who_begins_transfers_without_end_is_stopped_before_they_fill_our_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(amqp_connection, "MAX_UNFINISHED_BYTES", 500_000)
    patient, greedy = await bench.peer(), await bench.peer()
    kept = {peer: [peer.sender("plain") for _ in range(many)] for peer, many in ((patient, 4), (greedy, 6))}
    for peer, links in kept.items():
        await peer.until(lambda links=links: all(link.credit for link in links))
        for number, link in enumerate(links):
            link.delivery("half")
            link.stream(encoded(b"x" * 100_000, message_id=f"m-{number}")[:100_000])
            peer.flush()
    await greedy.until(lambda: greedy.gone)
    for number, link in enumerate(kept[patient]):
        link.stream(encoded(b"x" * 100_000, message_id=f"m-{number}")[100_000:])
        link.advance()
    patient.flush()
    await accepted(patient, 4)


async def test_a_producer_that_is_faster_than_the_disk_is_read_more_slowly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(amqp_connection, "MAX_UNWRITTEN_BYTES", 200_000)
    written, disk = bench.host.lanes.send, asyncio.Event()
    begun: list[object] = []

    async def slowly(messages: list[NewMessage]) -> object:
        begun.append(messages)
        await disk.wait()
        return await written(messages)

    monkeypatch.setattr(bench.host.lanes, "send", slowly)
    fast, other = await bench.peer(), await bench.peer()
    link = fast.sender("plain")
    await fast.until(lambda: link.credit)
    for number in range(40):
        fast.send(link, encoded(os.urandom(50_000), message_id=f"m-{number}"))
    await fast.until(lambda: begun)
    await asyncio.sleep(0.2)
    assert len(begun) < 20, "the rest waits with its sender"
    other.send(other.sender("plain"), encoded(message_id="other"))
    await other.until(lambda: any(one[0].message_id == "other" for one in begun))
    disk.set()
    await accepted(fast, 40)
    await accepted(other)


async def test_answers_that_nobody_takes_do_not_pile_up(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(amqp_management, "MAX_UNREAD", 3)
    peer = await bench.peer()
    answers = peer.receiver("$cbs", credit=0)
    asking = peer.sender("$cbs")
    await peer.until(lambda: asking.credit)
    request = proton.Message(body="token", id="1", reply_to="peer", properties={"operation": "put-token"})
    for _ in range(10):
        peer.send(asking, bytes(request.encode()))
    await accepted(peer, 10)
    answers.flow(100)
    peer.flush()
    await peer.until(lambda: len(peer.received) == 3)
    peer.send(asking, bytes(request.encode()))
    await peer.until(lambda: len(peer.received) == 4)


async def test_two_hundred_who_only_connect_do_not_hinder_who_is_there(bench: Bench):
    peer = await bench.peer()
    link = peer.sender("plain")
    crowd = [(await asyncio.open_connection("127.0.0.1", bench.host.port))[1] for _ in range(200)]
    peer.send(link, encoded())
    await accepted(peer)
    await peer.until(lambda: len(bench.host.listener._connections) == amqp.MAX_CONNECTIONS)
    for one in crowd:
        one.transport.abort()


async def test_a_port_that_is_taken_is_one_clear_line(bench: Bench):
    second = amqp.AmqpListener(lanes=bench.host.lanes, receiver=bench.host.receiver, port=bench.host.port)
    with pytest.raises(ConfigurationError, match="--amqp-port"):
        await second.start()
