"""The server on a real socket: limits, time-outs and connections that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from local.http_answers import Answer, Problem, Response
from local.http_parser import Request
from local.http_server import HttpServer, Limits

FAST = Limits(head=0.15, body=0.15, write=0.3, idle=0.15, connections=3, sweep=0.03)


async def echo(request: Request) -> Answer:
    if request.target == "/broken":
        raise RuntimeError("no")
    if request.target == "/slow":
        await asyncio.sleep(0.2)
    if request.target == "/split":
        return Response(200, [("X", "a\r\nInjected: yes")], b"")
    if request.target == "/missing":
        return Problem(404, "there is no such thing")
    if request.target == "/none":
        return Response(204, [("Content-Length", "7"), ("X-Kept", "yes")], b"ignored")
    if request.target == "/big":
        return Response(200, [], b"x" * 30_000_000)
    return Response(200, [("X-Method", request.method)], request.body or request.target.encode())


@asynccontextmanager
async def serving(limits: Limits | None = None) -> AsyncIterator[tuple[HttpServer, Callable[[], Awaitable]]]:
    server = HttpServer(echo, limits=limits)
    await server.start(0)
    writers = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writers.append(writer)
        return reader, writer

    try:
        yield server, connect
    finally:
        for writer in writers:
            writer.close()
        await server.stop(0.1)
        await asyncio.sleep(0)


async def answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
    async with asyncio.timeout(3):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        length = 0 if head_only else int(headers.get("content-length", "0"))
        return int(head[0].split()[1]), headers, await reader.readexactly(length)


def get(path: str = "/", method: str = "GET", extra: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode()


async def test_one_connection_serves_many_requests_also_sent_ahead():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get("/1") + get("/2") + get("/3"))
        assert [(await answer(reader))[2] for _ in range(3)] == [b"/1", b"/2", b"/3"]
        writer.write(get("/4"))
        assert (await answer(reader))[2] == b"/4"


async def test_a_head_request_gets_the_length_and_no_body():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get("/abc", "HEAD") + get("/2"))
        status, headers, _ = await answer(reader, head_only=True)
        assert (status, headers["content-length"]) == (200, "4")
        assert (await answer(reader))[2] == b"/2"


async def test_no_content_has_no_length():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get("/none") + get("/2"))
        status, headers, _ = await answer(reader)
        assert (status, headers.get("content-length"), headers["x-kept"]) == (204, None, "yes")
        assert (await answer(reader))[2] == b"/2"


async def test_expect_continue_is_answered_before_the_body():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get("/", "POST", "Content-Length: 3\r\nExpect: 100-continue\r\n"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await answer(reader))[2] == b"abc"


async def test_connection_close_is_honoured():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get("/", extra="Connection: close\r\n"))
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""


async def test_a_refused_body_is_answered_although_it_goes_on_coming():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get("/", "POST", "Content-Length: 20000000\r\n"))
        writer.write(b"x" * 3_000_000)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (413, "close")


@pytest.mark.parametrize(
    "sent",
    [
        get("/broken", extra="X-Correlation-Id: {}\r\n"),
        get("/split", extra="X-Correlation-Id: {}\r\n"),
        get("/", "POST", "X-Correlation-Id: {}\r\nContent-Length: 20000000\r\n"),
        get("/missing", extra="X-Correlation-Id: {}\r\n"),
    ],
)
@pytest.mark.parametrize("told", ["case-7.a:b", "", "no id", "x" * 65])
async def test_a_problem_of_the_host_carries_the_callers_correlation_id_or_a_new_one(sent: bytes, told: str):
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(sent.replace(b"{}", told.encode()))
        status, headers, body = await answer(reader)
        problem = json.loads(body)
        assert problem["status"] == status
        assert headers["x-correlation-id"] == problem["correlation_id"]
        if told == "case-7.a:b":
            assert problem["correlation_id"] == told
        else:
            assert re.fullmatch("[0-9a-f]{32}", problem["correlation_id"])


async def test_garbage_is_a_400_problem():
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        status, headers, _ = await answer(reader)
        assert (status, headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("path", ["/broken", "/split"])
async def test_a_handler_that_fails_is_a_500_and_the_connection_lives(path: str):
    async with serving() as (_, connect):
        reader, writer = await connect()
        writer.write(get(path) + get("/2"))
        status, headers, _ = await answer(reader)
        assert status == 500
        assert "injected" not in headers
        assert (await answer(reader))[2] == b"/2"


@pytest.mark.parametrize(
    ("sent", "status"), [(b"GET / HT", 408), (get("/", "POST", "Content-Length: 5\r\n") + b"ab", 408), (b"", None)]
)
async def test_a_slow_client_is_cut_off(sent: bytes, status: int | None):
    async with serving(FAST) as (server, connect):
        reader, writer = await connect()
        writer.write(sent)
        async with asyncio.timeout(2):
            got = await reader.read()
        assert got.startswith(f"HTTP/1.1 {status}".encode()) if status else got == b""
        writer.close()
        await asyncio.sleep(0.05)
        assert not server.connections


async def test_dripping_a_head_does_not_wind_the_clock_up_again():
    async with serving(FAST) as (_, connect):
        reader, writer = await connect()
        got = asyncio.ensure_future(reader.read())
        for byte in get("/" + "a" * 200):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
            if got.done():
                break
        assert got.result().startswith(b"HTTP/1.1 408")


async def test_a_handler_may_take_longer_than_any_time_out():
    async with serving(FAST) as (_, connect):
        reader, writer = await connect()
        writer.write(get("/slow"))
        assert (await answer(reader))[0] == 200


async def test_a_client_that_does_not_read_its_answer_is_cut_off():
    async with serving(FAST) as (server, connect):
        _, writer = await connect()
        writer.transport.pause_reading()
        writer.write(get("/big"))
        await asyncio.sleep(0.1)
        assert server.connections
        await asyncio.sleep(0.6)
        assert not server.connections


async def test_too_many_connections_are_told_so():
    async with serving(FAST._replace(idle=5, head=5)) as (_, connect):
        for _ in range(3):
            await connect()
        await asyncio.sleep(0.02)
        reader, _ = await connect()
        assert (await answer(reader))[0] == 503


async def test_stopping_lets_a_running_request_end_and_refuses_new_ones():
    async with serving() as (server, connect):
        reader, writer = await connect()
        idle, _ = await connect()
        writer.write(get("/slow"))
        await asyncio.sleep(0.05)
        await server.stop(2)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await idle.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_caller_that_leaves_does_not_disturb_the_others():
    async with serving() as (_, connect):
        _, leaving = await connect()
        leaving.write(get("/slow"))
        await asyncio.sleep(0.02)
        leaving.transport.abort()
        reader, writer = await connect()
        writer.write(get("/2"))
        assert (await answer(reader))[2] == b"/2"
        await asyncio.sleep(0.25)
