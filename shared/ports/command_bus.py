"""The command bus: puts messages on lanes (Service Bus queues).

Promise: when `send` returns, every message survives a crash, and each will be delivered at least once, not before its
`scheduled_at`. Two messages with one `message_id` on one lane within the duplicate-detection window are delivered once.
If `send` raises (`RetryableError`), any subset may have been sent: the caller sends all of them again.
A lane that is not listed, a missing session id or an oversized body is `TerminalError`, before anything is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from shared.contracts import instants
from shared.contracts.lanes import Lane
from shared.errors import TerminalError


class OutgoingMessage(NamedTuple):
    """`body`: at most 200 kB (the platform's limit is 256 kB with headers). Ids are at most 128 characters.

    `scheduled_at`: UTC instant as text, "" for now. `properties`: application properties, text only.
    """

    lane: str
    body: bytes
    message_id: str
    session_id: str = ""
    correlation_id: str = ""
    subject: str = ""
    scheduled_at: str = ""
    properties: Mapping[str, str] = {}


MAX_BODY_BYTES = 200_000
MAX_MESSAGE_BYTES = 250_000
"""Body and properties: the rest of the platform's 256 kB is for ids and framing."""
MAX_ID_CHARACTERS = 128
MAX_PROPERTIES_BYTES = 65_536
"""Service Bus: all properties of a message together."""


class CommandBus(Protocol):
    """See the module docstring for the promises."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> None: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


def check(message: OutgoingMessage, lanes: Mapping[str, Lane]) -> None:
    """`TerminalError` for what no adapter may send."""
    lane = lanes.get(message.lane)
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
    properties = len(json.dumps(dict(message.properties))) if message.properties else 0
    if properties > MAX_PROPERTIES_BYTES:
        raise TerminalError("message_too_large", f"the properties may take {MAX_PROPERTIES_BYTES} bytes together")
    if len(message.body) + properties > MAX_MESSAGE_BYTES:
        raise TerminalError("message_too_large", f"body and properties may take {MAX_MESSAGE_BYTES} bytes together")
    scheduled_for(message)


def scheduled_for(message: OutgoingMessage) -> datetime | None:
    """The instant before which the message is not to be delivered; None for now."""
    if not message.scheduled_at:
        return None
    try:
        return instants.parse(message.scheduled_at)
    except ValueError as error:
        raise TerminalError("invalid_schedule", f"scheduled_at is no UTC instant: {error}") from error
