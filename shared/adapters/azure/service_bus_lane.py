"""One lane's sender over Service Bus.

The SDK's senders are not made for several tasks at once and take half a second or more to open, so a lane has one
worker: what arrives while it sends goes into the next batches. A batch holds one session's messages (a partition takes
no mixture). What fails is sent again with the same message ids, over a new link, within `BUDGET_SECONDS`; duplicate
detection drops what had arrived after all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
)

from shared.errors import RetryableError, TerminalError
from shared.ports.command_bus import OutgoingMessage, scheduled_for

logger = logging.getLogger("countersign.service_bus")

BUDGET_SECONDS = 8.0
"""For one batch with its repetitions; shorter than the timer's patience with an outbox document."""
PAUSES_SECONDS = (0.0, 0.2, 0.8, 1.6)
ATTEMPT_SECONDS = 4.0
IDLE_SECONDS = 240.0
"""A link unused for so long is opened anew: the platform closes idle ones, and what is between may forget them."""
CLOSE_SECONDS = 2.0
NOT_SET_UP = (
    MessagingEntityNotFoundError,
    MessagingEntityDisabledError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
)
"""No repetition within seconds mends these."""


class _Request(NamedTuple):
    messages: list[OutgoingMessage]
    done: asyncio.Future[None]


class _Entry(NamedTuple):
    message: OutgoingMessage
    request: _Request


class LaneSender:
    """Sends what is for one lane, one batch at a time. open_sender: a new sender, not yet connected.

    `operations`: sends made. `proved_at`: when the newest succeeded, by the event loop's clock."""

    def __init__(self, lane: str, open_sender: Callable[[], ServiceBusSender]) -> None:
        self._lane = lane
        self._open = open_sender
        self._waiting: list[_Request] = []
        self._task: asyncio.Task[None] | None = None
        self._sender: ServiceBusSender | None = None
        self.operations = 0
        self.proved_at = float("-inf")

    async def send(self, messages: list[OutgoingMessage]) -> None:
        """Returns when all have been taken. Who is cancelled while waiting may find them sent all the same."""
        loop = asyncio.get_running_loop()
        request = _Request(messages, loop.create_future())
        self._waiting.append(request)
        if self._task is None:
            self._task = loop.create_task(self._work())
        await request.done

    async def close(self) -> None:
        """After what is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._discard()

    async def _work(self) -> None:
        try:
            while self._waiting:
                requests, self._waiting = self._waiting, []
                await self._send_all(requests)
        finally:
            self._task = None
            waiting, self._waiting = self._waiting, []  # nothing, unless this was cut short
            for request in waiting:
                _settle(request, unavailable("sending was cut short"))

    async def _send_all(self, requests: list[_Request]) -> None:
        """When a batch cannot be sent, neither can anything else that waits: all of it fails at once."""
        sessions: dict[str, list[_Entry]] = {}
        for request in requests:
            for message in request.messages:
                sessions.setdefault(message.session_id, []).append(_Entry(message, request))
        failure: Exception | None = unavailable("sending was cut short")
        try:
            for entries in sessions.values():
                rest = entries
                while rest:
                    rest = await self._send_some(rest)
            failure = None
        except RetryableError as failed:
            logger.warning("lane %s: %s", self._lane, failed)
            failure = failed
            requests, self._waiting = [*requests, *self._waiting], []
        finally:
            for request in requests:
                _settle(request, failure)

    async def _send_some(self, entries: list[_Entry]) -> list[_Entry]:
        """Send what fits into one batch; the rest. `RetryableError` once the budget is used up."""
        failure = unavailable(f"no answer from Service Bus within {BUDGET_SECONDS:g} s")
        try:
            async with asyncio.timeout(BUDGET_SECONDS):
                for pause in PAUSES_SECONDS:
                    await asyncio.sleep(pause)
                    try:
                        async with asyncio.timeout(ATTEMPT_SECONDS):
                            return await self._try(entries)
                    except NOT_SET_UP as failed:
                        await self._discard()
                        raise unavailable(brief(failed)) from failed
                    except Exception as failed:  # noqa: BLE001  the SDK raises whatever its broken link made it stumble over
                        failure = unavailable(brief(failed))
                        failure.__cause__ = failed
                        await self._discard()
        except TimeoutError:
            await self._discard()
        raise failure

    async def _try(self, entries: list[_Entry]) -> list[_Entry]:
        now = asyncio.get_running_loop().time()
        if self._sender is not None and now - self.proved_at > IDLE_SECONDS:
            await self._discard()
        if self._sender is None:
            self._sender = self._open()
        batch = await self._sender.create_message_batch()
        taken = 0
        for message, request in entries:
            try:
                batch.add_message(_sdk_message(message))
            except MessageSizeExceededError:
                if taken:
                    break
                error = TerminalError("message_too_large", f"message {message.message_id} fits into no batch")
                _settle(request, error)
            taken += 1
        if len(batch):
            self.operations += 1
            await self._sender.send_messages(batch, timeout=ATTEMPT_SECONDS)
        self.proved_at = asyncio.get_running_loop().time()
        return entries[taken:]

    async def _discard(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await close_sender(sender)


def _sdk_message(message: OutgoingMessage) -> ServiceBusMessage:
    properties: Any = dict(message.properties)  # the SDK's own type is wider, and a dict's type is exact
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        session_id=message.session_id or None,
        correlation_id=message.correlation_id or None,
        subject=message.subject or None,
        scheduled_enqueue_time_utc=scheduled_for(message),
        application_properties=properties or None,
    )


def _settle(request: _Request, failure: Exception | None) -> None:
    if request.done.done():
        return
    if failure is None:
        request.done.set_result(None)
    else:
        request.done.set_exception(failure)


async def close_sender(sender: ServiceBusSender) -> None:
    """Give it up, within `CLOSE_SECONDS`."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await sender.close()
    except Exception as failed:  # noqa: BLE001  it is given up anyway
        logger.info("a sender could not be closed: %s", brief(failed))


def brief(failed: BaseException) -> str:
    """Kind and first line: the SDK never puts a token or key there."""
    told = str(failed).splitlines() or [""]
    return f"{type(failed).__name__}: {told[0][:200]}"


def unavailable(message: str) -> RetryableError:
    """What every failure of the bus is to its caller."""
    return RetryableError(message, code="bus_unavailable")
