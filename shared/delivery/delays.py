"""A command that has to be tried again later: its copy on the lane, and a word to whoever waits for it."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of, run_id_of
from shared.contracts.instants import after, text
from shared.delivery import outbox
from shared.delivery.handling import Delivery, Patient
from shared.delivery.one_commit import commit
from shared.delivery.parking import Incoming
from shared.delivery.retry import OUTAGE_DELAY_SECONDS, RetryLater
from shared.delivery.run_documents import run_for
from shared.errors import CountersignError, RetryableError
from shared.ports.command_bus import OutgoingMessage

if TYPE_CHECKING:
    from shared.contracts.commands import CommandEnvelope

log = logging.getLogger("countersign.delays")


async def send_later(delivery: Delivery, incoming: Incoming, command: CommandEnvelope, verdict: RetryLater) -> None:
    """The scheduled copy. Its id depends on the message it copies: whoever redelivers that makes no second copy."""
    attempt = command.attempt + verdict.counts
    later = after(delivery.now(), seconds=verdict.delay_seconds)
    tail = sha256(incoming.message_id.encode()).hexdigest() if verdict.counts else _unique_id(incoming, later)
    copy = OutgoingMessage(
        lane=incoming.lane,
        body=orjson.dumps({**orjson.loads(incoming.body), "attempt": attempt}),
        message_id=f"{command.command_id}:{attempt}:{tail[:16]}",
        session_id=incoming.session_id or command.tenant,
        correlation_id=command.correlation_id[: outbox.LONGEST_CORRELATION],
        subject=command.command_type,
        scheduled_at=later,
    )
    await delivery.bus.send([copy])


async def send_unread_later(delivery: Delivery, incoming: Incoming) -> None:
    """A newer instance wrote this envelope: wait for the deployment to reach us, without reading it."""
    later = after(delivery.now(), seconds=OUTAGE_DELAY_SECONDS * (1 + delivery.jitter()))
    copy = OutgoingMessage(
        lane=incoming.lane,
        body=incoming.body,
        message_id=_unique_id(incoming, later),
        session_id=incoming.session_id,
        scheduled_at=later,
    )
    await delivery.bus.send([copy])


async def tell_of_delay(delivery: Delivery, command: CommandEnvelope, why: Exception) -> None:
    """What the command's flow says of the delay, if anything, is committed once. The copy is on its way already, so a
    failure here is only logged."""
    flow = delivery.flows.get(command.command_type)
    if not isinstance(flow, Patient) or not isinstance(why, RetryableError):
        return
    try:
        await _told(delivery, command, flow, why)
    except CountersignError as failed:
        log.warning("nobody was told that %s waits: %s", command.command_id, failed)


async def _told(delivery: Delivery, command: CommandEnvelope, flow: Patient, why: RetryableError) -> None:
    partition = partition_of(command.tenant)
    run_doc_id = f"run:{run_id_of(partition, command.command_id)}"
    documents = await delivery.store.read_many(partition, [HEAD_ID, run_doc_id, *flow.needs(command)])
    now = delivery.now()
    run = run_for(command, documents.get(run_doc_id), at=text(now))
    left = flow.when_delayed(command, documents, run=run, why=why, now=now)
    ids = [one.id for one in left.writes]
    if not ids or await delivery.store.read_many(partition, ids):
        return  # told before
    head = documents.get(HEAD_ID)
    await commit(delivery, partition, left.writes, left.entries, head=head, merges=left.merges, known=documents)


def _unique_id(incoming: Incoming, later: str) -> str:
    """An id for a copy that is no further attempt: duplicate detection must not take it for the message it copies."""
    return sha256(f"{incoming.message_id}|{incoming.delivery_count}|{later}".encode()).hexdigest()
