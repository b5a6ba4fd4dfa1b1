"""Requests and answers over AMQP: `$cbs` (put-token: any token is welcome) and `<queue>/$management`.

Implemented: renew-lock, renew-session-lock, update-disposition, schedule-message and cancel-scheduled-message (of what
was scheduled here). Everything else is answered 501 with `amqp:not-implemented`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import proton

from local.amqp_connection import AmqpConnection
from local.amqp_links import LOCK_LOST, SERVER_BUSY, SESSION_LOCK_LOST
from local.amqp_messages import (
    DECODE_ERROR,
    INVALID_FIELD,
    MAX_MESSAGE_BYTES,
    NOT_IMPLEMENTED,
    TOO_LARGE,
    RefusedError,
    condition,
    sent_in,
)
from shared.errors import RetryableError

if TYPE_CHECKING:
    from local.amqp import AmqpListener

logger = logging.getLogger("countersign.local.amqp")

CBS, MANAGEMENT = "$cbs", "/$management"
MAX_MESSAGES = 100
MAX_UNREAD = 64
"""Answers that wait for a client to take them; those to further requests are lost."""
_STATUS = {LOCK_LOST: 410, SESSION_LOCK_LOST: 410, NOT_IMPLEMENTED: 501, "com.microsoft:message-not-found": 404}


def node_of(address: str | None) -> str:
    """The queue, or `$cbs`, in an address: `amqps://host/queue`, `/queue` or `queue`; names have no case."""
    told = address or ""
    path = told.split("://", 1)[1].partition("/")[2] if "://" in told else told
    return path.strip("/").lower()


type Answer = dict[str, object] | None
type Operation = Callable[[str, dict[str, Any]], Awaitable[Answer]]


class Requests:
    """A client's link to a request node."""

    def __init__(self, listener: AmqpListener, connection: AmqpConnection, link: proton.Link, node: str) -> None:
        self._listener = listener
        self._connection = connection
        self._link = link
        self._node = node
        self._operations = Operations(listener)
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.max_message_size = MAX_MESSAGE_BYTES
        link.open()
        link.flow(32)

    def flow(self) -> None:
        """Nothing to do: the credit is ours to give."""

    def closed(self) -> None:
        """Nothing to undo."""

    def delivered(self, delivery: proton.Delivery) -> None:
        """A request has come."""
        if delivery.pending > MAX_MESSAGE_BYTES:
            self._connection.close_link(self._link, TOO_LARGE, f"a request may have {MAX_MESSAGE_BYTES} bytes")
            return
        self._connection.unfinished(self._link, delivery.pending if delivery.partial else 0)
        if delivery.aborted or (delivery.readable and not delivery.partial):
            raw = bytes(self._link.recv(delivery.pending) or b"")
            self._link.advance()
            request = None if delivery.aborted else _request(raw)
            delivery.local.condition = None if request else condition(DECODE_ERROR, "this is no request")
            delivery.update(proton.Delivery.ACCEPTED if request else proton.Delivery.REJECTED)
            delivery.settle()
            self._link.flow(1)
            if request is not None:
                self._listener.spawn(self._respond(request))

    async def _respond(self, request: proton.Message) -> None:
        response = proton.Message(correlation_id=request.id)
        if self._node == CBS:
            response.properties = {"status-code": proton.int32(202), "status-description": "Accepted"}
        else:
            queue = self._node.removesuffix(MANAGEMENT)
            response.body, response.properties = await self._operations.run(queue, request)
        for link, handler in self._connection.links.items():
            if isinstance(handler, Responses) and handler.answers(self._link, self._node, request.reply_to):
                delivery = link.delivery(str(request.id).encode()[:32])
                link.send(response.encode())
                link.advance()
                delivery.settle()
                break
        self._connection.flush()


class Responses:
    """A client's link from a request node."""

    def __init__(self, link: proton.Link, node: str) -> None:
        self._link = link
        self._node = node
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode = proton.Link.SND_SETTLED
        link.open()

    def answers(self, request: proton.Link, node: str, reply_to: str | None) -> bool:
        """Whether a response belongs here, and is taken: the same node, and the address that the request names."""
        if self._node != node or self._link.session != request.session or self._link.queued >= MAX_UNREAD:
            return False
        return reply_to in (None, "", self._link.remote_target.address, self._link.name)

    def flow(self) -> None:
        """Responses wait for nothing but their request."""

    def delivered(self, delivery: proton.Delivery) -> None:
        """Responses are settled when they are sent."""

    def closed(self) -> None:
        """Nothing to undo."""


