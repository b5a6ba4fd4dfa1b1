"""Time passes over a card: people are warned, others are called, and in the end it is denied by nobody's hand."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.contracts.instants import text
from shared.errors import RetryableError
from shared.flows.age_approval import age_approvals
from tests.bench import Bench
from tests.unit.approvals.bench import (
    action_of,
    altered,
    answer,
    ask,
    card_of,
    deliver,
    notices,
    recorded,
    sent,
    stored,
    told,
    written,
)


async def test_before_its_time_nothing_happens(bench: Bench):
    await ask(bench.delivery)
    bench.clock.forward(minutes=59)
    assert await age_approvals(bench.delivery) == 0


async def test_a_card_is_escalated_warned_of_and_expired_each_once_and_in_order(bench: Bench):
    approval_id = await ask(bench.delivery)
    happened = []
    for _ in range(60):
        bench.clock.forward(minutes=5)
        await age_approvals(bench.delivery)
        happened = (await recorded(bench.delivery))[2:]
    assert happened == ["approval_escalated", "approval_warned", "approval_expired", "action_cancelled"]
    card, action = await card_of(bench.delivery, approval_id), await action_of(bench.delivery, approval_id)
    assert (card["state"], card["rejected_by"], card["answered_at"]) == ("expired", "", "")
    assert card["escalated_at"] < card["warned_at"] < card["expires_at"] <= card["expired_at"]
    assert (action["state"], action["code"]) == ("cancelled", "approval_expired")
    said = await notices(bench.delivery)
    assert [text.split(":")[0] for text in said] == [
        "Nobody has settled this for long", "Still waiting for 1 person to sign", "Not done",
    ]  # fmt: skip
    states = [event["value"] for event in await told(bench.delivery) if event["type"] == "CUSTOM"]
    assert [(one["state"], one["escalated"], one["warned"]) for one in states] == [
        ("pending", True, False), ("pending", True, True), ("expired", True, True),
    ]  # fmt: skip
    assert sent(bench) == []


async def test_a_warning_asks_for_a_person(bench: Bench):
    approval_id = await ask(bench.delivery)
    bench.clock.forward(minutes=61)
    await age_approvals(bench.delivery)
    runs = (await bench.store.query("household", "run", key=("subject", approval_id))).documents
    signals = [signal for run in runs for signal in run.body["signals"]]
    assert [(one["code"], one["requires_human"]) for one in signals] == [("approval_escalated", True)]


async def test_a_timer_that_was_away_expires_at_once(bench: Bench):
    approval_id = await ask(bench.delivery)
    bench.clock.forward(days=3)
    assert await age_approvals(bench.delivery) == 1
    assert (await card_of(bench.delivery, approval_id))["state"] == "expired"
    assert await age_approvals(bench.delivery) == 0


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_an_answered_card_is_no_longer_warned_of(bench: Bench, decision: str):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id, decision=decision)
    bench.clock.forward(minutes=239)
    assert await age_approvals(bench.delivery) == 0


async def test_an_approval_that_was_never_used_goes_stale(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    await deliver(bench)
    bench.clock.forward(minutes=241)
    assert await age_approvals(bench.delivery) == 1
    assert (await card_of(bench.delivery, approval_id))["state"] == "expired"
    assert (await action_of(bench.delivery, approval_id))["state"] == "cancelled"
    assert "could be carried out" in (await notices(bench.delivery))[-1]


@pytest.mark.parametrize(("intent_at", "state"), [("", "cancelled"), ("2026-03-01T12:00:00Z", "needs_review")])
async def test_a_request_that_was_given_up_ends_with_its_card_unless_it_was_tried(
    bench: Bench, intent_at: str, state: str
):
    """Its request was parked while the bank was down: nothing was done, and after the card nothing can be."""
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    await deliver(bench)
    await written(bench.delivery, f"action:{approval_id}", state="needs_review", intent_at=intent_at)
    bench.clock.forward(minutes=241)
    assert await age_approvals(bench.delivery) == 1
    assert (await action_of(bench.delivery, approval_id))["state"] == state


async def test_an_action_on_its_way_is_not_called_back(bench: Bench):
    """The card is consumed with the intent; nothing is due for it any more."""
    approval_id = await ask(bench.delivery)
    await altered(bench.delivery, f"action:{approval_id}", state="intended")
    bench.clock.forward(minutes=241)
    await age_approvals(bench.delivery)
    assert (await action_of(bench.delivery, approval_id))["state"] == "intended"


async def test_one_broken_card_holds_up_no_other(bench: Bench):
    ids = [await ask(bench.delivery, number=number) for number in range(4)]
    await altered(bench.delivery, f"approval:{ids[0]}", state="mislaid")
    await altered(bench.delivery, f"approval:{ids[1]}", requested_by=7)
    bench.clock.forward(minutes=61)
    assert await age_approvals(bench.delivery) == 2
    assert [(await card_of(bench.delivery, one))["escalated_at"] != "" for one in ids] == [False, False, True, True]


@pytest.mark.parametrize("kind", ["approval", "action"])
async def test_time_ends_an_altered_card_too_and_the_record_keeps_that_it_was_altered(
    bench: Bench, kind: str, caplog: pytest.LogCaptureFixture
):
    approval_id = await ask(bench.delivery)
    await altered(bench.delivery, f"{kind}:{approval_id}", risk="low")
    bench.clock.forward(minutes=61)
    assert await age_approvals(bench.delivery) == 0
    errors = [one.message for one in caplog.records if one.levelname == "ERROR"]
    assert f"{kind}:{approval_id} differs" in "".join(errors)
    bench.clock.forward(minutes=200)
    before = await stored(bench.delivery, f"{kind}:{approval_id}")
    assert await age_approvals(bench.delivery) == (kind == "action")
    after = await stored(bench.delivery, f"{kind}:{approval_id}")
    assert after.body == before.body, "it is left as evidence"
    assert (await told(bench.delivery))[-5]["value"]["state"] == "expired"
    assert (await notices(bench.delivery))[-1].startswith("Not done: ")
    await recorded(bench.delivery, altered=f"{kind}:{approval_id}")
    other = await stored(bench.delivery, f"{'action' if kind == 'approval' else 'approval'}:{approval_id}")
    assert other.body["state"] == ("cancelled" if kind == "approval" else "expired")
    chain = (await bench.store.query("household", "audit", limit=50)).documents
    (expiry,) = [one.body for one in chain if one.body["what"] == "approval_expired"]
    assert [one["document"] for one in expiry["payload"]["altered"]] == [f"{kind}:{approval_id}"]
    run = await bench.store.read("household", f"run:{expiry['ids']['run']}")
    assert run is not None
    assert ("record_altered", "Critical") in [(one["code"], one["severity"]) for one in run.body["signals"]]


async def test_two_timers_at_once_and_an_answer_beside_them_leave_one_story(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    bench.clock.forward(minutes=61)
    first, second, _ = await asyncio.gather(
        age_approvals(bench.delivery), age_approvals(bench.delivery), answer(bench.delivery, approval_id, "rita")
    )
    assert first + second >= 1
    happened = await recorded(bench.delivery)
    assert (happened.count("approval_escalated"), happened.count("approval_answered")) == (1, 1)


@pytest.mark.parametrize(
    "change", [{"state": "mislaid"}, {"risk": "low"}, {"expires_at": "2099-01-01T00:00:00.000000Z"}]
)
async def test_cards_that_can_never_age_take_no_place_from_others(
    bench: Bench, change: dict[str, str], caplog: pytest.LogCaptureFixture
):
    """They were asked for first, so they are the most overdue, and as many as one firing looks at."""
    ids = [await ask(bench.delivery, number=number) for number in range(5)]
    for one in ids[:3]:
        await altered(bench.delivery, f"approval:{one}", **change)
    bench.clock.forward(minutes=241)
    await age_approvals(bench.delivery, limit=3)
    assert await age_approvals(bench.delivery, limit=3) == 2
    assert [(await card_of(bench.delivery, one))["state"] for one in ids[3:]] == ["expired", "expired"]
    put_off = [one.message for one in caplog.records if "put off until" in one.message]
    assert len(put_off) == 3
    assert await bench.store.due("approval", before=text(bench.clock()), limit=10) == []
    bench.clock.forward(minutes=61)
    assert len(await bench.store.due("approval", before=text(bench.clock()), limit=10)) == 3, "looked at again"
    await age_approvals(bench.delivery, limit=3)
    for one in ids[:3]:
        assert (await card_of(bench.delivery, one)).items() >= change.items(), "and left as they were found"
    await recorded(bench.delivery, altered=f"approval:{ids[0]}")


async def test_a_card_that_is_no_json_any_more_holds_up_no_other(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    ruined, other = await ask(bench.delivery), await ask(bench.delivery, number=1)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as store:
        store.execute("UPDATE documents SET body = 'x' || body WHERE id = ?", (f"approval:{ruined}",))
    bench.clock.forward(minutes=241)
    assert await age_approvals(bench.delivery) == 1
    assert (await card_of(bench.delivery, other))["state"] == "expired"
    assert [f"approval:{ruined}" in one.message for one in caplog.records if one.levelname == "ERROR"] == [True]


async def test_a_store_that_is_down_for_a_moment_puts_nothing_off(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await ask(bench.delivery)
    bench.clock.forward(minutes=241)

    async def down(*_: object, **__: object) -> None:
        raise RetryableError("the store is down", code="store_unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "commit", down)
        assert await age_approvals(bench.delivery) == 0
    assert await age_approvals(bench.delivery) == 1


async def test_no_more_cards_than_the_limit_are_looked_at(bench: Bench):
    for number in range(5):
        await ask(bench.delivery, number=number)
    bench.clock.forward(minutes=61)
    assert await age_approvals(bench.delivery, limit=3) == 3
    assert await age_approvals(bench.delivery, limit=3) == 2
