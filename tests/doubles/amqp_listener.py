"""A small AMQP 1.0 listener for doubles: connection, session, links, credit, transfers and their outcomes.

It knows what Azure's clients do when they send: SASL, `$cbs` and `$management` requests, and messages to an entity. The
frames are encoded and decoded by the codec that the SDK brings along; what happens on them is decided here. Source:
OASIS AMQP 1.0, parts 2 (transport) and 3 (messaging); "AMQP 1.0 in Azure Service Bus and Event Hubs: protocol guide".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from azure.eventhub._pyamqp import performatives as frames
from azure.eventhub._pyamqp._decode import decode_frame, decode_payload
from azure.eventhub._pyamqp._encode import encode_frame, encode_payload
from azure.eventhub._pyamqp.endpoints import Source, Target
from azure.eventhub._pyamqp.error import AMQPError
from azure.eventhub._pyamqp.message import Message, Properties
from azure.eventhub._pyamqp.outcomes import Accepted, Rejected

SASL_HEADER, AMQP_HEADER = b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00"
OPEN, BEGIN, ATTACH, TRANSFER, DETACH, END, CLOSE = 0x10, 0x11, 0x12, 0x14, 0x16, 0x17, 0x18
WINDOW = 65_535
CREDIT = 1_000

Outcome = tuple[str, str] | None
"""None is accepted; ("condition", "description") is rejected."""
Took = Callable[[str, bytes, int], Outcome]
Asked = Callable[[str, dict[str, Any]], tuple[int, str, Any]]


class AmqpListener:
    """took(address, bytes of the message, message format): an entity got a message.

    asked(address, application properties): a request to `$cbs` or `$management`; answers status code, description and
    value. `faults`, used up by one transfer to an entity each: "drop" closes the connection before it is taken, "lose"
    after it, "hang" never answers.
    """

    def __init__(self, *, took: Took, asked: Asked, entities: tuple[str, ...], max_message_bytes: int) -> None:
        self.took, self.asked, self.entities, self.max_message_bytes = took, asked, entities, max_message_bytes
        self.faults: list[str] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.drop_all()
            await self._server.wait_closed()
            self._server = None

    def drop_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            await _Connection(self, reader, writer).serve()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._open.discard(writer)
            writer.close()


class _Connection:
    def __init__(self, listener: AmqpListener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listener = listener
        self._reader = reader
        self._writer = writer
        self._addresses: dict[tuple[int, int], str] = {}  # (channel, handle) of what the client sends on
        self._answers: dict[tuple[int, str], int] = {}  # (channel, address) of what it hears answers on -> handle
        self._parts: dict[tuple[int, int], tuple[int, bytearray, int]] = {}
        self._sent = 0

    async def serve(self) -> None:
        header = await self._reader.readexactly(8)
        if header == SASL_HEADER:
            self._writer.write(header)
            self._send(0, frames.SASLMechanism(sasl_server_mechanisms=[b"ANONYMOUS", b"MSSBCBS"]), kind=b"\x01")
            await self._frame()
            self._send(0, frames.SASLOutcome(code=0, additional_data=b""), kind=b"\x01")
            header = await self._reader.readexactly(8)
        self._writer.write(AMQP_HEADER)
        if header != AMQP_HEADER:
            return
        while True:
            channel, kind, fields = await self._frame()
            if kind == CLOSE:
                self._send(channel, frames.CloseFrame(error=None))
                await self._writer.drain()
                return
            self._handle(channel, kind, fields)
            await self._writer.drain()

    async def _frame(self) -> tuple[int, int, list[Any]]:
        size = int.from_bytes(await self._reader.readexactly(4))
        rest = await self._reader.readexactly(size - 4)
        if size == 8:  # an empty frame keeps the connection alive
            return 0, 0, []
        kind, fields = decode_frame(memoryview(rest)[rest[0] * 4 - 4 :])
        return int.from_bytes(rest[2:4]), kind, fields

    def _send(self, channel: int, frame: Any, *, kind: bytes = b"\x00") -> None:
        header, body = encode_frame(frame, kind)
        assert body is not None
        self._writer.write(header + channel.to_bytes(2) + body)

    def _handle(self, channel: int, kind: int, fields: list[Any]) -> None:
        if kind == OPEN:
            self._send(0, frames.OpenFrame("double", None, 65_536, 100, 240_000, None, None, None, None, None))
        elif kind == BEGIN:
            self._send(channel, frames.BeginFrame(channel, 0, WINDOW, WINDOW, 4_294_967_295, None, None, None))
        elif kind == ATTACH:
            self._attach(channel, fields)
        elif kind == TRANSFER:
            self._transfer(channel, fields)
        elif kind == DETACH:
            self._send(channel, frames.DetachFrame(handle=fields[0], closed=True, error=None))
        elif kind == END:
            self._send(channel, frames.EndFrame(error=None))

    def _attach(self, channel: int, fields: list[Any]) -> None:
        name, handle, hears = fields[0].decode(), fields[1], fields[2]
        terminus = fields[5] if hears else fields[6]
        address = _path(terminus[0])
        known = address in self._listener.entities or address in ("$cbs", "$management")
        source, target = _source(address), _target(address)
        self._send(
            channel,
            frames.AttachFrame(
                name, handle, not hears, 2, 0, source if known else None, target if known else None, None, False,
                0 if hears else None, self._listener.max_message_bytes, None, None, None,
            ),
        )  # fmt: skip
        if not known:
            gone = AMQPError(condition=b"amqp:not-found", description=f"no entity {address}", info=None)
            self._send(channel, frames.DetachFrame(handle=handle, closed=True, error=gone))
        elif hears:
            self._answers[channel, address] = handle
        else:
            self._addresses[channel, handle] = address
            self._grant(channel, handle, 0, 0)

    def _grant(self, channel: int, handle: int, next_id: int, count: int) -> None:
        self._send(
            channel,
            frames.FlowFrame(next_id, WINDOW, self._sent, WINDOW, handle, count, CREDIT, None, False, False, None),
        )

    def _transfer(self, channel: int, fields: list[Any]) -> None:
        """Parts of one message come as several transfers, of which only the first carries its id and format."""
        key, payload, more = (channel, fields[0]), bytes(fields[-1]), bool(fields[5])
        delivery_id, gathered, message_format = self._parts.pop(key, (fields[1], bytearray(), fields[3] or 0))
        gathered += payload
        if more:
            self._parts[key] = (delivery_id, gathered, message_format)
            return
        address = self._addresses[key]
        if address.startswith("$"):
            self._settle(channel, key[1], delivery_id, None)
            self._answer(channel, address, decode_payload(memoryview(bytes(gathered))))
            return
        fault = self._listener.faults.pop(0) if self._listener.faults else ""
        if fault != "drop":
            outcome = self._listener.took(address, bytes(gathered), message_format)
        if fault in ("drop", "lose"):
            self._writer.transport.abort()
        elif fault != "hang":
            self._settle(channel, key[1], delivery_id, outcome)

    def _settle(self, channel: int, handle: int, delivery_id: int, outcome: Outcome) -> None:
        state: Any = Accepted()
        if outcome is not None:
            condition, description = outcome
            state = Rejected(error=AMQPError(condition=condition.encode(), description=description, info=None))
        self._send(channel, frames.DispositionFrame(True, delivery_id, delivery_id, True, state, False))
        self._grant(channel, handle, delivery_id + 1, delivery_id + 1)

    def _answer(self, channel: int, address: str, request: Message) -> None:
        told = {_text(name): _text(value) for name, value in (request.application_properties or {}).items()}
        told["value"] = _text(request.value)
        status, description, value = self._listener.asked(address, told)
        answer = Message(
            properties=Properties(correlation_id=request.properties.message_id),
            application_properties={"status-code": status, "status-description": description},
            value=value,
        )
        body = bytearray()
        encode_payload(body, answer)
        handle = self._answers[channel, address]
        self._sent += 1
        self._send(
            channel,
            frames.TransferFrame(
                handle, self._sent - 1, self._sent.to_bytes(4), 0, True, False, None, None, False, False, False,
                bytes(body),
            ),
        )  # fmt: skip


def data_in(message: bytes, message_format: int) -> list[tuple[bytes, str]]:
    """Body and content type of each message: a batch carries whole messages as its data sections."""
    decoded = decode_payload(memoryview(message))
    if message_format != 0x80013700:
        kind = decoded.properties[6] if decoded.properties else b""
        return [(b"".join(bytes(part) for part in decoded.data), (kind or b"").decode())]
    return [one for part in decoded.data for one in data_in(bytes(part), 0)]


def _path(address: bytes) -> str:
    told = address.decode()
    return told.split("/", 3)[3] if told.startswith(("amqps://", "amqp://", "sb://")) else told.removeprefix("/")


def _source(address: str) -> Source:
    return Source(address.encode(), 0, b"session-end", 0, False, None, None, None, None, None, None)


def _target(address: str) -> Target:
    return Target(address.encode(), 0, b"session-end", 0, False, None, None)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
