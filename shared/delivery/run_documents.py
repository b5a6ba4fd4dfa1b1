"""The documents every handled command leaves: its run and its receipt, and what a run vouches for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from shared.audit.record import canonical
from shared.contracts.identity import partition_of, run_id_of
from shared.ports.document_store import Document
from shared.runs.life_cycle import Run, pending

if TYPE_CHECKING:
    from shared.contracts.commands import AnyCommand


def run_for(command: AnyCommand, stored: Document | None, *, at: str) -> Run:
    """The command's run as stored, or a new one: an outside command's, or a caller's own that is handled at once."""
    if stored is not None:
        return stored.body
    described = command.model_dump(
        include={"command_id", "command_type", "correlation_id", "causation_id", "traceparent"}
    )
    run_id = run_id_of(partition_of(command.tenant), command.command_id)
    return pending(run_id=run_id, command=described, at=at, subject=command.subject)


def run_document_of(partition: str, run: Run, stored: Document | None) -> Document:
    """The `run` document to write: it replaces `stored`, or must not exist yet."""
    keys = {"state": run["status"]}
    if run["subject"]:
        keys["subject"] = run["subject"]
    etag = stored.etag if stored else ""
    return Document(partition, f"run:{run['run_id']}", "run", run, sort=run["created_at"], keys=keys, etag=etag)


def receipt_document(
    partition: str,
    command_id: str,
    run: Run,
    *,
    expires_at: str,
    fingerprint: str = "",
    answer: dict[str, Any] | None = None,
) -> Document:
    """`this command id was handled`, committed together with its result."""
    body = {"run_id": run["run_id"], "status": run["status"], "fingerprint": fingerprint, "answer": answer or {}}
    return Document(partition, f"receipt:{command_id}", "receipt", body, expires_at=expires_at)


def vouching_for(run: Run, commands: Sequence[dict[str, Any]]) -> Run:
    """The run with the fingerprints of the commands that are accepted with it, by command id."""
    if not commands:
        return run
    fingerprints = {command["command_id"]: payload_fingerprint(command["payload"]) for command in commands}
    return {**run, "vouches_for": {**run["vouches_for"], **fingerprints}}


def payload_fingerprint(payload: dict[str, Any]) -> str:
    """sha256 over the canonical payload, as hex: stored with the run when the command is accepted."""
    return sha256(canonical(payload)).hexdigest()
