"""The outbox: what a commit promised to send. Sent first, discarded after: a crash sends twice, never zero times."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from shared.contracts.instants import after, text
from shared.contracts.lanes import LANE_OF_COMMAND, session_of
from shared.delivery.handling import Delivery
from shared.errors import RetryableError, TerminalError
from shared.ports.command_bus import OutgoingMessage
from shared.ports.document_store import Document

log = logging.getLogger("countersign.outbox")

GRACE_SECONDS = 20
"""How long the committing invocation has before a timer takes over what it has not sent."""
RELAY_SECONDS = 1.0
LONGEST_CORRELATION = 128
"""Characters that the bus takes; the whole id travels in the envelope."""
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
    nonce: str,
    grace_seconds: float | None = None,
) -> list[Document]:
    """The outbox document of a commit, or none when it sends nothing. Pure.

    nonce: random text that becomes part of the message ids. A repeat of this sending has the same ids, and nobody
    else can use them up before us. grace_seconds: when the timer takes over, by default after `GRACE_SECONDS`.
    """
    if not commands and not events:
        return []
    body = {"commands": list(commands), "events": list(events), "nonce": nonce}
    due_at = after(now, seconds=GRACE_SECONDS if grace_seconds is None else grace_seconds)
    return [Document(partition, outbox_id(key), "outbox", body, due_at=due_at)]


def message_of(command: dict[str, Any], *, nonce: str) -> OutgoingMessage:
    """The message that carries a command. Its id names the attempt: duplicate detection must never eat a retry."""
    return OutgoingMessage(
        lane=LANE_OF_COMMAND[command["command_type"]],
        body=orjson.dumps(command),
        message_id=f"{command['command_id']}:{command['attempt']}:{nonce}",
        session_id=session_of(command["command_type"], command["tenant"], command["payload"]),
        correlation_id=command["correlation_id"][:LONGEST_CORRELATION],
        subject=command["command_type"],
        properties={"traceparent": command["traceparent"]} if command["traceparent"] else {},
    )


async def relay(delivery: Delivery, document: Document) -> None:
    """Send everything in `document`, then discard it. Raises `RetryableError` when something could not be sent."""
    body = document.body
    if body["commands"]:
        await delivery.bus.send([message_of(command, nonce=body["nonce"]) for command in body["commands"]])
    if body["events"]:
        await delivery.events.publish(body["events"])
    await delivery.store.discard([document])


async def relay_promptly(delivery: Delivery, documents: Sequence[Document], etags: dict[str, str]) -> None:
    """One try by the invocation that committed `documents`, within a second for each outbox document among them; what
    fails is left to the timer, never raised."""
    for document in documents:
        if document.kind != "outbox":
            continue
        try:
            async with asyncio.timeout(RELAY_SECONDS):
                await relay(delivery, document._replace(etag=etags[document.id]))
        except (RetryableError, TerminalError, TimeoutError) as failed:
            log.warning("outbox %s waits for the timer: %s", document.id, failed)


async def relay_stragglers(delivery: Delivery, *, limit: int = 200) -> int:
    """Send what earlier invocations left unsent; returns how many documents were sent. For the timer.

    What needs a bus or a topic that has just failed waits for the next time; the rest does not wait with it.
    """
    waiting = await delivery.store.due("outbox", before=text(delivery.now()), limit=limit)
    sent, down = 0, set[str]()
    for document in waiting:
        needs = {name for name in ("commands", "events") if document.body[name]}
        if needs & down:
            continue
        try:
            async with asyncio.timeout(RELAY_SECONDS * 10):
                await relay(delivery, document)
            sent += 1
        except TerminalError:
            log.exception("outbox %s can never be sent as it is; it is kept and tried again hourly", document.id)
            later = after(delivery.now(), seconds=POSTPONED_SECONDS)
            await delivery.store.commit(document.partition, [document._replace(due_at=later)])
        except (RetryableError, TimeoutError) as failed:
            down |= needs
            log.warning("outbox %s waits on: %s", document.id, failed)
    return sent
