"""Intake: accepted means durable. Documents, pending runs and outbox in one commit, then the relay, then the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.audit.record import Entry
from shared.contracts.identity import partition_of, run_id_of
from shared.contracts.instants import text
from shared.delivery import outbox
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import NOTHING, commit
from shared.delivery.run_documents import vouching_for
from shared.ports.document_store import Document, Merge
from shared.runs.life_cycle import pending


async def accept(
    delivery: Delivery,
    tenant: str,
    commands: Sequence[dict[str, Any]],
    *,
    key: str,
    documents: Sequence[Document] = (),
    entries: Sequence[Entry] = (),
    subjects: Sequence[str] = (),
    head: Document | None = None,
    known: Mapping[str, Document] = NOTHING,
    merges: Sequence[Merge] = (),
    relay_after_seconds: float | None = None,
) -> dict[str, str]:
    """Commit `documents` and a pending run for each command, and send the commands on.

    key: names the outbox document; deterministic, so that a repeated acceptance is a conflict, not a second sending.
    subjects: what each command is about (a transaction id), in the order of `commands`.
    known, merges: as for `one_commit.commit`, whose etags are returned. relay_after_seconds: nothing is sent now; the
    timer sends it after so long, unless the caller has done the work itself by then and discards the outbox document.
    Raises `ConflictError` naming what somebody else wrote first, `RetryableError` when the store is unavailable;
    then nothing was accepted. A bus that is down changes nothing: the outbox waits.
    """
    partition = partition_of(tenant)
    now = delivery.now()
    runs = [
        pending_run_document(partition, command, at=text(now), subject=subject)
        for command, subject in zip(commands, subjects or [""] * len(commands), strict=True)
    ]
    nonce = delivery.new_salt()[:8]
    outgoing = outbox.document_for(
        partition, key, commands=commands, events=[], now=now, nonce=nonce, grace_seconds=relay_after_seconds
    )
    writes = [*documents, *runs, *outgoing]
    return await commit(
        delivery, partition, writes, entries, head=head, known=known, merges=merges, relayed=relay_after_seconds is None
    )


def pending_run_document(
    partition: str, command: dict[str, Any], *, at: str, subject: str = "", replay_of: str = ""
) -> Document:
    """The run of an accepted command: the record that a worker believes when the message arrives."""
    run_id = run_id_of(partition, command["command_id"])
    run = pending(run_id=run_id, command=command, at=at, subject=subject, replay_of=replay_of)
    run = vouching_for(run, [command])
    keys = {"state": "Pending"} | ({"subject": subject} if subject else {})
    return Document(partition, f"run:{run_id}", "run", run, sort=at, keys=keys)
