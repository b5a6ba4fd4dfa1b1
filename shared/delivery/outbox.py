"""The outbox: what a commit promised to send. Send first, mark after: a crash between sends twice, never zero times."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from shared.contracts.instants import after, text
from shared.contracts.kinds import KINDS
from shared.contracts.lanes import LANE_OF_COMMAND
from shared.delivery.handling import Delivery
from shared.errors import ConflictError, RetryableError, TerminalError
from shared.ports.command_bus import OutgoingMessage
from shared.ports.document_store import Document

log = logging.getLogger("countersign.outbox")

GRACE_SECONDS = 20
"""How long the committing invocation has before a timer takes over what it has not sent."""
RELAY_SECONDS = 1.0
POSTPONED_SECONDS = 3600
"""An outbox document that can never be sent is tried again hourly, and logged as an error each time."""


def outbox_id(key: str) -> str:
    """One outbox document per commit; `key` is the command's or the ingestion chunk's."""
    return f"outbox:{key}"


def document_for(
    partition: str,
    key: str,
    *,
    commands: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]],
    now: datetime,
) -> list[Document]:
    """The outbox document of a commit, or none when it sends nothing. Pure."""
    if not commands and not events:
        return []
    body = {"commands": list(commands), "events": list(events), "sent_at": ""}
    due_at = after(now, seconds=GRACE_SECONDS)
    return [Document(partition, outbox_id(key), "outbox", body, due_at=due_at)]


def message_of(command: dict[str, Any], *, scheduled_at: str = "") -> OutgoingMessage:
    """The message that carries a command. Its id names the attempt: duplicate detection must never eat a retry."""
    return OutgoingMessage(
        lane=LANE_OF_COMMAND[command["command_type"]],
        body=orjson.dumps(command),
        message_id=f"{command['command_id']}:{command['attempt']}",
        session_id=command["tenant"],
        correlation_id=command["correlation_id"],
        subject=command["command_type"],
        scheduled_at=scheduled_at,
        properties={"traceparent": command["traceparent"]} if command["traceparent"] else {},
    )


async def relay(delivery: Delivery, document: Document) -> None:
    """Send everything in `document`, then mark it sent. Raises `RetryableError` when something could not be sent."""
    commands, events = document.body["commands"], document.body["events"]
    if commands:
        await delivery.bus.send([message_of(command) for command in commands])
    if events:
        await delivery.events.publish(events)
    now = delivery.now()
    sent = document._replace(
        body={"commands": [], "events": [], "sent_at": text(now), "count": len(commands) + len(events)},
        due_at="",
        expires_at=after(now, days=KINDS["outbox"].days_to_live),
    )
    try:
        await delivery.store.commit(document.partition, [sent])
    except ConflictError:
        log.debug("another instance has relayed %s", document.id)


async def relay_promptly(delivery: Delivery, documents: Sequence[Document], etags: dict[str, str]) -> None:
    """One try by the invocation that committed, within a second; what fails is left to the timer, never raised."""
    for document in documents:
        try:
            async with asyncio.timeout(RELAY_SECONDS):
                await relay(delivery, document._replace(etag=etags[document.id]))
        except (RetryableError, TerminalError, TimeoutError) as failed:
            log.warning("outbox %s waits for the timer: %s", document.id, failed)


async def relay_stragglers(delivery: Delivery, *, limit: int = 200) -> int:
    """Send what earlier invocations left unsent; returns how many documents were sent. For the timer."""
    now = delivery.now()
    waiting = await delivery.store.due("outbox", before=text(now), limit=limit)
    sent = 0
    for document in waiting:
        try:
            async with asyncio.timeout(RELAY_SECONDS * 10):
                await relay(delivery, document)
            sent += 1
        except TerminalError:
            log.exception("outbox %s can never be sent as it is; it is kept and tried again hourly", document.id)
            await delivery.store.commit(
                document.partition, [document._replace(due_at=after(now, seconds=POSTPONED_SECONDS))]
            )
    return sent
