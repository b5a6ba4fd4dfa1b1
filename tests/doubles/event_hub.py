"""An event hub: what producers need of it, over AMQP on this machine.

Taken as a whole or not at all; at most `max_message_bytes` for a message or batch; a SAS token for this hub is asked
for before anything else. Source: "AMQP 1.0 protocol guide" and "Event Hubs AMQP troubleshooting" (learn.microsoft.com).
"""

from __future__ import annotations

import json
from typing import Any

from tests.doubles.amqp_listener import AmqpListener, Outcome, data_in

HUB = "telemetry"


class EventHub:
    """`events`: every event that was taken, decoded from its line of JSON."""

    def __init__(self, *, max_message_bytes: int = 1_048_576) -> None:
        self.events: list[Any] = []
        self.content_types: set[str] = set()
        self.tokens: list[str] = []
        self.refuse_tokens = False
        self.batches = 0
        self.listener = AmqpListener(
            took=self._took, asked=self._asked, entities=(HUB,), max_message_bytes=max_message_bytes
        )

    async def start(self, port: int = 0) -> None:
        await self.listener.start(port)

    async def stop(self) -> None:
        await self.listener.stop()

    @property
    def connection_string(self) -> str:
        where = f"Endpoint=sb://127.0.0.1:{self.listener.port}"
        return f"{where};SharedAccessKeyName=sender;SharedAccessKey=a2V5;UseDevelopmentEmulator=true"

    def _took(self, address: str, message: bytes, message_format: int) -> Outcome:
        del address  # there is one hub
        if not self.tokens:
            return "amqp:unauthorized-access", "no token was put"
        if len(message) > self.listener.max_message_bytes:
            return "amqp:link:message-size-exceeded", "too large"
        for body, content_type in data_in(message, message_format):
            self.events += [json.loads(line) for line in body.splitlines()]
            self.content_types.add(content_type)
        self.batches += 1
        return None

    def _asked(self, address: str, told: dict[str, Any]) -> tuple[int, str, Any]:
        if address == "$cbs" and told.get("operation") == "put-token":
            if self.refuse_tokens or HUB not in told["name"] or not told["value"]:
                return 401, "InvalidSignature", None
            self.tokens.append(told["value"])
            return 202, "Accepted", None
        if address == "$management" and told.get("operation") == "READ" and told.get("name") == HUB:
            return 200, "OK", {b"name": HUB.encode(), b"created_at": 0, b"partition_ids": [b"0", b"1"]}
        return 404, "no such thing", None
