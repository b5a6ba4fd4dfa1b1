"""Runs, stages and signals: their states, the transitions allowed, and the field rules. Pure.

A run is a JSON object (the body of its `run` document). Terminal means `completed_at` is set; Failed, NeedsReview and
Cancelled carry a failure code and rationale; a terminal stage carries outcome code and rationale; stage orders are
1..64 and unique; Error and Critical signals require a human. Source: the states and lengths of the product's contract.
"""

from __future__ import annotations

from typing import Any

from shared.errors import TerminalError

Run = dict[str, Any]
Stage = dict[str, Any]
Signal = dict[str, Any]

RUN_TRANSITIONS: dict[str, frozenset[str]] = {
    "Pending": frozenset({"Running", "Cancelled", "NeedsReview", "Failed"}),
    "Running": frozenset({"Running", "Completed", "Failed", "NeedsReview", "Cancelled"}),
    "Completed": frozenset(),
    "Failed": frozenset(),
    "NeedsReview": frozenset(),
    "Cancelled": frozenset(),
}
RUN_TERMINAL = frozenset({"Completed", "Failed", "NeedsReview", "Cancelled"})
EXPLAINED = frozenset({"Failed", "NeedsReview", "Cancelled"})
STAGE_TERMINAL = frozenset({"Succeeded", "Failed", "NeedsReview", "Skipped"})
SEVERITIES = ("Info", "Warning", "Error", "Critical")
MAX_STAGES, MAX_SIGNALS = 64, 64
CODE_LENGTH, RATIONALE_LENGTH, SUMMARY_LENGTH = 120, 500, 200


def pending(
    *,
    run_id: str,
    command: dict[str, Any],
    at: str,
    subject: str = "",
    replay_of: str = "",
) -> Run:
    """A run that was accepted and waits for a worker. `command` is the envelope as a JSON object."""
    return {
        "run_id": run_id,
        "command_id": command["command_id"],
        "command_type": command["command_type"],
        "correlation_id": command["correlation_id"],
        "causation_id": command["causation_id"],
        "traceparent": command["traceparent"],
        "subject": subject,
        "replay_of": replay_of,
        "status": "Pending",
        "created_at": at,
        "started_at": "",
        "completed_at": "",
        "failure_code": "",
        "failure_rationale": "",
        "policy_version": "",
        "stages": [],
        "signals": [],
        "vouches_for": {},  # command id to payload fingerprint: commands that were accepted with this run
    }


def moved_to(run: Run, status: str, *, at: str, code: str = "", rationale: str = "") -> Run:
    """The run in its next status. `TerminalError("run_transition")` for a step the life cycle does not know."""
    if status not in RUN_TRANSITIONS.get(run["status"], frozenset()):
        raise TerminalError("run_transition", f"a run cannot go from {run['status']} to {status}")
    if status in EXPLAINED and not (code and rationale):
        raise TerminalError("run_unexplained", f"a run that ends {status} needs a code and a rationale")
    moved = {**run, "status": status}
    if status == "Running":
        moved["started_at"] = run["started_at"] or at
    if status in RUN_TERMINAL:
        moved["completed_at"] = at
    if status in EXPLAINED:
        moved["failure_code"] = code[:CODE_LENGTH]
        moved["failure_rationale"] = rationale[:RATIONALE_LENGTH]
    return moved


def is_terminal(run: Run) -> bool:
    """Whether the run has ended."""
    return run["status"] in RUN_TERMINAL


def stage(
    name: str,
    status: str,
    *,
    order: int,
    at: str,
    code: str = "",
    rationale: str = "",
    confidence_bp: int | None = None,
    details: dict[str, Any] | None = None,
) -> Stage:
    """One stage. A terminal one needs an outcome code and a rationale."""
    if not 1 <= order <= MAX_STAGES:
        raise TerminalError("stage_order", f"stage order {order} is not within 1..{MAX_STAGES}")
    terminal = status in STAGE_TERMINAL
    if not terminal and status not in ("Pending", "Running"):
        raise TerminalError("stage_status", f"no stage can be {status}")
    if terminal and not (code and rationale):
        raise TerminalError("stage_unexplained", f"stage {name} ends {status} without an outcome code and rationale")
    return {
        "order": order,
        "name": name[:CODE_LENGTH],
        "status": status,
        "outcome_code": code[:CODE_LENGTH],
        "outcome_rationale": rationale[:RATIONALE_LENGTH],
        "confidence_bp": confidence_bp,
        "details": details or {},
        "completed_at": at if terminal else "",
    }


def with_stages(run: Run, stages: list[Stage]) -> Run:
    """The run with further stages; orders stay unique."""
    merged = [*run["stages"], *stages]
    if len({one["order"] for one in merged}) != len(merged):
        raise TerminalError("stage_order", "stage orders must be unique within a run")
    return {**run, "stages": merged}


def signal(code: str, severity: str, summary: str, *, at: str, requires_human: bool = False) -> Signal:
    """A note on a run. Error and Critical always require a human."""
    if severity not in SEVERITIES:
        raise TerminalError("signal_severity", f"no signal is {severity}")
    return {
        "code": code[:CODE_LENGTH],
        "severity": severity,
        "summary": summary[:SUMMARY_LENGTH],
        "requires_human": requires_human or severity in ("Error", "Critical"),
        "raised_at": at,
    }


def with_signals(run: Run, signals: list[Signal]) -> Run:
    """The run with further signals; the first `MAX_SIGNALS` are kept."""
    return {**run, "signals": [*run["signals"], *signals][:MAX_SIGNALS]}
