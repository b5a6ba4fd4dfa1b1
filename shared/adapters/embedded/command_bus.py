"""The command bus on one machine: the lanes' SQLite file. Usable from any process that may write the file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from shared.adapters.embedded.lanes import NewMessage, SqliteLanes
from shared.ports.command_bus import OutgoingMessage, check, scheduled_for


class SqliteCommandBus:
    """`CommandBus` over `SqliteLanes`; the lanes are closed by whoever opened them."""

    def __init__(self, lanes: SqliteLanes) -> None:
        self._lanes = lanes

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """All in one transaction: stronger than the port promises."""
        for message in messages:
            check(message, self._lanes.lanes)
        if messages:
            await self._lanes.send([_row(message) for message in messages])

    async def ping(self) -> None:
        """Prove that something could be sent now."""
        await self._lanes.ping()

    async def close(self) -> None:
        """Nothing of its own to close."""


def _row(message: OutgoingMessage) -> NewMessage:
    """The message as it is stored."""
    scheduled = scheduled_for(message)
    return NewMessage(
        message.lane,
        message.session_id,
        scheduled.timestamp() if scheduled else 0.0,
        message.message_id,
        message.correlation_id,
        message.subject,
        json.dumps(dict(message.properties)) if message.properties else "",
        message.body,
    )
