"""The two ends of a lane on an AMQP connection: `Sending` takes a producer's transfers, `Receiving` hands messages out.

As on Service Bus: a transfer is accepted once what it holds is durable; a message handed out stays locked until it is
settled or its lock lapses, wherever the link is by then; a session belongs to the link that accepted it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import proton

from local.amqp_connection import AmqpConnection
from local.amqp_messages import MAX_MESSAGE_BYTES, NOT_IMPLEMENTED, TOO_LARGE, RefusedError, condition, encoded, sent_in
from shared.adapters.embedded.lane_queue import Holder
from shared.adapters.embedded.lane_receiver import Received
from shared.adapters.embedded.lanes import NewMessage
from shared.contracts.lanes import Lane
from shared.errors import RetryableError

if TYPE_CHECKING:
    from local.amqp import AmqpListener

logger = logging.getLogger("countersign.local.amqp")

CREDIT = 256
"""Transfers that a producer may have under way on one link."""
LOCK_LOST, SESSION_LOCK_LOST = "com.microsoft:message-lock-lost", "com.microsoft:session-lock-lost"
SERVER_BUSY = "com.microsoft:server-busy"
_EPOCH_TICKS = 621_355_968_000_000_000
SESSION_FILTER = "com.microsoft:session-filter"


class Sending:
    """A producer's link. `refused`: why nothing is taken on it.

    Such a link is attached all the same, and each transfer is rejected with the reason: a producer that is refused when
    it attaches has its first transfer under way by then, and what its SDK reports is that, not the reason.
    """

    def __init__(
        self, listener: AmqpListener, connection: AmqpConnection, link: proton.Link, lane: Lane | RefusedError
    ) -> None:
        self._listener = listener
        self._connection = connection
        self._link = link
        self._lane = lane
        self._too_large = False
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.max_message_size = MAX_MESSAGE_BYTES
        link.properties = {"com.microsoft:max-message-batch-size": proton.ulong(MAX_MESSAGE_BYTES)}
        link.open()
        link.flow(CREDIT)

    def flow(self) -> None:
        """Nothing to do: the credit is ours to give."""

    def closed(self) -> None:
        """What was taken is on its way into the file; nobody is left to be told."""

    def delivered(self, delivery: proton.Delivery) -> None:
        """Part of a transfer, or the end of one."""
        if delivery.aborted:
            self._too_large = False
            self._connection.unfinished(self._link, 0)
            delivery.settle()
            self._link.flow(1)
            return
        self._too_large = self._too_large or delivery.pending > MAX_MESSAGE_BYTES
        held = delivery.partial and not self._too_large
        self._connection.unfinished(self._link, delivery.pending if held else 0)
        if held:
            return
        raw = bytes(self._link.recv(delivery.pending) or b"") if delivery.pending else b""
        if not delivery.partial and delivery.readable:
            self._link.advance()
            self._take(delivery, raw)

    def _take(self, delivery: proton.Delivery, raw: bytes) -> None:
        too_large, self._too_large = self._too_large, False
        try:
            messages = self._messages(raw, too_large=too_large)
        except RefusedError as refused:
            self._answer(delivery, condition(refused.condition, str(refused)))
        else:
            self._connection.writing(len(raw))
            self._listener.spawn(self._keep(delivery, messages, len(raw)))

    def _messages(self, raw: bytes, *, too_large: bool) -> list[NewMessage]:
        if isinstance(self._lane, RefusedError):
            raise self._lane
        if too_large:
            raise RefusedError(TOO_LARGE, f"a message or batch may have {MAX_MESSAGE_BYTES} bytes")
        return sent_in(raw, self._lane, now=self._listener.lanes.clock())

    async def _keep(self, delivery: proton.Delivery, messages: list[NewMessage], size: int) -> None:
        try:
            await self._listener.lanes.send(messages)
            wrong = None
        except RetryableError as error:
            logger.warning("a message could not be taken: %s", error)
            wrong = condition(SERVER_BUSY, "the lanes cannot be written now: send it again")
        finally:
            self._connection.writing(-size)
        if self._link in self._connection.links:
            self._answer(delivery, wrong)
            self._connection.flush()

    def _answer(self, delivery: proton.Delivery, wrong: proton.Condition | None = None) -> None:
        if not delivery.settled:
            delivery.local.condition = wrong
            delivery.update(proton.Delivery.ACCEPTED if wrong is None else proton.Delivery.REJECTED)
        delivery.settle()
        self._link.flow(1)


class Receiving:
    """A consumer's link, on a queue or, with `wanted`, on a session of it. `wanted`: "" for the next one available.

    A link for a session answers the attach when it has one: `find_session` is called until then.
    """

    def __init__(
        self,
        listener: AmqpListener,
        connection: AmqpConnection,
        link: proton.Link,
        queue: str,
        *,
        sessions: bool,
        wanted: str = "",
    ) -> None:
        self._listener = listener
        self._connection = connection
        self._link = link
        self.queue = queue
        self._wanted = wanted
        self.holder: Holder | None = None
        self.waiting = sessions
        self.patience: asyncio.TimerHandle | None = None
        self._held: dict[proton.Delivery, UUID] = {}
        self._at_once = link.remote_snd_settle_mode == proton.Link.SND_SETTLED
        if not sessions:
            self._open()

    def find_session(self) -> bool:
        """Whether the link has what it needs; `RefusedError` when a named session is somebody else's."""
        if not self.waiting:
            return True
        self.holder = self._listener.receiver.accept_session(self.queue, self._wanted or None)
        if self.holder is None:
            if self._wanted:
                why = f"session {self._wanted!r} is held by another receiver"
                raise RefusedError("com.microsoft:session-cannot-be-locked", why)
            return False
        self.waiting = False
        self._link.properties = {"com.microsoft:locked-until-utc": int(self.holder.until * 10_000_000) + _EPOCH_TICKS}
        self._open()
        return True

    def _open(self) -> None:
        self._link.source.copy(self._link.remote_source)
        self._link.target.copy(self._link.remote_target)
        self._link.snd_settle_mode = self._link.remote_snd_settle_mode
        self._link.rcv_settle_mode = self._link.remote_rcv_settle_mode
        if self.holder is not None:
            chosen = self._link.source.filter
            chosen.clear()
            chosen.put_dict({proton.symbol(SESSION_FILTER): self.holder.session})
        self._link.open()

    def flow(self) -> None:
        """Hand out what there is, as far as credit and the peer's pace allow."""
        if self.waiting:
            return
        link, receiver = self._link, self._listener.receiver
        while link.credit > 0:
            if not self._connection.has_room(link):
                return
            received = receiver.receive(self.queue, self.holder)
            if received is None:
                break
            self._hand_out(received)
        if link.drain_mode:
            link.drained()

    def flush(self) -> None:
        """Write what was handed out."""
        self._connection.flush()

    def _hand_out(self, received: Received) -> None:
        token = uuid4()
        delivery = self._link.delivery(token.bytes_le)
        raw = encoded(received, locked_until=self._listener.lock_ends(received.queue))
        self._link.send(raw)
        self._link.advance()
        self._connection.handed_out(len(raw))
        if self._at_once:
            self._listener.receiver.complete(received)
            delivery.settle()
            return
        self._held[delivery] = token
        self._listener.locked[token] = received

    def delivered(self, delivery: proton.Delivery) -> None:
        """The consumer has said what became of a message."""
        if not delivery.updated or (token := self._held.get(delivery)) is None:
            return
        if not delivery.remote_state:
            if delivery.settled:  # forgotten without a word: the lock lapses
                del self._held[delivery]
                delivery.settle()
            return
        del self._held[delivery]
        try:
            self._settle(token, delivery)
            wrong = None
        except RefusedError as refused:
            wrong = condition(refused.condition, str(refused))
        if not delivery.settled:
            delivery.local.condition = wrong
            delivery.local.failed = delivery.remote.failed
            delivery.update(delivery.remote_state if wrong is None else proton.Delivery.REJECTED)
        delivery.settle()

    def _settle(self, token: UUID, delivery: proton.Delivery) -> None:
        state = delivery.remote_state
        if state == proton.Delivery.ACCEPTED:
            done = self._listener.settle(token, "completed")
        elif state == proton.Delivery.REJECTED:
            done = self._listener.settle(token, "suspended", *_reasons(delivery.remote.condition))
        elif state == proton.Delivery.MODIFIED and delivery.remote.undeliverable:
            raise RefusedError(NOT_IMPLEMENTED, "deferring is not supported: the message stays locked")
        elif state == proton.Delivery.MODIFIED:
            done = self._listener.settle(token, "abandoned")
        else:
            done = self._listener.settle(token, "released")
        if not done:
            lost = SESSION_LOCK_LOST if self.holder is not None else LOCK_LOST
            raise RefusedError(lost, "the lock was lost: the message comes, or has come, again")

    def check(self) -> None:
        """Called every second or so: a session whose lock has lapsed is somebody else's now."""
        if self.holder is not None and not self._listener.receiver.queue(self.queue).holds(self.holder):
            why = f"the lock of session {self.holder.session!r} has lapsed: accept it again"
            self._connection.close_link(self._link, SESSION_LOCK_LOST, why)
            self._connection.flush()

    def closed(self) -> None:
        """A session is free again, and its messages with it; other locks stay until they lapse."""
        self._listener.forget(self)
        if self.holder is None:
            return
        for token in self._held.values():
            self._listener.settle(token, "released")
        self._listener.receiver.release_session(self.queue, self.holder)
        self._listener.receiver.call(self.queue)
        self._held.clear()

    def expired(self, description: str) -> None:
        """No session came in time."""
        self._connection.refuse_link(self._link, "com.microsoft:timeout", description)
        self._connection.flush()


def session_wanted(link: proton.Link) -> tuple[bool, str]:
    """(whether the attach asks for a session, its id or "" for the next one available)."""
    data = link.remote_source.filter
    data.rewind()
    asked: Mapping[Any, Any] = data.get_dict() if data.next() and data.type() == proton.Data.MAP else {}
    if SESSION_FILTER not in asked:
        return False, ""
    value = asked[SESSION_FILTER]
    return True, str(value.value if isinstance(value, proton.Described) else value or "")


def _reasons(given: proton.Condition | None) -> tuple[str, str]:
    """Reason and description of a dead-lettering."""
    if given is None:
        return "", ""
    info = {str(name): value for name, value in given.info.items()} if isinstance(given.info, dict) else {}
    reason = info.get("DeadLetterReason") or ""
    return str(reason), str(info.get("DeadLetterErrorDescription") or given.description or "")
