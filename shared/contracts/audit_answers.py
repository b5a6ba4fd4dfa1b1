"""What the HTTP functions answer about the audit chain."""

from __future__ import annotations

from typing import Any

from shared.contracts.answers import Answer, Instant


class AuditRecord(Answer):
    """One link of the chain. payload and salt are null where `erased_at` says when they were erased."""

    sequence: int
    previous_hash: str
    at: Instant
    what: str
    who: dict[str, str]
    ids: dict[str, str]
    payload_hash: str
    hash: str
    payload: dict[str, Any] | None
    salt: str | None
    erased_at: Instant = ""
    erased_by: str = ""


class AuditPage(Answer):
    """next_after: send it back as `?after=`; 0 at the end."""

    items: list[AuditRecord]
    next_after: int


class RunAuditPage(Answer):
    items: list[AuditRecord]
    cursor: str


class Verification(Answer):
    """problem: "" when all is well, else what is wrong at record `broken_at`. document: the id of an action or card
    that is not what that record says of it, "" when it is the chain itself. next_from, with head_hash as `from_hash`,
    goes on where a long chain was left; 0 at the end."""

    ok: bool
    verified_to: int
    head_hash: str
    records: int
    erased: int
    checkpoints: int
    broken_at: int
    problem: str
    document: str = ""
    next_from: int


class Checkpoint(Answer):
    partition: str
    sequence: int
    hash: str
    at: Instant


class CheckpointList(Answer):
    items: list[Checkpoint]
