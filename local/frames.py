"""Messages between the host and its worker processes: over a socket pair, length before content, many to a write.

A frame is a JSON array and bytes that are nobody's business here (a message's body need not be text).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import orjson

_LENGTHS = struct.Struct("!II")

type Header = list[Any]


class Frames(asyncio.Protocol):
    """One end. take: is given each frame; lost: is called once, when the other end is gone (or closed it)."""

    def __init__(self, take: Callable[[Header, bytes], None], lost: Callable[[], None]) -> None:
        self._take = take
        self._lost = lost
        self._rest = b""
        self._waiting: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None

    def send(self, header: Header, body: bytes = b"") -> None:
        """In order, with whatever else this turn of the loop sends. To somebody who is gone: nothing happens."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        packed = orjson.dumps(header)
        self._waiting += (_LENGTHS.pack(len(packed), len(body)), packed, body)

    def close(self) -> None:
        """The other end is told by the end of what was sent."""
        if self._transport is not None:
            self._write()
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 a socket's is
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        while len(data) - at >= _LENGTHS.size:
            header_bytes, body_bytes = _LENGTHS.unpack_from(data, at)
            start = at + _LENGTHS.size
            middle, end = start + header_bytes, start + header_bytes + body_bytes
            if end > len(data):
                break
            self._take(orjson.loads(data[start:middle]), data[middle:end])
            at = end
        self._rest = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # whatever it was: the other end cannot be reached any more
        self._transport = None
        self._lost()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(waiting))
