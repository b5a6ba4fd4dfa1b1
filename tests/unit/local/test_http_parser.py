"""HTTP requests from bytes, whole, in pieces, and wrong in every way we could think of."""

from __future__ import annotations

import random

import pytest

from local.http_parser import RefusedError, Request, RequestParser


def parsed(data: bytes, *, step: int = 0, limit: int = 1000) -> list[Request]:
    parser, found = RequestParser(max_body_bytes=limit), []
    for start in range(0, len(data), step or len(data) or 1):
        parser.feed(data[start : start + (step or len(data))])
        while (request := parser.take()) is not None:
            found.append(request)
    return found


GET = b"GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED_HEAD = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = CHUNKED_HEAD + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: v\r\n\r\n"


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7])
def test_requests_are_the_same_however_they_are_cut(step: int):
    got = parsed(GET + POST + CHUNKED + GET, step=step)
    assert [(r.method, r.target, r.body) for r in got] == [
        ("GET", "/a?b=c", b""),
        ("POST", "/a", b"hello"),
        ("POST", "/a", b"hello world"),
        ("GET", "/a?b=c", b""),
    ]


def test_header_names_are_lower_case_and_repeats_are_joined():
    (request,) = parsed(b"GET / HTTP/1.1\r\nHost: h\r\nX-A:  one \r\nx-a:two\r\nEmpty:\r\n\r\n")
    assert request.headers == {"host": "h", "x-a": "one, two", "empty": ""}


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_who_keeps_the_connection(head: bytes, keep_alive: bool):
    assert parsed(head + b"\r\n")[0].keep_alive is keep_alive


def test_100_continue_is_due_once_and_only_while_the_body_is_missing():
    parser = RequestParser()
    parser.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert parser.take() is None
    assert parser.continue_due()
    assert not parser.continue_due()
    parser.feed(b"ok")
    assert parser.take().body == b"ok"


def head(*lines: bytes, start: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([start, b"Host: h", *lines, b"", b""])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls hello\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        (head(b"Host: other"), 400),
        (head(b"Name : value"), 400),
        (head(b"A: b", b" folded"), 400),
        (head(b"A: b\x00c"), 400),
        (head(b"A: b\rc"), 400),
        (head(b": b"), 400),
        (head(b"no colon"), 400),
        (head(b"Content-Length: 5", b"Content-Length: 6"), 400),
        (head(b"Content-Length: 5", b"Content-Length: 5"), 400),
        (head(b"Content-Length: -1"), 400),
        (head(b"Content-Length: +1"), 400),
        (head(b"Content-Length: 0x5"), 400),
        (head(b"Content-Length: 1_0"), 400),
        (head("Content-Length: ٣".encode()), 400),
        (head(b"Content-Length: 99999999999999999999"), 400),
        (head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        (head(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"), 400),
        (head(b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"Transfer-Encoding: identity"), 501),
        (head(b"Expect: tea"), 417),
        (head(b"Content-Length: 1001"), 413),
        (head(b"Transfer-Encoding: chunked") + b"3e9\r\n", 413),
        (head(b"Transfer-Encoding: chunked") + b"\r\n", 400),
        (head(b"Transfer-Encoding: chunked") + b"-5\r\n", 400),
        (head(b"Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n", 400),
        (head(b"Transfer-Encoding: chunked") + b"5\r\nhelloX\r\n", 400),
        (head(b"Transfer-Encoding: chunked") + b"5" * 300, 400),
        (head(b"Transfer-Encoding: chunked") + b"0\r\nbad trailer\r\n\r\n", 400),
        (head(b"X: " + b"y" * 20_000), 431),
        (b"GET /" + b"a" * 20_000, 431),
        (head(*[b"X: y"] * 101), 431),
    ],
)
@pytest.mark.parametrize("step", [0, 1])
def test_what_is_doubtful_is_refused(data: bytes, status: int, step: int):
    with pytest.raises(RefusedError) as refused:
        parsed(data, step=step)
    assert refused.value.status == status


def mangled(dice: random.Random) -> bytes:
    seeds = [GET, POST, CHUNKED, head(b"Expect: 100-continue", b"Content-Length: 3") + b"abc"]
    data = bytearray(dice.choice(seeds) * dice.randrange(1, 3))
    for _ in range(dice.randrange(1, 8)):
        position = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[position] = dice.randrange(256)
            case 1:
                del data[position : position + dice.randrange(1, 6)]
            case 2:
                data[position:position] = dice.choice([b"\r\n", b"\n", b"\0", b" ", b":", b"0\r\n", b"\xff" * 5])
            case 3:
                data += data[position : position + 9]
        data = data or bytearray(b"\r")
    return bytes(data)


def outcome(data: bytes, step: int) -> list[object]:
    try:
        return [*parsed(data, step=step)]
    except RefusedError as refused:
        return [refused.status]


def test_five_hundred_mangled_requests_are_parsed_or_refused_and_nothing_else():
    dice = random.Random(11)
    outcomes = [outcome(mangled(dice), dice.randrange(0, 4)) for _ in range(500)]
    refusals = [o[0] for o in outcomes if o and isinstance(o[0], int)]
    assert all(400 <= status < 600 for status in refusals)
    assert 50 < len(refusals) < 450, "the mangling neither always nor never matters"
