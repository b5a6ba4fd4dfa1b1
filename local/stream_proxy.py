"""Requests for the second app: sent on to its process, and its answer passed back piece by piece, as it comes.

Nothing is buffered, and a caller that leaves ends the exchange at once. Only loopback, one connection per request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local.http_answers import Answer, Problem, Relayed, Sink
from local.http_parser import Request
from local.routes import Match
from local.runtime import new_invocation_id
from local.stream_child import SCRIPT, Down, StreamChild, Up

if TYPE_CHECKING:
    import h11

logger = logging.getLogger("countersign.local.stream")

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 230.0
"""The platform's front end ends an exchange in which nothing moved for this long."""
_PIECE_BYTES = 65_536
_PER_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "expect", "content-length", "x-ms-invocation-id",
    }
)  # fmt: skip
_NOT_PASSED_BACK = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server", "trailer", "upgrade"})


type Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class StreamProxy:
    """`answer` is asked for what the first app does not answer itself."""

    def __init__(self, child: StreamChild) -> None:
        self._child = child
        prefix = child.route_prefix.strip("/").lower()
        self._begins = f"/{prefix}/" if prefix else "/"

    async def answer(self, request: Request, path: str, query: str, *, needed: bool = True) -> Answer | None:
        """The second app's answer, or None when it has no such route. needed: nobody else has the route; without it a
        child that is down answers nothing, and the first app's own answer stands."""
        if not path.lower().startswith(self._begins):
            return None
        state = await self._child.now()
        routes = self._child.routes
        match = routes.find(request.method, path) if routes is not None else None
        if isinstance(state, Down):
            # before it ever was up nobody knows its routes
            return _down(state) if needed and (routes is None or isinstance(match, Match)) else None
        if isinstance(match, Match):
            target = f"{path}?{query}" if query else path
            return Relayed(lambda sink: self._relay(state, match, request, target, sink))
        if match is not None and needed:
            return Problem(405, f"{request.method} is not among this route's methods", [("Allow", ", ".join(match))])
        return None

    async def _relay(self, up: Up, match: Match, request: Request, target: str, sink: Sink) -> Problem | None:
        """One exchange; None when it came to its end."""
        try:
            opened = await _connected(up)
        except OSError:  # nothing was asked yet, so whoever comes next may be asked
            state = await self._child.next_after(up)
            if isinstance(state, Down):
                return _down(state)
            up = state
            try:
                opened = await _connected(up)
            except OSError:
                return _down(Down("it takes no connection", 1))
        return await _exchange(up, match, request, target, sink, opened=opened)

    def status(self) -> dict[str, object]:
        """For `GET /admin/host/status`."""
        return {"script": SCRIPT, "state": self._child.status(), "starts": self._child.starts}


def _down(state: Down) -> Problem:
    return Problem(503, f"{SCRIPT} is not running: {state.reason}", [("Retry-After", str(state.again_seconds))])


async def _connected(up: Up) -> Connection:
    async with asyncio.timeout(CONNECT_SECONDS):
        return await asyncio.open_connection(up.host, up.port)


async def _exchange(
    up: Up, match: Match, request: Request, target: str, sink: Sink, *, opened: Connection
) -> Problem | None:
    import h11

    reader, writer = opened
    try:
        call = new_invocation_id()
        up.invoke(
            {
                "id": call,
                "function": match.name,
                "method": request.method,
                "url": f"http://{request.headers.get('host', 'localhost')}{target}",
                "route": match.parameters,
                "trace": request.headers.get("traceparent", ""),
            }
        )
        connection = h11.Connection(h11.CLIENT)
        writer.write(_sent(connection, request, target, call))
        return await _pass_back(connection, reader, sink)
    except TimeoutError:
        return Problem(504, f"{SCRIPT} was silent for {SILENT_SECONDS:g} s")
    except (OSError, h11.RemoteProtocolError):
        logger.warning("%s broke off its answer to %s %s", SCRIPT, request.method, target)
        detail = f"{SCRIPT} ended while it was answering; what was asked for may have been done"
        return Problem(503, detail, [("Retry-After", "1")])
    finally:
        writer.transport.abort()


def _sent(connection: h11.Connection, request: Request, target: str, call: str) -> bytes:
    """The request as the child gets it: what is for this hop alone is ours."""
    import h11

    headers = _without(request.headers, _PER_HOP | _named_by(request.headers))
    headers += [("x-ms-invocation-id", call), ("connection", "close"), ("content-length", str(len(request.body)))]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    head = connection.send(h11.Request(method=request.method, target=target, headers=raw))
    body = connection.send(h11.Data(data=request.body)) if request.body else b""
    return (head or b"") + (body or b"") + (connection.send(h11.EndOfMessage()) or b"")


async def _pass_back(connection: h11.Connection, reader: asyncio.StreamReader, sink: Sink) -> Problem | None:
    import h11

    head = await _next(connection, reader)
    while isinstance(head, h11.InformationalResponse):
        head = await _next(connection, reader)
    if not isinstance(head, h11.Response):
        raise ConnectionResetError("there was no answer")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    if head.status_code == 500 and dict(headers).get("content-type", "").startswith("text/plain"):
        return Problem(500, "the function failed; the host's log says why")  # the extension's word for an exception
    await sink.start(head.status_code, [(name, value) for name, value in headers if name not in _NOT_PASSED_BACK])
    while isinstance(piece := await _next(connection, reader), h11.Data):
        await sink.write(bytes(piece.data))
    return None


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """The next event of the answer."""
    import h11

    while (event := connection.next_event()) is h11.NEED_DATA:
        async with asyncio.timeout(SILENT_SECONDS):
            connection.receive_data(await reader.read(_PIECE_BYTES))
    return event


def _named_by(headers: Mapping[str, str]) -> frozenset[str]:
    """Headers that `Connection` says are for this hop."""
    return frozenset(name.strip().lower() for name in headers.get("connection", "").split(",") if name.strip())


def _without(headers: Mapping[str, str], left_out: frozenset[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name not in left_out]
