"""HTTP/1.1 requests from bytes (RFC 9112): pure and incremental; anything doubtful is refused, never guessed at.

Feed bytes, then ask `take` for the next whole request. What two readers could understand differently (two lengths, a
length beside chunks, folded lines, bare line feeds) is a 400, because that is how requests are smuggled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MAX_HEAD_BYTES = 16_384
MAX_HEADERS = 100
MAX_BODY_BYTES = 10_485_760
_MAX_CHUNK_LINE = 256

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)\r\n")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_ONCE_ONLY = frozenset({"host", "content-length", "transfer-encoding", "content-type", "expect"})


class Request(NamedTuple):
    """`target` as sent; header names in lower case, repeated ones joined by ", "; the body whole. takes_chunks: the
    caller understands an answer in chunks (HTTP/1.1)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    takes_chunks: bool = True


class RefusedError(Exception):
    """The bytes are no request we take. `status` is what to answer before closing the connection."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class _Head(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    keep_alive: bool
    length: int  # -1: chunked
    expects_continue: bool
    takes_chunks: bool


class RequestParser:
    """One connection's bytes. After a `RefusedError` the connection is of no further use."""

    def __init__(self, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._searched = 0
        self._chunks: bytearray | None = None
        self._chunk_left = 0  # bytes of data and its CRLF still to come; 0: a size line is next; -1: trailers
        self._max_body_bytes = max_body_bytes
        self._continue_due = False

    @property
    def idle(self) -> bool:
        """Nothing of a next request has come."""
        return self._head is None and not self._buffer

    @property
    def in_body(self) -> bool:
        """A head has come whole and its body has not."""
        return self._head is not None

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the request whose body is coming; empty until its head is whole."""
        return self._head.headers if self._head is not None else {}

    @property
    def buffered(self) -> int:
        """Bytes received and not yet taken."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what the socket gave."""
        self._buffer += data

    def continue_due(self) -> bool:
        """True once per request whose sender waits for `100 Continue` before the body."""
        due, self._continue_due = self._continue_due, False
        return due

    def take(self) -> Request | None:
        """The next whole request, or None when more bytes are needed."""
        if self._head is None and not self._take_head():
            return None
        head = self._head
        assert head is not None  # noqa: S101 _take_head set it
        body = self._take_chunked() if head.length < 0 else self._take_sized(head.length)
        if body is None:
            return None
        self._head, self._continue_due = None, False
        return Request(head.method, head.target, head.headers, body, head.keep_alive, head.takes_chunks)

    def _take_head(self) -> bool:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request line are skipped
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end > MAX_HEAD_BYTES or (end < 0 and len(buffer) > MAX_HEAD_BYTES):
            raise RefusedError(431, f"request line and headers may take {MAX_HEAD_BYTES} bytes")
        if end < 0:
            self._searched = len(buffer)
            if b"\n" in buffer and not buffer[: buffer.index(b"\n")].endswith(b"\r"):
                raise RefusedError(400, "lines end with CR LF")
            return False
        self._head = _parse_head(bytes(buffer[: end + 2]))
        del buffer[: end + 4]
        self._searched = 0
        self._continue_due = self._head.expects_continue
        if self._head.length > self._max_body_bytes:
            raise RefusedError(413, f"a body may take {self._max_body_bytes} bytes")
        if self._head.length < 0:
            self._chunks, self._chunk_left = bytearray(), 0
        return True

    def _take_sized(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _take_chunked(self) -> bytes | None:
        assert self._chunks is not None  # noqa: S101 _take_head set it
        while self._chunk_left >= 0:
            if not (self._take_chunk_data() if self._chunk_left else self._take_chunk_line()):
                return None
        return bytes(self._chunks) if self._take_trailers() else None

    def _take_chunk_data(self) -> bool:
        buffer, left = self._buffer, self._chunk_left
        assert self._chunks is not None  # noqa: S101
        if left > 2:
            piece = buffer[: left - 2]
            self._chunks += piece
            self._chunk_left -= len(piece)
            del buffer[: len(piece)]
            if self._chunk_left > 2:
                return False
        if len(buffer) < 2:
            return False
        if buffer[:2] != b"\r\n":
            raise RefusedError(400, "a chunk is longer than it says")
        del buffer[:2]
        self._chunk_left = 0
        return True

    def _take_chunk_line(self) -> bool:
        if (line := self._take_line()) is None:
            return False
        if (match := _CHUNK_LINE.fullmatch(line)) is None:
            raise RefusedError(400, "a chunk begins with its size in hexadecimal")
        size = int(match[1], 16)
        assert self._chunks is not None  # noqa: S101
        if len(self._chunks) + size > self._max_body_bytes:
            raise RefusedError(413, f"a body may take {self._max_body_bytes} bytes")
        self._chunk_left = size + 2 if size else -1
        return True

    def _take_trailers(self) -> bool:
        """Trailers are read past: no function gets to see them."""
        while (line := self._take_line(MAX_HEAD_BYTES)) is not None:
            if not line:
                return True
            if _HEADER.fullmatch(line + b"\r\n") is None:
                raise RefusedError(400, "a trailer is malformed")
        return False

    def _take_line(self, limit: int = _MAX_CHUNK_LINE) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end > limit or (end < 0 and len(self._buffer) > limit):
            raise RefusedError(400, "a chunk's size line is too long")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


def _parse_head(data: bytes) -> _Head:
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise RefusedError(400, "the request line is malformed")
    method, target, major, minor = line.groups()
    if major != b"1":
        raise RefusedError(505, "HTTP/1.0 and HTTP/1.1 are spoken here")
    if not target.startswith((b"/", b"http://", b"https://")) and not (method == b"OPTIONS" and target == b"*"):
        raise RefusedError(400, "the request target is neither a path nor a URL")
    headers = _parse_headers(data, line.end())
    if minor != b"0" and "host" not in headers:
        raise RefusedError(400, "HTTP/1.1 needs a Host header")
    wishes = headers.get("connection", "").lower()
    keep_alive = "close" not in wishes if minor != b"0" else "keep-alive" in wishes
    return _Head(
        method.decode(),
        target.decode(),
        headers,
        keep_alive,
        _body_length(headers, minor),
        minor != b"0" and _expects_continue(headers),
        minor != b"0",
    )


def _parse_headers(data: bytes, position: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    count = 0
    while position < len(data):
        match = _HEADER.match(data, position)
        if match is None:
            raise RefusedError(400, "a header line is malformed")
        name, value = match[1].decode().lower(), match[2].decode("latin-1")
        if name in headers:
            if name in _ONCE_ONLY:
                raise RefusedError(400, f"{name} is given twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
        position = match.end()
        count += 1
        if count > MAX_HEADERS:
            raise RefusedError(431, f"at most {MAX_HEADERS} headers are taken")
    return headers


def _body_length(headers: dict[str, str], minor: bytes) -> int:
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None or minor == b"0":
            raise RefusedError(400, "Transfer-Encoding stands neither beside Content-Length nor in HTTP/1.0")
        if coding.strip().lower() != "chunked":
            raise RefusedError(501, "the only transfer coding taken is chunked")
        return -1
    if length is None:
        return 0
    if not length.isascii() or not length.isdigit() or len(length) > 15:
        raise RefusedError(400, "Content-Length is a decimal number")
    return int(length)


def _expects_continue(headers: dict[str, str]) -> bool:
    expectation = headers.get("expect")
    if expectation is None:
        return False
    if expectation.lower() != "100-continue":
        raise RefusedError(417, "the only expectation met is 100-continue")
    return True
