"""What a request can be answered with, and the bytes of it (RFC 9112): whole answers, or ones that come in pieces."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

from local.http_parser import Request

_BODILESS = frozenset({204, 304})
_OURS = frozenset({"content-length", "connection", "date", "transfer-encoding", "keep-alive"})
_CORRELATION_HEADER = "X-Correlation-Id"
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_REASONS = {status.value: status.phrase for status in HTTPStatus}

type Headers = Sequence[tuple[str, str]]


class Response(NamedTuple):
    """What the handler answers; length, date and connection headers are the server's."""

    status: int
    headers: Headers
    body: bytes


class Problem(NamedTuple):
    """The host's own answer that something is wrong, before it is known which request it answers."""

    status: int
    detail: str
    headers: Headers = ()

    def response(self, asked: Mapping[str, str]) -> Response:
        """As RFC 9457, with the correlation id of the request's headers if it is well formed, else a new one."""
        told = asked.get(_CORRELATION_HEADER.lower(), "")
        correlation_id = told if _CORRELATION.fullmatch(told) else uuid.uuid4().hex
        body = {
            "type": f"urn:countersign:local-host:{self.status}",
            "title": _REASONS.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "correlation_id": correlation_id,
        }
        headers = [("Content-Type", "application/problem+json"), (_CORRELATION_HEADER, correlation_id), *self.headers]
        return Response(self.status, headers, json.dumps(body).encode())


class Relayed(NamedTuple):
    """An answer that comes piece by piece. `relay` is cancelled as soon as the caller leaves.

    It starts the answer in the sink, writes, and returns None at its end; or it returns what went wrong. A problem
    after the start cuts the connection: half an answer must not look like a whole one.
    """

    relay: Callable[[Sink], Awaitable[Problem | None]]


type Answer = Response | Problem | Relayed


class Sink:
    """Where one relayed answer is written: `start` once, then `write`. `drained` waits for a slow reader."""

    def __init__(
        self,
        request: Request,
        write: Callable[[bytes], None],
        drained: Callable[[], Awaitable[None]],
        *,
        date: str,
        close: bool,
    ) -> None:
        self.begun = False
        self.closes = close
        self.method = request.method
        self._takes_chunks = request.takes_chunks
        self._write, self._drained, self._date = write, drained, date
        self._chunked = self._bodiless = False

    async def start(self, status: int, headers: Headers) -> None:
        """The head. A length among `headers` is kept; without one the body is sent in chunks, or until the close."""
        if not is_sound(headers):
            raise ValueError("a header cannot be written as it is")
        self._bodiless = self.method == "HEAD" or status in _BODILESS
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self._chunked = length is None and not self._bodiless and self._takes_chunks
        self.closes |= length is None and not self._bodiless and not self._chunked
        framing = "Transfer-Encoding: chunked" if self._chunked else f"Content-Length: {length}" if length else ""
        self.begun = True
        self._write(_head(status, headers, framing, self._date, close=self.closes))
        await self._drained()

    async def write(self, data: bytes) -> None:
        """One piece of the body, sent at once."""
        if data and not self._bodiless:
            self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            await self._drained()

    def end(self) -> None:
        """The answer is whole."""
        if self._chunked:
            self._write(b"0\r\n\r\n")


def is_sound(headers: Headers) -> bool:
    """Whether the headers can be written as they are: none of them begins another."""
    return all(name.isascii() and not any(c in name or c in value for c in "\r\n\0") for name, value in headers)


def whole(response: Response, method: str, date: str, *, close: bool) -> bytes:
    """The bytes of a whole answer."""
    bodiless = response.status in _BODILESS
    framing = "" if bodiless else f"Content-Length: {len(response.body)}"
    head = _head(response.status, response.headers, framing, date, close=close)
    return head if method == "HEAD" or bodiless else head + response.body


def _head(status: int, headers: Headers, framing: str, date: str, *, close: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nDate: {date}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers if name.lower() not in _OURS]
    if framing:
        lines.append(f"{framing}\r\n")
    if close:
        lines.append("Connection: close\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1", "replace")
