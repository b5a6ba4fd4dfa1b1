"""The inbox: every command is handled exactly once in effect, however often it arrives."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import orjson

from shared.audit.trail import HEAD_ID
from shared.contracts.commands import OURSELVES, parse_envelope
from shared.contracts.correlation import CORRELATION
from shared.contracts.identity import deterministic_id, partition_of, run_id_of
from shared.contracts.instants import after, text
from shared.contracts.kinds import KINDS
from shared.contracts.telemetry import score, trace
from shared.delivery import outbox
from shared.delivery.delays import send_later, send_unread_later, tell_of_delay
from shared.delivery.handling import Delivery, Outcome, Work
from shared.delivery.one_commit import commit
from shared.delivery.parking import Incoming, park_command, park_unreadable
from shared.delivery.retry import Park, RetryLater, after_failure
from shared.delivery.run_documents import (
    payload_fingerprint,
    receipt_document,
    run_document_of,
    run_for,
    vouching_for,
)
from shared.delivery.tenants import register
from shared.delivery.tracing import ended, spanned
from shared.errors import ConflictError, EarlyError, IdempotencyMismatchError, RetryableError, TerminalError
from shared.ports.document_store import Document
from shared.runs.life_cycle import is_terminal, moved_to

if TYPE_CHECKING:
    from shared.contracts.commands import AnyCommand, CommandEnvelope

log = logging.getLogger("countersign.inbox")

LONGEST_GIVE_BACK_SECONDS = 60.0
NOT_OF_THE_TENANT = frozenset({"unauthenticated_command", "command_id_reused"})
"""Reasons to park outside the tenant: what was handled under the id, or whose it is, must stay as it is."""
DECISIONS = 3
"""How often a command that lost a race is decided again at once, before it is sent round the lane."""


async def handle_once(delivery: Delivery, incoming: Incoming) -> str:
    """Handle one message of a lane. Returns "committed", "duplicate", "early", "retried" or "parked"; the message is
    done with.

    Raises only when not even the failure could be recorded: then the host must deliver the message again. It is given
    back slowly, because the platform delivers again at once and gives up after ten deliveries.
    """
    try:
        return await _handle_or_record(delivery, incoming)
    except Exception:
        await asyncio.sleep(min(LONGEST_GIVE_BACK_SECONDS, 0.5 * 2**incoming.delivery_count))
        raise


async def _handle_or_record(delivery: Delivery, incoming: Incoming) -> str:
    try:
        command = command_in(incoming.body)
    except TerminalError as failed:
        await park_unreadable(delivery, incoming, Park(failed.code, str(failed)))
        return "parked"
    except RetryableError as failed:
        log.warning("a message on %s waits: %s", incoming.lane, failed)
        await send_unread_later(delivery, incoming)
        return "retried"
    CORRELATION.set(command.correlation_id)
    try:
        return await handle_command(delivery, command, incoming.body)
    except EarlyError as early:
        log.info("%s %s came early: %s", command.command_type, command.command_id, early)
        return "early"
    except Exception as failed:  # noqa: BLE001  whatever a flow raises, the rule below decides; nothing is lost
        return await _after_failure(delivery, incoming, command, failed)


def command_in(body: bytes) -> CommandEnvelope:
    """The command in a message. Outside producers' ids live in a namespace of their own, one for each producer: none of
    them can use up an id of ours or of another's."""
    command = parse_envelope(body)
    if command.producer == OURSELVES:
        return command
    apart = deterministic_id(command.tenant, "outside", f"{command.producer}\x1f{command.command_id}")
    return command.model_copy(update={"command_id": apart})


@spanned("internal")
async def execute(delivery: Delivery, command: AnyCommand, *, fingerprint: str) -> dict[str, Any]:
    """Handle a command of an authenticated caller at once and return its answer; a repeat gets the first answer.

    fingerprint: of what the caller sent. Another one under the same command id is `IdempotencyMismatchError`.
    Other errors are the flow's own: the caller may try again.
    """
    await register(delivery, command.tenant)
    for turn in range(DECISIONS):
        documents = await read_for(delivery, command)
        receipt = documents.get(f"receipt:{command.command_id}")
        if receipt is not None:
            if receipt.body["fingerprint"] != fingerprint:
                raise IdempotencyMismatchError("this idempotency key was used with another body; take a new key")
            answer: dict[str, Any] = receipt.body["answer"]
            return answer
        try:
            outcome = await _decide_and_commit(delivery, command, documents, fingerprint=fingerprint)
        except ConflictError:
            if turn == DECISIONS - 1:
                raise
        else:
            _report(delivery, command, outcome)
            return outcome.answer
    raise AssertionError("unreachable")


@spanned("consumer")
async def handle_command(delivery: Delivery, command: CommandEnvelope, body: bytes) -> str:
    """Read, check, decide, commit; a lost race is read and decided again. "committed" or "duplicate"; raises what a
    flow raises."""
    for turn in range(DECISIONS):
        documents = await read_for(delivery, command)
        fingerprint = await check_authority(delivery, command, documents, body)
        if is_done(command, documents, fingerprint):
            return "duplicate"
        try:
            outcome = await _decide_and_commit(delivery, command, documents, fingerprint=fingerprint)
        except ConflictError:
            if turn == DECISIONS - 1:
                raise
        else:
            _report(delivery, command, outcome)
            return "committed"
    raise AssertionError("unreachable")


