"""Parking: a command that cannot succeed is kept whole, with its reason, for a person to inspect, replay or discard."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from shared.audit.record import Entry
from shared.audit.seal import SEALED, altered, as_evidence, proof_ids
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import deterministic_id, partition_of, run_id_of
from shared.contracts.instants import after, text
from shared.contracts.kinds import KINDS, SYSTEM_PARTITION
from shared.delivery import outbox
from shared.delivery.handling import Delivery, Left
from shared.delivery.one_commit import commit
from shared.delivery.retry import Park
from shared.delivery.run_documents import payload_fingerprint, receipt_document, run_document_of, run_for
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, is_terminal, moved_to, signal, with_signals

if TYPE_CHECKING:
    from shared.contracts.commands import AnyCommand

log = logging.getLogger("countersign.parking")

WORKER = {"kind": "worker", "id": "delivery"}


class Incoming(NamedTuple):
    """A message as a trigger received it. `body` is what arrived, byte for byte."""

    lane: str
    body: bytes
    message_id: str
    delivery_count: int = 1
    session_id: str = ""


async def park_unreadable(delivery: Delivery, incoming: Incoming, why: Park) -> None:
    """Park what is no command, or nobody's we know, in the system partition: its tenant cannot be believed."""
    fingerprint = sha256(incoming.body).hexdigest()
    key = deterministic_id(SYSTEM_PARTITION, "parked", f"{incoming.lane}:{incoming.message_id}:{fingerprint}")
    documents = await delivery.store.read_many(SYSTEM_PARTITION, [f"parked:{key}", HEAD_ID])
    if f"parked:{key}" in documents:
        return
    at = text(delivery.now())
    body = _parked_body(key, incoming, why, at) | {"command_id": "", "command_type": "", "run_id": ""}
    entry = Entry("command_parked", WORKER, {"parked": key}, {"reason": why.reason, "lane": incoming.lane})
    await commit(delivery, SYSTEM_PARTITION, [_document(SYSTEM_PARTITION, body)], [entry], head=documents.get(HEAD_ID))
    log.error("parked an unreadable message on %s: %s", incoming.lane, why.reason)


async def park_command(delivery: Delivery, incoming: Incoming, command: AnyCommand, why: Park) -> None:
    """Park a command of a known tenant: {parked, run NeedsReview with a signal, receipt, audit} in one commit."""
    partition, key = partition_of(command.tenant), command.command_id
    receipt_id, run_doc_id, parked_id = f"receipt:{key}", f"run:{run_id_of(partition, key)}", f"parked:{key}"
    flow = delivery.flows.get(command.command_type)
    needed = flow.needs(command) if flow else ()
    documents = await delivery.store.read_many(partition, [receipt_id, run_doc_id, parked_id, HEAD_ID, *needed])
    if receipt_id in documents or parked_id in documents:
        return
    now = delivery.now()
    at = text(now)
    run_document = documents.get(run_doc_id)
    if run_document and is_terminal(run_document.body):
        return
    run = _reviewed_run(command, run_document, why, at)
    body = _parked_body(key, incoming, why, at) | {
        "command_id": key,
        "command_type": command.command_type,
        "run_id": run["run_id"],
    }
    expires_at = after(now, days=KINDS["receipt"].days_to_live)
    fingerprint = payload_fingerprint(orjson.loads(incoming.body)["payload"])
    receipt = receipt_document(partition, key, run, expires_at=expires_at, fingerprint=fingerprint)
    left = flow.when_parked(command, documents, run=run, reason=why.reason) if flow else Left()
    nonce = delivery.new_salt()[:8]
    outgoing = outbox.document_for(partition, key, commands=[], events=left.events, now=now, nonce=nonce)
    writes = [_document(partition, body), run_document_of(partition, run, run_document), receipt, *left.writes]
    ids = {"parked": key, "command": key, "run": run["run_id"]}
    found = await _altered(delivery, partition, left, documents)
    told = {"reason": why.reason, "lane": incoming.lane, **as_evidence(found)}
    await commit(
        delivery,
        partition,
        [*(one for one in writes if one.id not in found), *outgoing],
        [Entry("command_parked", WORKER, ids, told), *left.entries],
        head=documents.get(HEAD_ID),
        known=documents,
        merges=left.merges,
    )
    log.error("parked %s %s: %s", command.command_type, key, why.reason)


async def _altered(
    delivery: Delivery, partition: str, left: Left, documents: Mapping[str, Document]
) -> Mapping[str, Body]:
    """What was altered by hand of the sealed documents that would be written: they stay as they were found."""
    stored = [documents[one.id] for one in left.writes if one.kind in SEALED and one.id in documents]
    if not stored:
        return {}
    return altered(stored, await delivery.store.read_many(partition, proof_ids(*stored)))


def _reviewed_run(command: AnyCommand, stored: Document | None, why: Park, at: str) -> Run:
    """The command's run, ended NeedsReview with a signal that a person must look."""
    run = run_for(command, stored, at=at)
    if run["status"] == "Pending":
        run = moved_to(run, "Running", at=at)
    run = moved_to(run, "NeedsReview", at=at, code=why.reason, rationale=why.detail or why.reason)
    return with_signals(run, [signal("command_parked", "Error", f"parked: {why.reason}", at=at)])


def _parked_body(key: str, incoming: Incoming, why: Park, at: str) -> dict[str, Any]:
    try:
        message, encoding = incoming.body.decode(), "utf-8"
    except UnicodeDecodeError:
        message, encoding = base64.b64encode(incoming.body).decode(), "base64"
    return {
        "parked_id": key,
        "state": "parked",
        "lane": incoming.lane,
        "message_id": incoming.message_id,
        "delivery_count": incoming.delivery_count,
        "reason": why.reason,
        "detail": why.detail[:500],
        "message": message,
        "message_encoding": encoding,
        "parked_at": at,
        "resolved_at": "",
        "resolved_by": "",
        "replayed_as": "",
    }


def _document(partition: str, body: dict[str, Any]) -> Document:
    key, state = body["parked_id"], body["state"]
    return Document(partition, f"parked:{key}", "parked", body, sort=body["parked_at"], keys={"state": state})
