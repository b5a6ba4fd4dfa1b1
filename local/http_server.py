"""A small HTTP/1.1 server for this machine alone: sockets, limits and time-outs. What to answer is the handler's.

One request at a time per connection; a connection that waits costs one object and no task. One sweep per second
closes connections that are too slow, instead of a timer for each request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any, NamedTuple, cast

from local.http_answers import Answer, Problem, Relayed, Response, Sink, is_sound, whole
from local.http_parser import RefusedError, Request, RequestParser

logger = logging.getLogger("countersign.local.http")

MAX_CONNECTIONS = 512
HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0
WRITE_SECONDS = 60.0
IDLE_SECONDS = 75.0
LINGER_SECONDS = 2.0
_READ_AHEAD_BYTES = 65_536


type Handler = Callable[[Request], Awaitable[Answer]]


class Limits(NamedTuple):
    """In seconds; tests shorten them."""

    head: float = HEAD_SECONDS
    body: float = BODY_SECONDS
    write: float = WRITE_SECONDS
    idle: float = IDLE_SECONDS
    connections: int = MAX_CONNECTIONS
    sweep: float = 1.0


class HttpServer:
    """Listens on loopback only. `start`, then `stop(grace)`, which lets requests in flight end."""

    def __init__(self, handler: Handler, *, limits: Limits | None = None) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.connections: set[_Connection] = set()
        self.stopping = False
        self.port = 0
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._date = (0, "")

    async def start(self, port: int) -> None:
        """Bind 127.0.0.1; port 0 takes a free one. `OSError` when it is taken."""
        loop = asyncio.get_running_loop()
        # TCP by name: only then asyncio turns Nagle's algorithm off, which holds a stream's small pieces for 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            # Not asyncio's own binding: it sets SO_REUSEADDR, which is wanted, but also logs its way through errors.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            raise
        self._server = await loop.create_server(lambda: _Connection(self), sock=listener, backlog=512)
        self.port = int(listener.getsockname()[1])
        self._sweeper = loop.create_task(self._sweep())

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing more, close idle connections, wait for those at work, then cut what is left."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        at_work = [connection.task for connection in self.connections if connection.task is not None]
        if at_work:
            await asyncio.wait(at_work, timeout=grace_seconds)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])

    def date(self) -> str:
        """The Date header, made once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True))
        return self._date[1]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.limits.sweep)
            now = time.monotonic()
            for connection in [c for c in self.connections if c.deadline < now]:
                connection.expire()


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = RequestParser()
        self._transport = cast(Any, None)  # set by connection_made, before anything else is called
        self._writable: asyncio.Future[None] | None = None
        self._paused = self._gone = False
        self._ended = False
        self._phase = "idle"
        self._sink: Sink | None = None  # while an answer is relayed
        self.task: asyncio.Task[None] | None = None
        self.deadline = time.monotonic() + server.limits.head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if len(self._server.connections) >= self._server.limits.connections or self._server.stopping:
            self._answer(Problem(503, "too many connections", [("Retry-After", "1")]), "GET", {}, close=True)
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the protocol's signature
        # The function goes on to its end, as on the platform: a caller that left does not undo a command. Only what is
        # relayed to this caller alone ends with it.
        self._gone = True
        self._server.connections.discard(self)
        if self._sink is not None and self.task is not None:
            self.task.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def eof_received(self) -> bool:
        """A half-closed caller may still read its answer; one that is being streamed to has left."""
        self._ended = True
        return self.task is not None and self._sink is None

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        if self._phase == "refused":
            return
        self._parser.feed(data)
        if self.task is None:
            self._advance()
        elif not self._paused and self._parser.buffered > _READ_AHEAD_BYTES:
            self._transport.pause_reading()
            self._paused = True

    def _advance(self) -> None:
        """Take the next request if it is whole, else set the clock for what is missing."""
        try:
            request = self._parser.take()
        except RefusedError as refused:
            self._refuse(Problem(refused.status, refused.detail))
            return
        if request is None:
            self._await_more()
            return
        self.deadline = float("inf")
        self._phase = "busy"
        self.task = asyncio.get_running_loop().create_task(self._serve(request))

    def _await_more(self) -> None:
        limits = self._server.limits
        if self._parser.continue_due():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        phase = "idle" if self._parser.idle else "body" if self._parser.in_body else "head"
        if phase != self._phase:  # the clock of a phase starts once: dripping bytes does not wind it up again
            self._phase = phase
            seconds = {"idle": limits.idle, "head": limits.head, "body": limits.body}[phase]
            self.deadline = time.monotonic() + seconds

    async def _serve(self, request: Request) -> None:
        try:
            answer: Answer | None = await self._server.handler(request)
        except Exception:
            logger.exception("the host failed to answer %s %s", request.method, request.target)
            answer = Problem(500, "the host failed; its log says why")
        close = not request.keep_alive or self._server.stopping or self._ended
        if isinstance(answer, Relayed):
            answer, close = await self._relay(answer, request, close=close)
        if answer is not None:
            self._answer(answer, request.method, request.headers, close=close)
        await self._drained()
        self.task = None
        if close or self._gone:
            return
        if self._paused:
            self._transport.resume_reading()
            self._paused = False
        self._advance()

    async def _relay(self, answer: Relayed, request: Request, *, close: bool) -> tuple[Problem | None, bool]:
        """What is still to be answered, None when nothing is, and whether the connection ends with it."""
        if self._gone or self._ended:
            self.abort()
            return None, True
        sink = Sink(request, self._transport.write, self._drained, date=self._server.date(), close=close)
        self._sink = sink
        try:
            problem = await answer.relay(sink)
        except Exception:
            logger.exception("the host failed to relay %s %s", request.method, request.target)
            problem = Problem(500, "the host failed; its log says why")
        self._sink = None
        if not sink.begun:
            return problem or Problem(500, "there was no answer"), close
        if problem is not None:
            logger.warning("the answer to %s %s was cut short: %s", request.method, request.target, problem.detail)
            self.abort()
        else:
            sink.end()
            if sink.closes:
                self._transport.close()
        return None, sink.closes or problem is not None

    async def _drained(self) -> None:
        """Once the reader has taken what was written, or is gone; the sweep ends a reader that never does."""
        if self._writable is not None:
            self.deadline = time.monotonic() + self._server.limits.write
            await self._writable
            self.deadline = float("inf")

    def _answer(
        self, answer: Response | Problem, method: str, asked: Mapping[str, str], *, close: bool, last: bool = False
    ) -> None:
        if self._gone or self._transport.is_closing():
            return
        if isinstance(answer, Response) and not is_sound(answer.headers):
            answer = Problem(500, "the function answered with a malformed header")
        response = answer.response(asked) if isinstance(answer, Problem) else answer
        self._transport.write(whole(response, method, self._server.date(), close=close or last))
        if close:
            self._transport.close()
            self._server.connections.discard(self)

    def _refuse(self, refusal: Problem) -> None:
        """Answer, then read past what still comes: closing at once would reset the connection and lose the answer."""
        self._phase = "refused"
        self.deadline = time.monotonic() + LINGER_SECONDS
        self._answer(refusal, "GET", self._parser.headers, close=False, last=True)
        if not self._gone:
            self._transport.write_eof()

    def expire(self) -> None:
        """Too slow: say so if a request has begun, and close."""
        if self._phase in {"head", "body"}:
            self._refuse(Problem(408, "the request took too long to arrive"))
        elif self.task is not None or self._phase == "refused":
            self.abort()
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        """For shutdown: a connection without a request has nothing to wait for, and who only follows a stream comes
        back to another host."""
        if self.task is None:
            self._transport.close()
        elif self._sink is not None and self._sink.method == "GET":
            self.abort()

    def abort(self) -> None:
        """Drop the connection now."""
        if not self._gone:
            self._transport.abort()
