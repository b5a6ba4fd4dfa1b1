"""The command bus: puts messages on lanes (Service Bus queues).

Promise: when `send` returns, every message survives a crash, and each will be delivered at least once, not before its
`scheduled_at`. Two messages with one `message_id` on one lane within the duplicate-detection window are delivered once.
If `send` raises (`RetryableError`), any subset may have been sent: the caller sends all of them again.
A lane that is not listed, a missing session id or an oversized body is `TerminalError`, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


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


class CommandBus(Protocol):
    """See the module docstring for the promises."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> None: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
