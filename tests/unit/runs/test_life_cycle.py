"""Runs, stages and signals: every transition the contract allows, and none else."""

import pytest

from shared.errors import TerminalError
from shared.runs.life_cycle import (
    MAX_SIGNALS,
    RUN_TERMINAL,
    RUN_TRANSITIONS,
    is_terminal,
    moved_to,
    pending,
    signal,
    stage,
    with_signals,
    with_stages,
)

AT = "2026-01-01T00:00:00.000000Z"
COMMAND = {
    "command_id": "c1",
    "command_type": "ClassifyTransaction",
    "correlation_id": "agent:t:s:c1",
    "causation_id": "",
    "traceparent": "",
}


def run_in(status: str):
    run = pending(run_id="r1", command=COMMAND, at=AT)
    if status == "Pending":
        return run
    run = moved_to(run, "Running", at=AT)
    return run if status == "Running" else moved_to(run, status, at=AT, code="why", rationale="because")


@pytest.mark.parametrize("status", RUN_TRANSITIONS)
@pytest.mark.parametrize("following", RUN_TRANSITIONS)
def test_a_run_moves_only_along_the_listed_transitions(status: str, following: str):
    run = run_in(status)
    if following in RUN_TRANSITIONS[status]:
        assert moved_to(run, following, at=AT, code="why", rationale="because")["status"] == following
    else:
        with pytest.raises(TerminalError, match="cannot go"):
            moved_to(run, following, at=AT, code="why", rationale="because")


@pytest.mark.parametrize("status", RUN_TRANSITIONS)
def test_terminal_means_completed_at_is_set(status: str):
    run = run_in(status)
    assert is_terminal(run) == (status in RUN_TERMINAL) == bool(run["completed_at"])


@pytest.mark.parametrize("status", ["Failed", "NeedsReview", "Cancelled"])
def test_a_run_that_does_not_complete_says_why(status: str):
    with pytest.raises(TerminalError, match="needs a code and a rationale"):
        moved_to(run_in("Running"), status, at=AT, code="why")
    run = moved_to(run_in("Running"), status, at=AT, code="c" * 500, rationale="r" * 900)
    assert (len(run["failure_code"]), len(run["failure_rationale"])) == (120, 500)


def test_moving_a_run_changes_a_copy():
    run = run_in("Pending")
    moved_to(run, "Running", at=AT)
    assert run["status"] == "Pending"


@pytest.mark.parametrize("status", ["Succeeded", "Failed", "NeedsReview", "Skipped"])
def test_a_terminal_stage_carries_code_and_rationale(status: str):
    with pytest.raises(TerminalError, match="without an outcome code"):
        stage("guard", status, order=1, at=AT)
    assert stage("guard", status, order=1, at=AT, code="c", rationale="r")["completed_at"] == AT


@pytest.mark.parametrize("order", [0, 65, -1])
def test_stage_orders_are_one_to_sixty_four(order: int):
    with pytest.raises(TerminalError, match="stage order"):
        stage("guard", "Running", order=order, at=AT)


def test_stage_orders_are_unique_in_a_run():
    run = with_stages(run_in("Running"), [stage("a", "Running", order=1, at=AT)])
    with pytest.raises(TerminalError, match="unique"):
        with_stages(run, [stage("b", "Running", order=1, at=AT)])


@pytest.mark.parametrize(
    ("severity", "human"), [("Info", False), ("Warning", False), ("Error", True), ("Critical", True)]
)
def test_errors_and_worse_require_a_human(severity: str, human: bool):
    assert signal("code", severity, "s" * 900, at=AT)["requires_human"] is human
    assert len(signal("code", severity, "s" * 900, at=AT)["summary"]) == 200


def test_an_unknown_severity_or_stage_status_is_refused():
    with pytest.raises(TerminalError):
        signal("code", "Fatal", "?", at=AT)
    with pytest.raises(TerminalError):
        stage("guard", "Done", order=1, at=AT, code="c", rationale="r")


def test_signals_are_bounded():
    run = with_signals(run_in("Running"), [signal("code", "Info", "s", at=AT)] * 200)
    assert len(run["signals"]) == MAX_SIGNALS
