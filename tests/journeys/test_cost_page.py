"""docs/scale-and-cost.md says what the code does: its counts are counted again, and its text follows from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from cronsim import CronSim

from benchmarks import cost, cost_limits, cost_model, cost_page
from benchmarks.cost_counts import Counts

VARY = ("ru", "kb", "_bytes", "size")
"""Sizes, and so request units, hang a little on how many digits a duration has."""
BY_CHANCE = ("hub_sends", "hub_lines", "cosmos_once", "ru_once")
"""How many lines of telemetry travel together hangs on the clock; what an SDK asks once, on what came before."""


@pytest.fixture(scope="module")
def counted() -> Counts:
    return cost.fresh()


def test_the_page_follows_from_the_kept_counts_and_the_prices():
    assert cost.PAGE.read_text(encoding="utf-8") == cost_page.page(cost.kept()), "make cost ARGS=--page"


def test_the_kept_counts_are_those_of_the_code(counted: Counts):
    kept = cost.kept()
    assert counted.keys() == kept.keys()
    for kind, told in counted.items():
        for name in (told.keys() | kept[kind].keys()) - set(BY_CHANCE):
            close = 0.05 if any(part in name for part in VARY) else 1e-3
            assert told.get(name, 0) == pytest.approx(kept[kind].get(name, 0), rel=close, abs=0.02), (kind, name)


def test_a_transaction_costs_what_the_design_promises(counted: Counts):
    classify = counted["classify"]
    assert classify["cosmos_batches"] == classify["cosmos_writes"] == classify["grid_requests"] == 1
    assert 1 <= classify["cosmos_queries"] <= 2  # the one `read_many`, and at most one query
    assert counted["redelivery"]["cosmos_queries"] == 1
    assert "cosmos_batches" not in counted["redelivery"]
    assert counted["accept_row"]["bus_messages"] == 1
    assert counted["accept_row"]["bus_sends"] == counted["accept_row"]["cosmos_batches"] == 1 / 40


def test_chains_and_tenants_at_rest_cost_no_blob_operation(counted: Counts):
    assert not {"blob_lists", "blob_writes"} & counted["checkpoint_unmoved"].keys()


def test_the_timers_that_are_paid_for_fire_as_often_as_their_schedules_say():
    bindings = json.loads((cost.ROOT / "tests" / "functions" / "bindings.json").read_text(encoding="utf-8"))
    begin, found = datetime(2026, 3, 1, 12, tzinfo=UTC), dict[str, int]()
    for name, function in bindings.items():
        for one in (one for one in function if one["type"] == "timerTrigger"):
            firings = CronSim(one["schedule"], begin)
            found[name] = sum(1 for _ in takewhile(lambda at: at <= begin + timedelta(hours=1), firings))
    assert found.pop("start_nightly_sweep") == 0
    found["checkpoint_unmoved"] = found.pop("checkpoint_audit_heads")
    assert found == cost_limits.IDLE


def test_every_price_limit_and_assumption_says_where_it_is_from():
    told = cost_model.book()
    for name in ("prices", "limits", "assumed"):
        for key, (value, source) in told[name].items():
            assert value > 0, key
            assert len(source) > 10, key


def test_more_work_costs_more():
    counts = cost.kept()
    one = sum(cost_model.dollars(counts["classify"]).values())
    two = sum(cost_model.dollars(cost_model.together([counts["classify"], counts["reaction"]])).values())
    assert 0 < one < two
