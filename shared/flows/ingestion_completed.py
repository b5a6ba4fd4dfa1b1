"""IngestionCompleted: an outside pipeline's batch becomes one `ClassifyTransaction` per transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.audit.record import Entry
from shared.contracts.commands import envelope
from shared.delivery.handling import Left, Outcome, Work
from shared.ledger import transactions as ledger
from shared.ports.document_store import Document
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import IngestionCompletedEnvelope


@dataclass(frozen=True, slots=True)
class IngestionCompletedFlow:
    """One commit: the run, which vouches for the commands, and the outbox that sends them."""

    def needs(self, command: IngestionCompletedEnvelope) -> tuple[str, ...]:
        del command  # the same for every batch
        return (ledger.PROFILE_ID,)

    async def handle(self, work: Work) -> Outcome:
        at = work.at
        batch = work.command.payload
        rows = [one.model_dump() for one in batch.transactions]
        named = {ledger.row_command_id(work.partition, row): row for row in rows}  # equal rows once
        commands = [
            envelope(
                "ClassifyTransaction",
                {"transaction": row},
                command_id=command_id,
                tenant=work.command.tenant,
                source=batch.source,
                issued_at=work.now,
                causation_id=work.command.command_id,
                traceparent=work.command.traceparent,
            )
            for command_id, row in named.items()
        ]
        rationale = f"{len(commands)} of {len(batch.transactions)} transactions sent on"
        done = stage("fan_out", "Succeeded", order=1, at=at, code="batch_accepted", rationale=rationale)
        ids = {"run": work.run["run_id"], "command": work.command.command_id, "batch": batch.batch_id}
        who = {"kind": "producer", "id": work.command.producer}
        payload = {"transaction_ids": [row["transaction_id"] for row in named.values()], "source": batch.source}
        return Outcome(
            run=moved_to(with_stages(work.run, [done]), "Completed", at=at),
            entries=[Entry("batch_accepted", who, ids, payload)],
            writes=profile_writes(work.partition, work.documents.get(ledger.PROFILE_ID), rows),
            commands=commands,
        )

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        del command, documents, run, reason  # nothing was stored yet for the batch
        return Left()


def profile_writes(partition: str, stored: Document | None, facts: Any) -> list[Document]:
    """The tenant's profile with accounts not known so far; nothing when there are none."""
    body = ledger.with_accounts(stored.body if stored else None, {one["account"] for one in facts})
    if body is None:
        return []
    return [Document(partition, ledger.PROFILE_ID, "profile", body, etag=stored.etag if stored else "")]
