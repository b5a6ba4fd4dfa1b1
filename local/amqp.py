"""The lanes over AMQP 1.0: any Service Bus SDK may send to `make serve` as it would to Azure.

    Endpoint=sb://localhost;SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true;

On 127.0.0.1 alone. Whoever connects may do what an outside producer may, and nothing more: put messages on the lanes.
What a message is allowed to do is decided when it is handled, by its envelope. Receiving would take messages from the
app, so it is refused unless the host was started for it (`receive`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any
from uuid import UUID, uuid4

import proton

from local.amqp_connection import AmqpConnection, Link
from local.amqp_links import Receiving, Sending, session_wanted
from local.amqp_management import CBS, MANAGEMENT, Requests, Responses, node_of
from local.amqp_messages import NOT_ALLOWED, NOT_FOUND, UNAUTHORIZED, RefusedError
from shared.adapters.embedded.lane_receiver import LaneReceiver, Received
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import DEAD_LETTER_SUFFIX, Lane
from shared.errors import ConfigurationError

logger = logging.getLogger("countersign.local.amqp")

DEFAULT_PORT = 5672
MAX_CONNECTIONS, MAX_LINKS = 100, 256
"""In all; and on one connection."""
SESSION_WAIT_SECONDS = 60.0
"""For the next session available, when the client does not say how long it waits."""
LONGEST_WAIT_SECONDS = 300.0
MAX_SCHEDULED = 100_000
"""Sequence numbers of scheduled messages that are remembered, so that they can be cancelled."""


class AmqpListener:
    """`start`, then `tick` about ten times a second, then `stop`. `port` 0 takes a free one, found in `port`."""

    def __init__(
        self, *, lanes: SqliteLanes, receiver: LaneReceiver, port: int = DEFAULT_PORT, receive: bool = False
    ) -> None:
        self.lanes = lanes
        self.receiver = receiver
        self.port = port
        self.locked: dict[UUID, Received] = {}
        self._scheduled: dict[tuple[str, int], None] = {}
        self._receive = receive
        self._server: asyncio.Server | None = None
        self._connections: set[AmqpConnection] = set()
        self._consumers: dict[str, list[Receiving]] = {}
        self._watched: set[str] = set()
        self._woken: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._full = False
        self._container = f"countersign-{uuid4()}"
        self._ticked = 0.0

    async def start(self) -> None:
        """Listen; `ConfigurationError` when the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, "127.0.0.1", self.port)
        except OSError as error:
            taken = "is taken by another program" if error.errno == errno.EADDRINUSE else "cannot be used"
            raise ConfigurationError(f"AMQP port {self.port} {taken}: choose another with --amqp-port") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take nothing more, end every connection; returns when what was taken is in the file."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close("amqp:connection:forced", "the host stops")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cut short what runs."""
        for task in self._tasks:
            task.cancel()

    def tick(self) -> None:
        """Time-outs and keep-alives, once a second."""
        now = time.monotonic()
        if now - self._ticked < 1:
            return
        self._ticked = now
        for connection in list(self._connections):
            connection.tick(now)
        for consumers in list(self._consumers.values()):
            for consumer in list(consumers):
                consumer.check()
        for token in [t for t, held in self.locked.items() if not self.receiver.queue(held.queue).locks(held.lock)]:
            del self.locked[token]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the connections; `stop` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("an AMQP request failed", exc_info=error)

    def _connection(self) -> AmqpConnection:
        return AmqpConnection(
            admit=self._admit, attach=self._attach, ended=self._connections.discard, container=self._container
        )

    def _admit(self, connection: AmqpConnection) -> bool:
        if len(self._connections) >= MAX_CONNECTIONS:
            if not self._full:
                logger.warning("%d AMQP connections are open: others are turned away", MAX_CONNECTIONS)
            self._full = True
            return False
        self._full = False
        self._connections.add(connection)
        return True

    # links

    def _attach(self, connection: AmqpConnection, link: proton.Link) -> Link:
        """The handler of a link that a client opens; `RefusedError` tells it why there is none."""
        if len(connection.links) >= MAX_LINKS:
            raise RefusedError("amqp:resource-limit-exceeded", f"a connection may have {MAX_LINKS} links")
        producing = bool(link.is_receiver)
        node = node_of((link.remote_target if producing else link.remote_source).address)
        if node == CBS or node.endswith(MANAGEMENT):
            if node != CBS:
                self._listed(node.removesuffix(MANAGEMENT))
            return Requests(self, connection, link, node) if producing else Responses(link, node)
        if producing:
            return Sending(self, connection, link, self._lane(node))
        self._listed(node)
        return self._consumer(connection, link, node)

    def _lane(self, node: str) -> Lane | RefusedError:
        """Where a producer's messages go, or why they go nowhere."""
        if (lane := self.lanes.lanes.get(node)) is not None:
            return lane
        if self.receiver.lists(node):
            return RefusedError(NOT_ALLOWED, f"nothing can be sent to {node}: the platform alone puts messages there")
        return RefusedError(NOT_FOUND, f"the messaging entity {node!r} could not be found")

    def _listed(self, queue: str) -> None:
        if not self.receiver.lists(queue):
            raise RefusedError(NOT_FOUND, f"the messaging entity {queue!r} could not be found")

    def _consumer(self, connection: AmqpConnection, link: proton.Link, queue: str) -> Receiving:
        if not self._receive:
            why = "receiving takes messages from the app: start the host with --amqp-receive to allow it"
            raise RefusedError(UNAUTHORIZED, why)
        sessions, wanted = session_wanted(link)
        needed = self.receiver.queue(queue).sessions
        if sessions is not needed:
            raise RefusedError(NOT_ALLOWED, f"a receiver of {queue} {'needs a' if needed else 'takes no'} session")
        if queue not in self._watched:
            self._watched.add(queue)
            self.receiver.on_ready(queue, lambda: self.wake_later(queue))
        consumer = Receiving(self, connection, link, queue, sessions=sessions, wanted=wanted)
        if not consumer.find_session():
            seconds = _patience(link)
            consumer.patience = asyncio.get_running_loop().call_later(seconds, self._give_up, consumer, seconds)
        self._consumers.setdefault(queue, []).append(consumer)
        return consumer

    def _give_up(self, consumer: Receiving, seconds: float) -> None:
        if consumer.waiting and consumer in self._consumers.get(consumer.queue, ()):
            consumer.expired(f"no session of {consumer.queue} was available within {seconds:g} s")

    def forget(self, consumer: Receiving) -> None:
        """A consumer's link is closed."""
        if consumer.patience is not None:
            consumer.patience.cancel()
        consumers = self._consumers.get(consumer.queue, [])
        if consumer in consumers:
            consumers.remove(consumer)

    def wake_later(self, queue: str) -> None:
        """Something may be received: hand it out in the next turn of the loop."""
        if queue not in self._woken:
            self._woken.add(queue)
            asyncio.get_running_loop().call_soon(self._hand_out, queue)

    def _hand_out(self, queue: str) -> None:
        self._woken.discard(queue)
        for consumer in list(self._consumers.get(queue, ())):
            if consumer.find_session():
                consumer.flow()
                consumer.flush()

    # locks

    def lock_ends(self, queue: str) -> float:
        """When a lock that is taken now ends: seconds since the epoch."""
        return self.lanes.clock() + self.lanes.lanes[queue.removesuffix(DEAD_LETTER_SUFFIX)].lock_seconds

    def settle(self, token: UUID, status: str, reason: str = "", description: str = "") -> bool:
        """`status`: completed, abandoned, suspended (dead-lettered) or released (as if it was never handed out).
        False: the lock was lost."""
        if (received := self.locked.pop(token, None)) is None:
            return False
        if status == "completed":
            return self.receiver.complete(received)
        if status == "suspended":
            return self.receiver.dead_letter(received, reason or "dead_lettered", description)
        return self.receiver.abandon(received, reason="abandoned by a receiver", counted=status == "abandoned")

    def renew(self, token: UUID) -> float:
        """When the lock ends now; 0.0 when it was lost."""
        received = self.locked.get(token)
        return self.lock_ends(received.queue) if received is not None and self.receiver.renew(received) else 0.0

    def renew_session(self, queue: str, session: str) -> float:
        """When the session's lock ends now; 0.0 when no receiver here holds it."""
        for consumer in self._consumers.get(queue, ()):
            holder = consumer.holder
            if holder is not None and holder.session == session and self.receiver.queue(queue).holds(holder):
                holder.until = self.lock_ends(queue)
                return holder.until
        return 0.0

    def remember_scheduled(self, queue: str, numbers: Iterable[int]) -> None:
        """So that they can be cancelled; of too many the oldest are forgotten."""
        self._scheduled.update(dict.fromkeys((queue, number) for number in numbers))
        while len(self._scheduled) > MAX_SCHEDULED:
            del self._scheduled[next(iter(self._scheduled))]

    async def cancel_scheduled(self, queue: str, numbers: Iterable[int]) -> bool:
        """Take back what was scheduled here and is not due yet; False when one of them is no such message."""
        wanted = [(queue, number) for number in numbers]
        if not wanted or not self._scheduled.keys() >= set(wanted):
            return False

        def delete(connection: Any) -> int:
            sql = "DELETE FROM message WHERE queue = ? AND sequence = ? AND visible_at > 0"
            return sum(connection.execute(sql, one).rowcount for one in wanted)

        deleted = await self.lanes.submit(delete)
        for one in wanted:
            self._scheduled.pop(one, None)
        return deleted == len(wanted)


def _patience(link: proton.Link) -> float:
    told = (link.remote_properties or {}).get("com.microsoft:timeout")
    seconds = told / 1000 if isinstance(told, int) else SESSION_WAIT_SECONDS
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