class Operations:
    """What `$management` of a queue can do."""

    def __init__(self, listener: AmqpListener) -> None:
        self._listener = listener
        self._known: dict[str, Operation] = {
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:renew-session-lock": self._renew_session,
            "com.microsoft:update-disposition": self._update,
            "com.microsoft:schedule-message": self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel,
        }

    async def run(self, queue: str, request: proton.Message) -> tuple[Answer, dict[str, object]]:
        """(body, application properties) of the answer."""
        asked = (request.properties or {}).get("operation")
        given = request.body if isinstance(request.body, dict) else {}
        try:
            body = await self._known.get(str(asked), self._unknown)(queue, given)
        except RefusedError as refused:
            return None, _failure(_STATUS.get(refused.condition, 400), refused.condition, str(refused))
        except RetryableError as error:
            logger.warning("%s failed: %s", asked, error)
            return None, _failure(503, SERVER_BUSY, "the lanes cannot be written now")
        return body, {"statusCode": proton.int32(200), "statusDescription": "OK"}

    async def _unknown(self, _queue: str, _given: dict[str, Any]) -> Answer:
        raise RefusedError(NOT_IMPLEMENTED, f"of $management, only {', '.join(self._known)} are supported here")

    async def _renew(self, _queue: str, given: dict[str, Any]) -> Answer:
        until = [self._listener.renew(token) for token in _tokens(given)]
        if not all(until):
            raise RefusedError(LOCK_LOST, "the lock was lost")
        stamps = [proton.timestamp(int(one * 1000)) for one in until]
        return {"expirations": proton.Array(proton.UNDESCRIBED, proton.Data.TIMESTAMP, *stamps)}

    async def _renew_session(self, queue: str, given: dict[str, Any]) -> Answer:
        until = self._listener.renew_session(queue, str(given.get("session-id", "")))
        if not until:
            raise RefusedError(SESSION_LOCK_LOST, "the lock was lost")
        return {"expiration": proton.timestamp(int(until * 1000))}

    async def _update(self, _queue: str, given: dict[str, Any]) -> Answer:
        status = str(given.get("disposition-status", ""))
        if status not in ("completed", "abandoned", "suspended"):
            raise RefusedError(NOT_IMPLEMENTED, f"disposition {status!r} is not supported")
        reason, description = given.get("deadletter-reason") or "", given.get("deadletter-description") or ""
        done = [self._listener.settle(token, status, str(reason), str(description)) for token in _tokens(given)]
        if not all(done):
            raise RefusedError(LOCK_LOST, "the lock was lost: the message comes, or has come, again")
        return None

    async def _schedule(self, queue: str, given: dict[str, Any]) -> Answer:
        lane, listed = self._listener.lanes.lanes.get(queue), given.get("messages")
        if lane is None or not isinstance(listed, list) or not 0 < len(listed) <= MAX_MESSAGES:
            raise RefusedError(INVALID_FIELD, f"messages: 1 to {MAX_MESSAGES} for a queue that may be sent to")
        messages = []
        for one in listed:
            raw = one.get("message") if isinstance(one, dict) else None
            if not isinstance(raw, bytes | bytearray | memoryview):
                raise RefusedError(INVALID_FIELD, "a message must be bytes")
            messages += sent_in(bytes(raw), lane, now=self._listener.lanes.clock())
        arrivals = await self._listener.lanes.send(messages)
        numbers = {arrival.message.message_id: arrival.sequence for arrival in arrivals}
        self._listener.remember_scheduled(queue, numbers.values())
        told = [numbers.get(message.message_id, 0) for message in messages]  # 0: known, and therefore dropped
        return {"sequence-numbers": proton.Array(proton.UNDESCRIBED, proton.Data.LONG, *told)}

    async def _cancel(self, queue: str, given: dict[str, Any]) -> Answer:
        array = given.get("sequence-numbers")
        numbers = [int(one) for one in getattr(array, "elements", ()) if isinstance(one, int)]
        if not await self._listener.cancel_scheduled(queue, numbers):
            raise RefusedError("com.microsoft:message-not-found", "it was not scheduled here, or its time has come")
        return None


def _request(raw: bytes) -> proton.Message | None:
    message = proton.Message()
    try:
        message.decode(raw)
    except (proton.ProtonException, TypeError, ValueError, RecursionError) as error:
        logger.info("a request could not be read: %s", error)
        return None
    return message


def _tokens(given: dict[str, Any]) -> list[UUID]:
    return [one for one in getattr(given.get("lock-tokens"), "elements", ()) if isinstance(one, UUID)][:MAX_MESSAGES]


def _failure(status: int, condition: str, description: str) -> dict[str, object]:
    return {
        "statusCode": proton.int32(status),
        "statusDescription": description,
        "errorCondition": proton.symbol(condition),
    }
