"""AMQP bytes from outside: read exactly, or refused."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from local.amqp_sasl import AMQP_HEADER, SASL_HEADER, Handshake
from local.amqp_values import (
    APPLICATION_PROPERTIES,
    DATA,
    MalformedError,
    Timestamp,
    list_at,
    map_at,
    sections,
    value_at,
)

SOME_ID = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x40", None),
        (b"\x41", True),
        (b"\x42", False),
        (b"\x56\x01", True),
        (b"\x43", 0),
        (b"\x44", 0),
        (b"\x52\x07", 7),
        (b"\x54\xff", -1),
        (b"\x70\x00\x00\x01\x00", 256),
        (b"\x71\xff\xff\xff\xff", -1),
        (b"\x80" + b"\xff" * 8, 2**64 - 1),
        (b"\x81" + b"\xff" * 8, -1),
        (b"\x82\x3f\xf0" + b"\x00" * 6, 1.0),
        (b"\x83" + (1_800_000_000_000).to_bytes(8), Timestamp(1_800_000_000_000)),
        (b"\x98" + SOME_ID.bytes, SOME_ID),
        (b"\xa0\x02\x00\xff", b"\x00\xff"),
        (b"\xb0\x00\x00\x00\x01x", b"x"),
        (b"\xa1\x03\xe2\x82\xac", "€"),
        (b"\xb1\x00\x00\x00\x01x", "x"),
        (b"\xa3\x01s", "s"),
    ],
)
def test_a_simple_value_is_read_and_the_next_begins_behind_it(raw: bytes, value: object):
    assert value_at(raw + b"\x40", 0) == (value, len(raw))
    assert type(value_at(raw, 0)[0]) is type(value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x71\x00",
        b"\xa1\x05abc",
        b"\xb1\xff\xff\xff\xffx",
        b"\xa1\x01\xff",
        b"\x00\x53",
        b"\x00" * 40,
        b"\x10",
        b"\xc1\x01\x00",
        b"\x94" + b"\x00" * 16,
    ],
)
def test_what_is_no_simple_value_is_refused(raw: bytes):
    with pytest.raises(MalformedError):
        value_at(raw, 0)


def test_a_message_falls_into_its_sections():
    raw = b"\x00\x53\x74\xc1\x07\x02\xa1\x01k\xa1\x01v" + b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x75\xa0\x02hi"
    found = {section: (start, end) for section, start, end in sections(raw)}
    assert list(found) == [APPLICATION_PROPERTIES, DATA]
    assert map_at(raw, found[APPLICATION_PROPERTIES][0]) == {"k": "v"}
    assert value_at(raw, found[DATA][0])[0] == b"hi"


def test_what_is_nested_is_stepped_over_and_never_entered():
    deep = b"\x40"
    for _ in range(2_000):
        deep = b"\xd0" + (len(deep) + 4).to_bytes(4) + (1).to_bytes(4) + deep
    listed = b"\xa1\x01a" + deep + b"\xa1\x01b"
    assert list_at(b"\xd0" + (len(listed) + 4).to_bytes(4) + (3).to_bytes(4) + listed, 0, at_most=3) == ["a", None, "b"]


@pytest.mark.parametrize("raw", [b"\xc0\x01\x05", b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff", b"\xa1\x01x", b"\xc0\x00"])
def test_a_list_that_says_more_than_it_holds_is_refused(raw: bytes):
    with pytest.raises(MalformedError):
        list_at(raw, 0, at_most=11)


def test_random_bytes_are_read_or_refused_and_nothing_else():
    chance = random.Random(5)
    for _ in range(4_000):
        raw = bytes(chance.choice((0, 0x53, 0x74, 0x75, 0xC1, 0xD1, 0xA1, chance.randrange(256))) for _ in range(24))
        for read in (
            lambda raw: list(sections(raw)),
            lambda raw: map_at(raw, 0),
            lambda raw: list_at(raw, 0, at_most=9),
        ):
            try:
                read(raw)
            except MalformedError:
                continue


def sasl_init(mechanism: bytes) -> bytes:
    body = (
        b"\x00\x53\x41\xc0" + bytes([len(mechanism) + 4, 2]) + b"\xa3" + bytes([len(mechanism)]) + mechanism + b"\x40"
    )
    return (len(body) + 8).to_bytes(4) + b"\x02\x01\x00\x00" + body


@pytest.mark.parametrize("mechanism", [b"ANONYMOUS", b"PLAIN", b"MSSBCBS"])
def test_every_sdk_gets_through_the_handshake_in_whatever_pieces_it_comes(mechanism: bytes):
    sent = SASL_HEADER + sasl_init(mechanism) + AMQP_HEADER + b"more"
    whole, pieces = Handshake(), Handshake()
    answer = whole.receive(sent)
    assert answer == b"".join(pieces.receive(bytes([byte])) for byte in sent if not pieces.done)
    assert answer.startswith(SASL_HEADER)
    assert answer.endswith(b"\x50\x00"), "the outcome is: welcome"
    assert (whole.done, whole.rest) == (True, AMQP_HEADER + b"more")
    assert pieces.done


def test_who_speaks_amqp_at_once_needs_no_handshake():
    handshake = Handshake()
    assert handshake.receive(AMQP_HEADER + b"x") == b""
    assert (handshake.done, handshake.rest) == (True, AMQP_HEADER + b"x")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\x02\x01\x00\x00",
        SASL_HEADER + sasl_init(b"GSSAPI"),
        SASL_HEADER + b"\xff" * 20,
        SASL_HEADER + b"\x00\x00\x00\x08\x02\x01\x00\x00",
        SASL_HEADER + b"\x00\x00\x00\x0c\xff\x01\x00\x00abcd",
    ],
)
def test_whoever_speaks_something_else_is_turned_away(sent: bytes):
    handshake = Handshake()
    handshake.receive(sent)
    assert (handshake.failed, handshake.done) == (True, False)
