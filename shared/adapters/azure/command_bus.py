"""`ServiceBusCommandBus`: commands onto Service Bus queues, over AMQP.

One client; one sender for each lane (`service_bus_lane.py`), opened by its first message and kept. The queues must have
duplicate detection and must not be partitioned: with both, Service Bus takes no batch. Sign-in: an Entra token (role
"Azure Service Bus Data Sender"), or a connection string of an emulator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from azure.servicebus.aio import ServiceBusClient

from shared.adapters.azure.service_bus_lane import ATTEMPT_SECONDS, LaneSender, brief, close_sender, unavailable
from shared.contracts.lanes import LANES, Lane
from shared.errors import ConfigurationError
from shared.ports.command_bus import OutgoingMessage, check

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

PROVED_SECONDS = 5.0
"""A send that succeeded so recently is as good as a ping."""


class ServiceBusCommandBus:
    """namespace: `<name>.servicebus.windows.net`, signed in with what `credential` gives. connection_string: instead of
    both, for an emulator (`UseDevelopmentEmulator=true`) and nothing else."""

    def __init__(
        self,
        *,
        namespace: str = "",
        credential: Callable[[], AsyncTokenCredential] | None = None,
        connection_string: str = "",
        lanes: Mapping[str, Lane] = LANES,
    ) -> None:
        if connection_string and "usedevelopmentemulator=true" not in connection_string.lower():
            raise ConfigurationError(
                "SERVICEBUS_CONNECTION holds a connection string that is no emulator's: set"
                " SERVICEBUS_CONNECTION__fullyQualifiedNamespace, and let the app sign in with its identity"
            )
        if not connection_string and not (namespace and credential):
            raise ConfigurationError("SERVICEBUS_CONNECTION__fullyQualifiedNamespace is not set")
        self._namespace = namespace
        self._credential = credential
        self._connection_string = connection_string
        self._lanes = lanes
        self._client: ServiceBusClient | None = None
        self._senders: dict[str, LaneSender] = {}
        self._proved_at = float("-inf")
        self._closed = False

    @property
    def operations(self) -> int:
        """Sends made so far: what Service Bus bills, apart from the size."""
        return sum(sender.operations for sender in self._senders.values())

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Checked first, all of them: with a wrong one nothing is sent."""
        for message in messages:
            check(message, self._lanes)
        by_lane: dict[str, list[OutgoingMessage]] = {}
        for message in messages:
            by_lane.setdefault(message.lane, []).append(message)
        sends = [self._sender(lane).send(group) for lane, group in by_lane.items()]
        for outcome in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def ping(self) -> None:
        """Prove that a link could be opened for sending now: connection, sign-in, rights and the queue."""
        if self._closed:
            raise unavailable("the command bus is closed")
        now = asyncio.get_running_loop().time()
        proved_at = max([self._proved_at, *(sender.proved_at for sender in self._senders.values())])
        if now - proved_at < PROVED_SECONDS:
            return
        sender = self._open().get_queue_sender(next(iter(self._lanes)))
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await sender.create_message_batch()
        except Exception as failed:  # whatever the SDK stumbles over, nothing can be sent
            raise unavailable(brief(failed)) from failed
        finally:
            await close_sender(sender)
        self._proved_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """What is under way ends first, within its budget; the credential is its owner's."""
        self._closed = True
        for sender in self._senders.values():
            await sender.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _sender(self, lane: str) -> LaneSender:
        if self._closed:
            raise unavailable("the command bus is closed")
        if (sender := self._senders.get(lane)) is None:
            sender = self._senders[lane] = LaneSender(lane, lambda: self._open().get_queue_sender(lane))
        return sender

    def _open(self) -> ServiceBusClient:
        if self._client is None:
            options: dict[str, Any] = {"retry_total": 0, "try_timeout": ATTEMPT_SECONDS}  # repeated here, in one budget
            if self._connection_string:
                self._client = ServiceBusClient.from_connection_string(self._connection_string, **options)
            else:
                assert self._credential is not None  # noqa: S101  checked when this was made
                self._client = ServiceBusClient(self._namespace, self._credential(), **options)
        return self._client
