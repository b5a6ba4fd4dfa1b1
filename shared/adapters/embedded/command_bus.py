"""The command bus on one machine: the lanes' SQLite file. Usable from any process that may write the file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from shared.adapters.embedded.lanes import NewMessage, SqliteLanes
from shared.contracts import instants
from shared.contracts.lanes import Lane
from shared.errors import TerminalError
from shared.ports.command_bus import MAX_BODY_BYTES, OutgoingMessage

MAX_ID_CHARACTERS = 128
MAX_PROPERTIES_BYTES = 65_536
"""Service Bus: all properties of a message together."""


class SqliteCommandBus:
    """`CommandBus` over `SqliteLanes`; the lanes are closed by whoever opened them."""

    def __init__(self, lanes: SqliteLanes) -> None:
        self._lanes = lanes

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """All in one transaction: stronger than the port promises."""
        if messages:
            await self._lanes.send([_checked(message, self._lanes.lanes.get(message.lane)) for message in messages])

    async def ping(self) -> None:
        """Prove that something could be sent now."""
        await self._lanes.ping()

    async def close(self) -> None:
        """Nothing of its own to close."""


def _checked(message: OutgoingMessage, lane: Lane | None) -> NewMessage:
    """The message as it is stored, or the `TerminalError` that Service Bus would have made of it."""
    if lane is None:
        raise TerminalError("unknown_lane", f"lane {message.lane!r} is not listed in contracts/lanes.py")
    if lane.sessions and not message.session_id:
        raise TerminalError("session_required", f"every message on {lane.queue} needs a session id")
    if not message.message_id:
        raise TerminalError("message_id_required", "a message without an id cannot be recognised when it comes again")
    for name, value in (
        ("message_id", message.message_id),
        ("session_id", message.session_id),
        ("correlation_id", message.correlation_id),
        ("subject", message.subject),
    ):
        if len(value) > MAX_ID_CHARACTERS:
            raise TerminalError("message_too_large", f"{name} may have {MAX_ID_CHARACTERS} characters")
    if len(message.body) > MAX_BODY_BYTES:
        raise TerminalError("message_too_large", f"a body may have {MAX_BODY_BYTES} bytes, not {len(message.body)}")
    properties = json.dumps(dict(message.properties)) if message.properties else ""
    if len(properties) > MAX_PROPERTIES_BYTES:
        raise TerminalError("message_too_large", f"the properties may take {MAX_PROPERTIES_BYTES} bytes together")
    return NewMessage(
        lane.queue,
        message.session_id,
        _seconds(message.scheduled_at),
        message.message_id,
        message.correlation_id,
        message.subject,
        properties,
        message.body,
    )


def _seconds(scheduled_at: str) -> float:
    if not scheduled_at:
        return 0.0
    try:
        return instants.parse(scheduled_at).timestamp()
    except ValueError as error:
        raise TerminalError("invalid_schedule", f"scheduled_at is no UTC instant: {error}") from error
