"""A small AMQP client for tests: Proton's engine on an asyncio socket, with every event kept."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable
from typing import Any

import proton

from local.amqp_sasl import SASL_HEADER
from tests.unit.local.test_amqp_values import sasl_init

NUMBERS = itertools.count()


class Peer:
    """`await Peer(port).open()`, then links; `until` waits for what the other side does."""

    def __init__(self, port: int, *, mechanism: bytes = b"ANONYMOUS") -> None:
        self._port = port
        self._mechanism = mechanism
        self.received: list[bytes] = []
        self.outcomes: list[tuple[str, str]] = []  # (state, condition) of what was sent
        self.deliveries: list[proton.Delivery] = []
        self.gone = False
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> Peer:
        plug = socket.socket()
        plug.setblocking(False)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # the kernel would take tens of megabytes
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", self._port))
        self.reader, self.writer = await asyncio.open_connection(sock=plug)
        self.writer.write(SASL_HEADER + sasl_init(self._mechanism))
        await self.reader.readexactly(8)
        for _ in range(2):
            size = int.from_bytes(await self.reader.readexactly(4))
            await self.reader.readexactly(size - 4)
        self._engine = proton.Transport(proton.Transport.CLIENT)
        self._collector = proton.Collector()
        self.connection = proton.Connection()
        self.connection.container = "peer"
        self.connection.collect(self._collector)
        self._engine.bind(self.connection)
        self.connection.open()
        self.session = self.connection.session()
        self.session.open()
        self.read_on()
        self.flush()
        return self

    def read_on(self) -> None:
        self._reading = asyncio.create_task(self._read())

    def sender(self, target: str) -> proton.Sender:
        link = self.session.sender(f"s-{target}-{next(NUMBERS)}")
        link.target.address = target
        link.source.address = "peer"
        link.open()
        self.flush()
        return link

    def receiver(self, source: str, *, session: str | None = None, any_session: bool = False, credit: int = 10,
                 properties: dict[str, Any] | None = None) -> proton.Receiver:  # fmt: skip
        link = self.session.receiver(f"r-{source}-{next(NUMBERS)}")
        link.source.address = source
        link.target.address = "peer"
        if session is not None or any_session:
            link.source.filter.put_dict({proton.symbol("com.microsoft:session-filter"): session})
        link.properties = properties
        link.open()
        link.flow(credit)
        self.flush()
        return link

    def send(self, link: proton.Sender, raw: bytes, tag: str = "t") -> None:
        link.delivery(f"{tag}-{next(NUMBERS)}")
        link.send(raw)
        link.advance()
        self.flush()

    def settle(self, delivery: proton.Delivery, state: Any, *, condition: proton.Condition | None = None) -> None:
        delivery.local.condition = condition
        delivery.update(state)
        self.flush()

    async def until(self, met: Callable[[], Any], seconds: float = 5) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := met()):  # noqa: ASYNC110  whatever the other side does
                await asyncio.sleep(0.002)
        return found

    async def refused(self, link: proton.Link) -> str:
        """The condition with which the other side ends the link."""
        await self.until(lambda: link.state & proton.Endpoint.REMOTE_CLOSED)
        return link.remote_condition.name

    async def close(self) -> None:
        self.writer.transport.abort()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def flush(self) -> None:
        while (pending := self._engine.pending()) > 0:
            self.writer.write(bytes(self._engine.peek(pending)))
            self._engine.pop(pending)

    async def _read(self) -> None:
        try:
            while data := await self.reader.read(65_536):
                while data:
                    room = self._engine.capacity()
                    self._engine.push(data[:room])
                    data = data[room:]
                    self._events()
                self.flush()
        except OSError:
            pass
        finally:
            self.gone = True

    def _events(self) -> None:
        while (event := self._collector.peek()) is not None:
            if event.type == proton.Event.DELIVERY:
                self._delivery(event.delivery)
            self._collector.pop()

    def _delivery(self, delivery: proton.Delivery) -> None:
        link = delivery.link
        if link.is_sender:
            if delivery.remote_state:
                condition = delivery.remote.condition
                self.outcomes.append((delivery.remote_state.name, condition.name if condition else ""))
                delivery.settle()
        elif delivery.readable and not delivery.partial:
            self.received.append(bytes(link.recv(delivery.pending) or b""))
            link.advance()
            self.deliveries.append(delivery)
