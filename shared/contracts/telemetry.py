"""The two telemetry events, as they go to Event Hubs (JSON Schema in docs/schemas/telemetry.json).

They carry ids, never text from a statement or a person. `at` is a UTC instant; fields that do not apply are "".
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Trace(TypedDict):
    """Something was done: a command was handled, an HTTP request answered. `status`: the run's, or the HTTP status."""

    type: Literal["trace"]
    schema_version: Literal[1]
    at: str
    name: str
    status: str
    tenant: str
    correlation_id: str
    command_id: str
    run_id: str


class Score(TypedDict):
    """How one specialist did on one command. `confidence_bp`: basis points of its best proposal, null for none."""

    type: Literal["score"]
    schema_version: Literal[1]
    at: str
    specialist: str
    confidence_bp: int | None
    decision: str
    tenant: str
    correlation_id: str
    command_id: str
    run_id: str


def trace(
    name: str,
    status: str,
    *,
    at: str,
    tenant: str = "",
    correlation_id: str = "",
    command_id: str = "",
    run_id: str = "",
) -> dict[str, Any]:
    """A `Trace` to emit."""
    event: Trace = {
        "type": "trace",
        "schema_version": 1,
        "at": at,
        "name": name,
        "status": status,
        "tenant": tenant,
        "correlation_id": correlation_id,
        "command_id": command_id,
        "run_id": run_id,
    }
    return {**event}


def score(specialist: str, confidence_bp: int | None, decision: str, *, traced: dict[str, Any]) -> dict[str, Any]:
    """A `Score` to emit, about the command that `traced` (a `Trace`) is about."""
    event: Score = {
        "type": "score",
        "schema_version": 1,
        "at": traced["at"],
        "specialist": specialist,
        "confidence_bp": confidence_bp,
        "decision": decision,
        "tenant": traced["tenant"],
        "correlation_id": traced["correlation_id"],
        "command_id": traced["command_id"],
        "run_id": traced["run_id"],
    }
    return {**event}