def is_done(command: CommandEnvelope, documents: dict[str, Document], fingerprint: str) -> bool:
    """Whether this command was handled. A receipt expires; after that a terminal run is the receipt."""
    receipt = documents.get(f"receipt:{command.command_id}")
    if receipt is None:
        run_document = documents.get(f"run:{run_id_of(partition_of(command.tenant), command.command_id)}")
        return run_document is not None and is_terminal(run_document.body)
    if receipt.body["fingerprint"] != fingerprint:
        raise TerminalError("command_id_reused", "another command was handled under this id: take a new one")
    return True


async def read_for(delivery: Delivery, command: AnyCommand) -> dict[str, Document]:
    """Everything the command's handling needs, in one round trip."""
    partition = partition_of(command.tenant)
    run_id = run_id_of(partition, command.command_id)
    needed = delivery.flows[command.command_type].needs(command)
    ids = [f"receipt:{command.command_id}", f"run:{run_id}", HEAD_ID, *needed]
    if command.causation_id:
        ids.append(f"run:{run_id_of(partition, command.causation_id)}")
    return await delivery.store.read_many(partition, ids)


async def _decide_and_commit(
    delivery: Delivery, command: AnyCommand, documents: dict[str, Document], *, fingerprint: str
) -> Outcome:
    """Let the flow decide, and commit everything it returned together with run, receipt, outbox and audit."""
    partition, key = partition_of(command.tenant), command.command_id
    now = delivery.now()
    run_document = documents.get(f"run:{run_id_of(partition, key)}")
    at = text(now)
    run = moved_to(run_for(command, run_document, at=at), "Running", at=at)
    flow = delivery.flows[command.command_type]
    outcome = await flow.handle(Work(command, partition, run, documents, now, at, delivery.store))
    finished = vouching_for(outcome.run, outcome.commands)
    expires_at = after(now, days=KINDS["receipt"].days_to_live)
    nonce = delivery.new_salt()[:8]
    outgoing = outbox.document_for(
        partition, key, commands=outcome.commands, events=outcome.events, now=now, nonce=nonce
    )
    writes = [
        receipt_document(
            partition, key, finished, expires_at=expires_at, fingerprint=fingerprint, answer=outcome.answer
        ),
        run_document_of(partition, finished, run_document),
        *outcome.writes,
        *outgoing,
    ]
    head = documents.get(HEAD_ID)
    await commit(
        delivery,
        partition,
        writes,
        outcome.entries,
        head=head,
        deletes=outcome.deletes,
        merges=outcome.merges,
        known=documents,
    )
    return outcome


async def check_authority(
    delivery: Delivery, command: CommandEnvelope, documents: dict[str, Document], body: bytes
) -> str:
    """The fingerprint of the payload; `TerminalError("unauthenticated_command")` when nobody we know sent it.

    A message proves nothing. Our own commands name a committed run that vouches for their payload: their own, pending
    since an authenticated function accepted them, or that of the command which caused them. Outside producers may
    send only what is listed for them.
    """
    fingerprint = payload_fingerprint(orjson.loads(body)["payload"])
    if command.producer == OURSELVES:
        partition = partition_of(command.tenant)
        own = documents.get(f"run:{run_id_of(partition, command.command_id)}")
        parent = documents.get(f"run:{run_id_of(partition, command.causation_id)}")
        vouched = {run.body["vouches_for"].get(command.command_id) for run in (own, parent) if run}
        if fingerprint not in vouched:
            raise TerminalError("unauthenticated_command", "no function of ours accepted this command")
        return fingerprint
    for producer in delivery.producers:
        if (
            producer.name == command.producer
            and command.command_type in producer.command_types
            and command.tenant in producer.tenants
        ):
            await register(delivery, command.tenant)
            return fingerprint
    raise TerminalError("unauthenticated_command", "this producer is not listed for this command type and tenant")


async def _after_failure(delivery: Delivery, incoming: Incoming, command: CommandEnvelope, failed: Exception) -> str:
    """Send a copy later, or park; what raises here goes back to the host, and the message with it."""
    verdict = after_failure(failed, command.attempt, jitter=delivery.jitter())
    if isinstance(verdict, RetryLater):
        log.warning("%s %s waits %.1f s: %s", command.command_type, command.command_id, verdict.delay_seconds, failed)
        await send_later(delivery, incoming, command, verdict)
        await tell_of_delay(delivery, command, failed)
        return "retried"
    if verdict.reason == "unexpected_error":
        log.error("%s %s failed unexpectedly", command.command_type, command.command_id, exc_info=failed)
    if verdict.reason in NOT_OF_THE_TENANT:
        await park_unreadable(delivery, incoming, verdict)
    else:
        await park_command(delivery, incoming, command, verdict)
    return "parked"


def _report(delivery: Delivery, command: AnyCommand, outcome: Outcome) -> None:
    """Telemetry and one log line: after the commit, and whatever they do, the command is done."""
    run = outcome.run
    ended(delivery.tracer.here(), run)
    traced = trace(
        command.command_type,
        run["status"],
        at=run["completed_at"],
        tenant=command.tenant,
        correlation_id=command.correlation_id,
        command_id=command.command_id,
        run_id=run["run_id"],
    )
    delivery.telemetry.emit(traced)
    for one in outcome.scores:
        delivery.telemetry.emit(score(one.specialist, one.confidence_bp, one.decision, traced=traced))
    log.info("handled %s", command.command_type, extra={"fields": traced})
    for grave in [one for one in run["signals"] if one["severity"] in ("Error", "Critical")]:
        log.error("signal %s", grave["code"], extra={"fields": traced})  # alerts look for this: infra/alerts.json
