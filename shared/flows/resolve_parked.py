"""ResolveParked: an operator sends a parked command round again under a new command id, or discards it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.audit.record import Entry
from shared.contracts.commands import OURSELVES, parse_envelope
from shared.contracts.identity import deterministic_id
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import NotFoundError, StateConflictError
from shared.ports.document_store import Document
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import ResolveParked, ResolveParkedEnvelope


@dataclass(frozen=True, slots=True)
class ResolveParkedFlow:
    """A replay is a new command with the old payload, linked to the old one; the operator's run vouches for it."""

    def needs(self, command: ResolveParkedEnvelope) -> tuple[str, ...]:
        return (f"parked:{command.payload.parked_id}",)

    async def handle(self, work: Work) -> Outcome:
        wish: ResolveParked = work.command.payload
        stored = work.documents.get(f"parked:{wish.parked_id}")
        if stored is None:
            raise NotFoundError(f"no parked command {wish.parked_id}")
        if stored.body["state"] != "parked":
            raise StateConflictError(f"the command was {stored.body['state']} already", code="already_resolved")
        commands = [_again(stored, work)] if wish.resolution == "replay" else []
        at = work.at
        state = "replayed" if commands else "discarded"
        replayed_as = commands[0]["command_id"] if commands else ""
        body = {
            **stored.body,
            "state": state,
            "resolved_at": at,
            "resolved_by": wish.operator,
            "replayed_as": replayed_as,
        }
        done = stage("resolve", "Succeeded", order=1, at=at, code=f"command_{state}", rationale=wish.note or state)
        ids = {"run": work.run["run_id"], "parked": wish.parked_id, "replayed_as": replayed_as}
        payload = {"note": wish.note, "reason": stored.body["reason"]}
        return Outcome(
            run=moved_to(with_stages(work.run, [done]), "Completed", at=at),
            entries=[Entry(f"command_{state}", {"kind": "person", "id": wish.operator}, ids, payload)],
            writes=[stored._replace(body=body, keys={"state": state})],
            commands=commands,
            answer={"parked_id": wish.parked_id, "state": state, "replayed_as": replayed_as},
        )

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        del command, documents, run, reason  # never travels on a lane, so it is never parked
        return Left()


def _again(stored: Document, work: Work) -> dict[str, Any]:
    """The parked envelope as a new command of ours."""
    if not stored.body["command_id"]:
        raise StateConflictError("what was parked is no command: it can only be discarded", code="not_replayable")
    command: dict[str, Any] = parse_envelope(stored.body["message"].encode()).model_dump()
    command["command_id"] = deterministic_id(work.partition, "replay", stored.body["parked_id"])
    command["causation_id"] = work.command.command_id
    command["producer"] = OURSELVES
    command["issued_at"] = work.at
    command["attempt"] = 1
    return command
