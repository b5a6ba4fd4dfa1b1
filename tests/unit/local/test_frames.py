"""What the host and its worker processes send each other arrives whole, however the socket cuts it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from local.frames import Frames, Header


class Wire(asyncio.WriteTransport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


SENT: list[tuple[Header, bytes]] = [
    (["service_bus", "orders", "id-1", {"SequenceNumber": 9_007_199_254_740_993, "SessionId": "é"}, ""], b"\xff\x00{"),
    (["sent"], b""),
    (["done", "id-1", False, "RuntimeError: \n"], b"x" * 70_000),
]


async def on_the_wire() -> Wire:
    wire = Wire()
    sender = Frames(lambda *_: None, lambda: None)
    sender.connection_made(wire)
    for header, body in SENT:
        sender.send(header, body)
    await asyncio.sleep(0)
    return wire


async def test_what_one_turn_of_the_loop_sends_is_one_write():
    wire = await on_the_wire()
    assert len(wire.writes) == 1


@pytest.mark.parametrize("size", [1, 7, 8, 9, 65_536, 1_000_000])
async def test_frames_arrive_whole_and_in_order_however_they_are_cut(size: int):
    (data,) = (await on_the_wire()).writes
    if size == 1:
        data = data[:200]  # byte by byte is slow, and the first two frames show it
    taken: list[tuple[Header, bytes]] = []
    receiver = Frames(lambda header, body: taken.append((header, body)), lambda: None)
    cuts = [*range(0, len(data), size), len(data)]
    for start, end in pairwise(cuts):
        receiver.data_received(data[start:end])
    assert taken == SENT[: 2 if size == 1 else 3]


async def test_what_is_sent_to_somebody_who_is_gone_disturbs_nobody():
    lost: list[str] = []
    wire, sender = Wire(), Frames(lambda *_: None, lambda: lost.append("lost"))
    sender.connection_made(wire)
    sender.connection_lost(ConnectionResetError())
    sender.send(["sent"])
    await asyncio.sleep(0)
    assert (lost, wire.writes) == (["lost"], [])


async def test_closing_sends_first_what_was_still_waiting():
    wire, sender = Wire(), Frames(lambda *_: None, lambda: None)
    sender.connection_made(wire)
    sender.send(["down", "why"])
    sender.close()
    assert wire.closed
    assert b"why" in wire.writes[0]
