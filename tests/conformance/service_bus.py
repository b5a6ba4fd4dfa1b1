"""Service Bus for tests: the lanes behind a real AMQP listener, and what may go wrong on the way to it."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import Lane
from tests.unit.local.clock import Clock

if TYPE_CHECKING:
    from local.amqp import AmqpListener

HAS_AMQP = importlib.util.find_spec("proton") is not None
needs_amqp = pytest.mark.skipif(
    not HAS_AMQP, reason="python-qpid-proton is not installed: `make serve AMQP=1` builds it, with a C compiler"
)


LEAVES_SOCKETS = [
    pytest.mark.filterwarnings(f"ignore:Exception ignored in.*{kind}:pytest.PytestUnraisableExceptionWarning")
    for kind in ("StreamWriter", "_SelectorTransport", "socket")
]
"""For tests of broken links: the SDK leaves what it was opening to the garbage collector. Collect in the fixture."""


def connection_string(port: int) -> str:
    """What the official emulator's users write, too."""
    return f"Endpoint=sb://localhost:{port};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true;"


def reset(transport: asyncio.Transport) -> None:
    """End a connection hard, as a process does that dies."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class AmqpHost:
    """The lanes in a file, served over AMQP as the local host does it."""

    def __init__(
        self, folder: Path, lanes: Mapping[str, Lane], *, clock: Clock | None = None, receive: bool = False
    ) -> None:
        self.clock = clock or Clock()
        self._folder = folder
        self._listed = lanes
        self._receive = receive
        self.port = 0
        self.listener: AmqpListener
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        from local.amqp import AmqpListener

        self.lanes = SqliteLanes(self._folder / "lanes.db", lanes=self._listed, clock=self.clock)
        self.receiver = LaneReceiver(self.lanes)
        self.receiver.load()
        self.listener = AmqpListener(lanes=self.lanes, receiver=self.receiver, port=self.port, receive=self._receive)
        await self.listener.start()
        self.port = self.listener.port
        self._ticker = asyncio.create_task(self._tick())

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.receiver.tick()
            self.listener.tick()

    def cut(self) -> int:
        """Every connection is gone without a word; how many there were."""
        connections = list(self.listener._connections)
        for connection in connections:
            reset(connection._socket)
        return len(connections)

    def close_idle_links(self) -> int:
        """As the platform does after ten minutes without a message; how many there were."""
        from local.amqp_links import Receiving, Sending

        closed = 0
        for connection in self.listener._connections:
            for link, handler in list(connection.links.items()):
                if isinstance(handler, Sending | Receiving):
                    connection.close_link(link, "amqp:link:detach-forced", "The link was idle for too long.")
                    closed += 1
            connection.flush()
        return closed

    async def stop(self) -> None:
        self._ticker.cancel()
        await self.listener.stop()
        await self.receiver.close()
        await self.lanes.close()

    async def crash_and_restart(self) -> None:
        """Nothing is told to the old one, or to its clients."""
        self._ticker.cancel()
        self.cut()
        self.listener._server.close()
        lanes, receiver = self.lanes, self.receiver
        await self.start()
        receiver._reader.close()
        await lanes.close()
