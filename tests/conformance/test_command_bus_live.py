"""The Service Bus adapter against whatever the settings name: SERVICEBUS_CONNECTION, the official emulator;
SERVICEBUS_CONNECTION__fullyQualifiedNamespace, a namespace on Azure, for whoever has signed in. No app may work there.

Beside the suite over our own listener, because here nobody can move the clock, and the queues are the app's own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from shared.adapters.azure.command_bus import ServiceBusCommandBus
from shared.adapters.azure.credentials import EntraCredential
from shared.contracts.instants import text
from shared.contracts.lanes import INGESTION
from shared.errors import RetryableError
from shared.ports.command_bus import OutgoingMessage

CONNECTION = os.environ.get("SERVICEBUS_CONNECTION", "")
NAMESPACE = os.environ.get("SERVICEBUS_CONNECTION__fullyQualifiedNamespace", "")  # noqa: SIM112  the platform's name
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (CONNECTION or NAMESPACE), reason="SERVICEBUS_CONNECTION is not set"),
]


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBusCommandBus]:
    entra = EntraCredential()
    made = ServiceBusCommandBus(namespace=NAMESPACE, credential=entra, connection_string=CONNECTION)
    yield made
    await made.close()
    await entra.close()


@asynccontextmanager
async def client() -> AsyncIterator[ServiceBusClient]:
    """To receive with."""
    if CONNECTION:
        async with ServiceBusClient.from_connection_string(CONNECTION) as connected:
            yield connected
    else:
        async with DefaultAzureCredential() as signed_in, ServiceBusClient(NAMESPACE, signed_in) as connected:
            yield connected


@pytest.fixture
def session() -> str:
    """One that nobody else uses: the queue may hold other messages."""
    return f"live-{uuid4().hex[:12]}"


def message(session: str, name: str = "m", **changes: object) -> OutgoingMessage:
    return OutgoingMessage(INGESTION.queue, b"{}", f"{session}:{name}", session)._replace(**changes)


async def taken(session: str, number: int, seconds: float = 10) -> list[str]:
    """Ids of up to `number` messages of the session, completed."""
    found: list[str] = []
    async with client() as connected:
        receiver: ServiceBusReceiver = connected.get_queue_receiver(INGESTION.queue, session_id=session)
        async with receiver:
            end = asyncio.get_running_loop().time() + seconds
            while len(found) < number and (left := end - asyncio.get_running_loop().time()) > 0:
                for one in await receiver.receive_messages(max_message_count=10, max_wait_time=left):
                    found.append(str(one.message_id).rpartition(":")[2])
                    await receiver.complete_message(one)
    return found


async def test_live_a_sessions_messages_arrive_in_the_order_of_sending(bus: ServiceBusCommandBus, session: str):
    await bus.send([message(session, f"{n}") for n in range(7)])
    await bus.send([message(session, "7")])
    assert await taken(session, 8) == [str(n) for n in range(8)]


async def test_live_the_same_id_within_the_window_is_delivered_once(bus: ServiceBusCommandBus, session: str):
    await bus.send([message(session, "a"), message(session, "a")])
    await bus.send([message(session, "a")])
    await bus.send([message(session, "b")])
    assert await taken(session, 3, seconds=5) == ["a", "b"]


async def test_live_a_scheduled_message_does_not_arrive_before_its_time(bus: ServiceBusCommandBus, session: str):
    due = datetime.now(UTC) + timedelta(seconds=4)
    await bus.send([message(session, "late", scheduled_at=text(due)), message(session, "now")])
    assert await taken(session, 1) == ["now"]
    assert await taken(session, 1) == ["late"]
    assert datetime.now(UTC) >= due


async def test_live_the_largest_body_is_taken(bus: ServiceBusCommandBus, session: str):
    await bus.send([message(session, "large", body=b"x" * 200_000)])
    assert await taken(session, 1) == ["large"]


async def test_live_a_ping_says_that_something_could_be_sent(bus: ServiceBusCommandBus):
    await bus.ping()


async def test_live_a_key_that_is_wrong_or_a_host_that_is_not_there_is_told_in_time():
    nobody = "Endpoint=sb://localhost:1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true;"
    bus = ServiceBusCommandBus(connection_string=nobody)
    with pytest.raises(RetryableError):
        async with asyncio.timeout(10):
            await bus.ping()
    await bus.close()
