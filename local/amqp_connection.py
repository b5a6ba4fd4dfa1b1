"""One AMQP connection: bytes between a socket on the event loop and Proton's protocol engine, and the engine's events.

No thread: the engine does no I/O of its own. What a link means is in `amqp_links.py`; which there may be, in `amqp.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import proton

from local.amqp_messages import RefusedError, condition
from local.amqp_sasl import Handshake

logger = logging.getLogger("countersign.local.amqp")

HANDSHAKE_SECONDS = 10.0
"""From the first byte to an open connection."""
IDLE_SECONDS = 240.0
"""A peer that says nothing for so long is gone, as on the platform; both sides send empty frames before that."""
MAX_SESSIONS = 256
MAX_FRAME_BYTES = 65_536
WINDOW_BYTES = 1_048_576
"""Of transfers that a session may have under way in one direction."""
MAX_UNFINISHED_BYTES = 8 * WINDOW_BYTES
"""Of transfers that a connection has begun and not ended, on all its links: 32 of the largest."""
MAX_UNWRITTEN_BYTES = 4 * WINDOW_BYTES
"""Of messages that have come over a connection and are not yet in the file; then nothing more is read from it."""


class Link(Protocol):
    """What the connection tells a link of. `closed` comes once, however the link ends."""

    def flow(self) -> None: ...

    def delivered(self, delivery: proton.Delivery) -> None: ...

    def closed(self) -> None: ...


type Attach = Callable[["AmqpConnection", proton.Link], Link]


class AmqpConnection(asyncio.Protocol):
    """`admit` says whether there may be one more; `attach` makes the handler of a link or raises `RefusedError`;
    `ended` is told when the connection is over."""

    def __init__(
        self,
        *,
        admit: Callable[[AmqpConnection], bool],
        attach: Attach,
        ended: Callable[[AmqpConnection], None],
        container: str,
    ) -> None:
        self._admit = admit
        self._attach = attach
        self._ended = ended
        self._handshake: Handshake | None = Handshake()
        self._since = time.monotonic()
        self._socket: asyncio.Transport | None = None
        self._engine = proton.Transport(proton.Transport.SERVER)
        self._engine.max_frame_size = MAX_FRAME_BYTES
        self._engine.channel_max = MAX_SESSIONS - 1
        self._engine.idle_timeout = IDLE_SECONDS
        self._collector = proton.Collector()
        self.engine = proton.Connection()
        self.engine.container = container
        self.engine.collect(self._collector)
        self._engine.bind(self.engine)
        self.links: dict[proton.Link, Link] = {}
        self.stalled: dict[proton.Link, Link] = {}
        self.paused = False
        self._room = WINDOW_BYTES
        self._unfinished: dict[proton.Link, int] = {}
        self._unwritten = 0
        self._waits = False
        event = proton.Event
        self._on: dict[Any, Callable[[Any], None]] = {
            event.CONNECTION_REMOTE_OPEN: self._connection_opened,
            event.CONNECTION_REMOTE_CLOSE: self._connection_closed,
            event.SESSION_REMOTE_OPEN: self._session_opened,
            event.SESSION_REMOTE_CLOSE: self._session_closed,
            event.LINK_REMOTE_OPEN: self._link_opened,
            event.LINK_REMOTE_CLOSE: self._link_closed,
            event.LINK_REMOTE_DETACH: self._link_closed,
            event.LINK_FLOW: self._link_flow,
            event.DELIVERY: self._delivery,
            event.TRANSPORT_ERROR: self._failed,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(high=WINDOW_BYTES)
        if not self._admit(self):
            self._socket.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of the handshake, then of the engine. A peer whose bytes make no sense loses its connection alone."""
        try:
            self._received(data)
        except Exception as error:  # noqa: BLE001  whatever it provoked, here or in the engine; a trace could be endless
            told = f"{type(error).__name__}: {error}"[:200]
            logger.warning("an AMQP connection is ended, what came over it could not be worked off: %s", told)
            if self._socket is not None:
                self._socket.abort()

    def _received(self, data: bytes) -> None:
        if self._socket is None:
            return
        if (handshake := self._handshake) is not None:
            self._socket.write(handshake.receive(data))
            if handshake.failed:
                self._socket.close()
            if not handshake.done:
                return
            self._handshake, data = None, handshake.rest
        self._push(data)
        self.flush()

    def eof_received(self) -> None:
        """The peer will send no more; asyncio closes the socket."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: every link is closed."""
        logger.debug("an AMQP connection is over: %s", exc or "closed")
        self._socket = None
        for link in list(self.links.values()):
            link.closed()
        self.links.clear()
        self.stalled.clear()
        self._unfinished.clear()
        self._engine.unbind()
        self._collector.release()
        self._ended(self)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self.paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self.paused = False
        self.flush()

    def tick(self, now: float) -> None:
        """Called every second or so: time-outs and keep-alives. `now`: monotonic seconds."""
        if self._socket is None:
            return
        opened = self._handshake is None and not self.engine.state & proton.Endpoint.REMOTE_UNINIT
        if not opened and now - self._since > HANDSHAKE_SECONDS:
            self._socket.abort()
        elif self._handshake is None:
            self._engine.tick(now)
            self.flush()

    def flush(self) -> None:
        """Work off what the engine has noticed, and write what it has to say."""
        self._dispatch()
        while not self.paused and self._socket is not None:
            pending = self._engine.pending()
            if pending > 0:
                self._socket.write(bytes(self._engine.peek(pending)))
                self._engine.pop(pending)
                self._dispatch()
            elif pending < 0:
                self._socket.close()
                return
            elif not self._go_on():
                return

    def has_room(self, link: proton.Link) -> bool:
        """Whether more may be handed out on the link now; if not, its `flow` is called again when there is room."""
        if not self.paused and self._room > 0 and link.session.outgoing_bytes <= WINDOW_BYTES:
            return True
        self.stalled[link] = self.links[link]
        return False

    def handed_out(self, size: int) -> None:
        """So many bytes were given to the engine, which would take any number of them."""
        self._room -= size

    def unfinished(self, link: proton.Link, size: int) -> None:
        """So many bytes of a transfer are held until its end comes; 0: it has come. Too many end the connection."""
        self._unfinished[link] = size
        if size and sum(self._unfinished.values()) > MAX_UNFINISHED_BYTES:
            raise RefusedError("amqp:resource-limit-exceeded", "transfers are begun and not ended")

    def writing(self, size: int) -> None:
        """So many bytes more wait to be written, or fewer: a peer that is faster than the disk is read more slowly."""
        self._unwritten += size
        if self._socket is None or self._socket.is_closing() or self._waits is (waits := self._many()):
            return
        self._waits = waits
        if waits:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def _many(self) -> bool:
        return self._unwritten > (MAX_UNWRITTEN_BYTES // 2 if self._waits else MAX_UNWRITTEN_BYTES)

    def _go_on(self) -> bool:
        """All that the engine had is written: let the links go on, but for those whose peer's session is full. Whether
        there was one."""
        self._room = WINDOW_BYTES
        free = [link for link in self.stalled if link.session.outgoing_bytes <= WINDOW_BYTES]
        for link in free:
            self.stalled.pop(link).flow()
        return bool(free)

    def close(self, name: str, description: str) -> None:
        """Say why, and end."""
        if self._socket is None:
            return
        if self._handshake is None:
            self.engine.condition = condition(name, description)
            self.engine.close()
            self.flush()
        self._socket.close()

    def refuse_link(self, link: proton.Link, name: str, description: str) -> None:
        """Answer an attach with an error. The standard would leave source and target out of the answer, but then the
        Python SDK looks no further and never tells why."""
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.open()
        self.close_link(link, name, description)

    def close_link(self, link: proton.Link, name: str, description: str) -> None:
        """Tell the peer why its link ends."""
        link.condition = condition(name, description)
        link.close()
        self._forget(link)

    def _push(self, data: bytes) -> None:
        while data:
            room = self._engine.capacity()
            if room <= 0:  # it takes nothing more: it is closing, or stuck
                if room == 0 and self._socket is not None:
                    self._socket.abort()
                return
            self._engine.push(data[:room])
            data = data[room:]
            self._dispatch()

    def _dispatch(self) -> None:
        while (event := self._collector.peek()) is not None:
            if (handle := self._on.get(event.type)) is not None:
                handle(event)
            self._collector.pop()

    def _connection_opened(self, event: Any) -> None:
        event.connection.open()

    def _connection_closed(self, event: Any) -> None:
        event.connection.close()

    def _session_opened(self, event: Any) -> None:
        event.session.incoming_capacity = WINDOW_BYTES
        event.session.open()

    def _session_closed(self, event: Any) -> None:
        for link in [link for link in self.links if link.session == event.session]:
            self._forget(link)
        event.session.close()

    def _link_opened(self, event: Any) -> None:
        link = event.link
        try:
            self.links[link] = self._attach(self, link)
        except RefusedError as refused:
            self.refuse_link(link, refused.condition, str(refused))

    def _link_closed(self, event: Any) -> None:
        self._forget(event.link)
        event.link.close()

    def _forget(self, link: proton.Link) -> None:
        self.stalled.pop(link, None)
        self._unfinished.pop(link, None)
        if (known := self.links.pop(link, None)) is not None:
            known.closed()

    def _link_flow(self, event: Any) -> None:
        if (known := self.links.get(event.link)) is not None:
            known.flow()

    def _delivery(self, event: Any) -> None:
        if (known := self.links.get(event.link)) is not None:
            known.delivered(event.delivery)

    def _failed(self, event: Any) -> None:
        logger.info("a connection ended: %s", event.transport.condition)
