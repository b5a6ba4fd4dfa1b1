"""An action's states, the permit, and how outcomes are counted."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from shared.actions.action import Permit, proposed
from shared.actions.life_cycle import FIRST_STATE, SETTLED, STATES, TRANSITIONS, edited, moved
from shared.actions.tally import MAX_ROWS, counted, rows_of
from shared.errors import StateConflictError, TerminalError
from shared.guard.disposition import Judgement, judge
from shared.ports.document_store import Document
from tests.unit.flows.action_bench import action_policy

SHARED = Path(__file__).parents[3] / "shared"
AT = "2026-03-01T12:00:00.000000Z"


def judged(name: str = "set_budget") -> Judgement:
    return judge(name, {}, policy=action_policy(), requester_roles=("member",), amount_minor=1, currency="EUR")


def action(name: str = "set_budget", state: str = "", **changes: Any) -> Document:
    made = proposed(
        "home", action_id="a-1", name=name, arguments={}, schema_version=1, judged=judged(name), tenant="home",
        requested_by="alice", requester_roles=("member",), conversation_id="c-1", message_id="m-1", turn=1,
        run_id="r-1", command_id="k-1", correlation_id="x-1", at=AT,
        configuration={"code_version": "v1", "configuration_version": "p1"},
    )  # fmt: skip
    return made._replace(body={**made.body, **changes, **({"state": state} if state else {})})


def test_a_wish_begins_as_the_guard_judged_it():
    assert action("set_budget").body["state"] == "requested"
    waiting = action("transfer_funds").body
    assert (waiting["state"], waiting["approval_id"], waiting["backend"]) == ("waiting", "a-1", "bank")
    denied = action("send_mail").body
    assert (denied["state"], denied["code"], denied["finished_at"]) == ("denied", "external_action_denied", AT)
    assert set(FIRST_STATE.values()) <= set(STATES)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(STATES, STATES)])
def test_only_the_steps_of_its_life_are_taken(before: str, after: str):
    document = action(state=before)
    if after in TRANSITIONS[before]:
        changed = moved(document, after, at=AT, code="c", detail="d" * 600)
        assert (changed.body["state"], changed.keys["state"]) == (after, after)
        assert bool(changed.body["finished_at"]) == (after in SETTLED)
        assert len(changed.body["detail"]) == 500
    else:
        with pytest.raises(StateConflictError):
            moved(document, after, at=AT)


def test_what_is_settled_never_moves_again():
    assert all(not TRANSITIONS[state] for state in SETTLED)


def test_only_a_waiting_action_can_be_edited():
    given = {"schema_version": 1, "policy_version": "p2", "digest": "d", "risk": "high", "at": AT}
    changed = edited(action("transfer_funds"), {"amount_minor": 1}, **given)
    assert (changed.body["arguments"], changed.body["digest"]) == ({"amount_minor": 1}, "d")
    with pytest.raises(StateConflictError):
        edited(action("transfer_funds", "requested"), {}, **given)


def permit(judgement: Judgement, card: dict[str, Any] | None) -> Permit:
    return Permit("a-1", "transfer_funds", {}, "alice", "key", judgement, card)


def test_a_permit_needs_a_decision_that_allows():
    allowed, waits, denied = judged("set_budget"), judged("transfer_funds"), judged("send_mail")
    assert permit(allowed, None).idempotency_key == "key"
    assert permit(waits, {"state": "approved"}).card == {"state": "approved"}
    for judgement, card in ((waits, None), (waits, {"state": "pending"}), (denied, {"state": "approved"})):
        with pytest.raises(TerminalError, match="nobody has allowed"):
            permit(judgement, card)


def test_only_the_dispatcher_makes_permits():
    makers = [path.name for path in SHARED.rglob("*.py") if re.search(r"\bPermit\(", path.read_text(encoding="utf-8"))]
    assert makers == ["dispatcher.py"]


def test_outcomes_add_up_by_action_backend_and_configuration():
    document: dict[str, Document] = {}
    for name, outcome in (("set_budget", "done"), ("set_budget", "done"), ("transfer_funds", "refused")):
        merge = counted("home", action(name).body, outcome=outcome, at=AT)
        document = {one.id: one for one in merge.made(document)}
    body = document["metric:actions:2026-03-01"].body
    rows = {(row["action"], row["backend"], row["outcome"]): row["count"] for row in rows_of(body)}
    assert rows == {("set_budget", "own", "done"): 2, ("transfer_funds", "bank", "refused"): 1}
    assert rows_of(body)[0]["configuration_version"] == "p1"


def test_a_days_count_stays_bounded_and_readable_whatever_names_come():
    counts = {f"a{number}|own|v|p|done": 1 for number in range(MAX_ROWS)}
    known = {"metric:actions:2026-03-01": Document("home", "metric:actions:2026-03-01", "metric", {"counts": counts})}
    odd = {**action().body, "configuration": {"code_version": "v|1", "configuration_version": ""}}
    body = counted("home", odd, outcome="done", at=AT).made(known)[0].body
    assert body["counts"]["other|other|other|other|done"] == 1
    first = counted("home", odd, outcome="done", at=AT).made({})[0].body
    assert rows_of(first)[0]["code_version"] == "v_1"
