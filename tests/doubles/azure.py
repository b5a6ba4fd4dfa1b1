"""All of Azure that the app asks, as doubles on this machine, and what comes back from it: messages and events."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple
from uuid import uuid4

from azure.eventhub._pyamqp._decode import decode_payload

from shared.contracts.lanes import LANES
from tests.doubles import blob, cosmos_requests, event_grid
from tests.doubles.amqp_listener import AmqpListener, Outcome
from tests.doubles.blob import BlobContainer
from tests.doubles.cosmos import running
from tests.doubles.event_grid import EventGridTopic
from tests.doubles.event_hub import HUB, EventHub


class Message(NamedTuple):
    """As a queue took it."""

    lane: str
    body: bytes
    message_id: str
    session_id: str
    properties: dict[str, str]
    scheduled: bool


class Azure:
    """`settings`: what an app is told that is to use it. `messages`, `events`: what waits to be delivered."""

    def __init__(self) -> None:
        self.cosmos = running()
        self.database = f"db-{uuid4().hex[:12]}"
        self.served = self.cosmos.container(self.database)
        self.topic = EventGridTopic("app")
        self.hub = EventHub()
        self.container = BlobContainer()
        self.queues = AmqpListener(
            took=self._took,
            asked=lambda *_: (202, "Accepted", None),
            entities=tuple(LANES),
            max_message_bytes=262_144,
        )
        self.messages: deque[Message] = deque()

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.topic.delivered["app"]

    async def start(self) -> None:
        for one in (self.topic, self.hub, self.container, self.queues):
            await one.start()

    async def stop(self) -> None:
        for one in (self.topic, self.hub, self.container, self.queues):
            await one.stop()

    @property
    def settings(self) -> dict[str, str]:
        here = f"Endpoint=sb://127.0.0.1:{self.queues.port}"
        return {
            "COSMOS_ENDPOINT": self.cosmos.endpoint,
            "COSMOS_KEY": cosmos_requests.KEY,
            "COSMOS_DATABASE": self.database,
            "SERVICEBUS_CONNECTION": f"{here};SharedAccessKeyName=app;SharedAccessKey=a;UseDevelopmentEmulator=true",
            "EVENTGRID_TOPIC_ENDPOINT": self.topic.endpoint,
            "EVENTGRID_TOPIC_KEY": event_grid.KEY,
            "EVENTHUB_CONNECTION": self.hub.connection_string,
            "EVENTHUB_NAME": HUB,
            "CHECKPOINTS_URL": self.container.url,
            "CHECKPOINTS_KEY": blob.KEY,
        }

    def _took(self, address: str, message: bytes, message_format: int) -> Outcome:
        """Only what the lane takes: a session id where it has sessions, and an id."""
        decoded = decode_payload(memoryview(message))
        whole = [message] if message_format == 0 else [bytes(part) for part in decoded.data]
        taken = [_message(address, one) for one in whole]
        if any(LANES[address].sessions and not one.session_id for one in taken):
            return "amqp:not-allowed", "a session id is missing"
        self.messages.extend(taken)
        return None


def _message(lane: str, encoded: bytes) -> Message:
    decoded = decode_payload(memoryview(encoded))
    properties, annotations = decoded.properties, decoded.message_annotations or {}
    return Message(
        lane,
        b"".join(bytes(part) for part in decoded.data),
        properties[0].decode(),
        (properties[10] or b"").decode(),
        {name.decode(): value.decode() for name, value in (decoded.application_properties or {}).items()},
        b"x-opt-scheduled-enqueue-time" in annotations,
    )
