"""Chaos must see what is wrong with money: each check is shown something that is."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from local.chaos_bank import Booked
from local.chaos_files import Documents
from local.chaos_money import Seen, _wrong_in_stream, _wrong_in_sum, _wrong_with, broken_promises, step_of, wrong_now
from local.chaos_wishes import (
    AFTER,
    BEFORE,
    DEATHS,
    FROZEN_AT_TIMES,
    ONE_SIGNS_MINOR,
    PAYEE,
    PAYER,
    SHAPES,
    START_MINOR,
    STEPS,
    TENANT,
    Wish,
    plan_of,
    wishes_of,
)

ACTION = {
    "action_id": "a-1",
    "approval_id": "a-1",
    "conversation_id": "talk-0",
    "state": "done",
    "code": "effect_done",
    "idempotency_key": "k-1",
    "reference": "t-1",
}
RECORDED = ("approval_answered", "effect_intent", "effect_outcome")


def wish() -> Wish:
    return Wish("talk-0", 2_500, "approve", answers={"bob": [{"state": "approved"}] * 2})


def booked(key: str = "k-1", transfer_id: str = "t-1", *, state: str = "done", to: str = PAYEE) -> Booked:
    return Booked(key, transfer_id, {"from_account": PAYER, "to_account": to, "amount_minor": 2_500}, state)


def look(
    action: dict[str, Any] | None,
    *paid: Booked,
    card: str = "consumed",
    told: tuple[str, ...] = RECORDED,
    roles: tuple[str, ...] = ("user", "assistant", "notice"),
) -> Seen:
    def all_of(kind: str, *bodies: tuple[str, dict[str, Any]]) -> Documents:
        return Documents({(TENANT, f"{kind}:{id_}"): body for id_, body in bodies})

    messages = [
        (f"talk-0:00000001:{n}", {"role": role, "conversation_id": "talk-0", "text": ""})
        for n, role in enumerate(roles)
    ]
    records = [(str(n), {"what": what, "ids": {"action": "a-1"}}) for n, what in enumerate(told)]
    kinds = {
        "message": all_of("message", *messages),
        "approval": all_of("approval", ("a-1", {"state": card})),
        "audit": all_of("audit", *records),
        "action": all_of("action"),
        "parked": all_of("parked"),
    }
    return Seen(kinds, {"talk-0": action} if action else {}, {one.key: one for one in paid})


def test_every_step_is_told_from_the_others():
    found = [
        step_of(wish(), look(None, roles=())),
        step_of(wish(), look(None)),
        step_of(wish(), look({**ACTION, "state": "waiting"}, card="pending")),
        step_of(wish(), look({**ACTION, "state": "waiting"}, card="approved")),
        step_of(wish(), look({**ACTION, "state": "requested"})),
        step_of(wish(), look({**ACTION, "state": "intended"})),
        step_of(wish(), look({**ACTION, "state": "intended"}, booked())),
        step_of(wish(), look(ACTION, booked())),
    ]
    assert tuple(found) == STEPS
    assert step_of(wish(), look({**ACTION, "state": "needs_review"})) == "action needs_review"


def test_a_round_as_it_should_be_is_not_complained_of():
    good = look(ACTION, booked())
    assert (wrong_now(good), [one for one in _wrong_with(wish(), good) if one]) == ([], [])
    waited = (*RECORDED[:2], "action_waiting", RECORDED[2])
    late = look(ACTION, booked(), told=waited, roles=("user", "assistant", "notice", "notice"))
    assert [one for one in _wrong_with(wish(), late) if one] == []
    no = Wish("talk-0", 2_500, "reject", answers={"bob": [{"state": "rejected"}] * 2})
    refused = look({**ACTION, "state": "cancelled", "reference": ""}, card="rejected", told=RECORDED[:1])
    assert [one for one in _wrong_with(no, refused) if one] == []


@pytest.mark.parametrize(
    "seen",
    [
        look(None),
        look({**ACTION, "state": "intended"}, booked()),
        look(ACTION),
        look(ACTION, booked(), booked("k-2", "t-2")),
        look(ACTION, booked(transfer_id="t-9")),
        look(ACTION, booked(state="refused")),
        look(ACTION, booked(to=FROZEN_AT_TIMES)),
        look({**ACTION, "state": "refused"}, booked(state="refused")),
        look({**ACTION, "state": "cancelled", "reference": ""}, card="superseded", told=RECORDED[:1]),
        look(ACTION, booked(), card="approved"),
        look(ACTION, booked(), told=(*RECORDED, "effect_outcome")),
        look(ACTION, booked(), told=RECORDED[:-1]),
        look(ACTION, booked(), told=RECORDED[1:]),
        look(ACTION, booked(), roles=("user", "assistant", "assistant", "notice")),
        look(ACTION, booked(), roles=("user", "assistant")),
        look(ACTION, booked(), told=(*RECORDED[:2], "action_waiting", RECORDED[2])),
        look(ACTION, booked(), roles=("user", "assistant", "notice", "notice")),
        look(ACTION, booked(), told=(*RECORDED, "action_waiting"), roles=("user", "assistant", "notice", "notice")),
    ],
)
def test_whatever_is_wrong_with_a_transfer_is_told(seen: Seen):
    assert any(_wrong_with(wish(), seen))


def test_a_frozen_account_may_end_it_in_three_ways_if_the_record_tells_which():
    frozen = Wish("talk-0", 2_500, "approve", payee=FROZEN_AT_TIMES, answers={"bob": [{"state": "approved"}] * 2})
    done = booked(to=FROZEN_AT_TIMES)
    refused = booked(to=FROZEN_AT_TIMES, state="refused")
    not_tried = {"card": "superseded", "told": RECORDED[:1]}
    ways = [
        look(ACTION, done),
        look({**ACTION, "state": "refused"}, refused),
        look({**ACTION, "state": "cancelled", "reference": ""}, **not_tried),
    ]
    assert [[one for one in _wrong_with(frozen, way) if one] for way in ways] == [[], [], []]
    assert any(_wrong_with(frozen, look({**ACTION, "state": "refused"}, done)))
    assert any(_wrong_with(frozen, look({**ACTION, "state": "cancelled", "reference": ""}, done, **not_tried)))
    assert any(_wrong_with(frozen, look({**ACTION, "state": "refused", "reference": ""}, told=RECORDED)))


def test_a_large_transfer_takes_two_signatures():
    large = Wish("talk-0", ONE_SIGNS_MINOR + 1, "approve", answers={"bob": [{"state": "pending"}]})
    assert (large.signers, Wish("talk-0", ONE_SIGNS_MINOR, "approve").signers) == (("bob", "rita"), ("bob",))
    assert any("only ['bob']" in str(one) for one in _wrong_with(large, look(ACTION, booked())))


def test_money_that_nobody_intended_is_told_at_any_moment():
    assert "no action intends" in wrong_now(look(ACTION, booked("k-2")))[0]
    assert "without one intent" in wrong_now(look(ACTION, booked(), told=()))[0]


def test_a_signer_who_is_told_two_things_is_told_of():
    changed = wish()
    changed.answers = {"bob": [{"state": "approved"}, {"state": "consumed"}]}
    assert any(_wrong_with(changed, look(ACTION, booked())))


def test_no_two_wishes_have_one_amount():
    made = wishes_of(Random(2), 24)
    assert len({one.amount_minor for one in made}) == len({one.conversation for one in made}) == 24
    assert {one.decision for one in made} == {"approve", "reject"}
    assert {one.payee for one in made} == {PAYEE, FROZEN_AT_TIMES}
    assert {one.is_spoken for one in made} == {True, False}
    assert {len(one.signers) for one in made} == {1, 2}
    assert all(one.words.endswith(f"to {one.payee}") for one in made)
    assert wishes_of(Random(2), 24) == made


def test_a_plan_follows_from_its_seed_and_aims_at_every_gap():
    assert plan_of(1, 2, 0, 7) == plan_of(1, 2, 0, 7) != plan_of(1, 2, 1, 7)
    plans = [plan_of(3, number, 0, 7) for number in range(20)]
    assert {plan.shape for plan in plans} == set(SHAPES)
    assert all({wave.aim for wave in plan.waves} == set(STEPS[:-1]) for plan in plans)
    assert {wave.bank for plan in plans for wave in plan.waves} == {"lives", *DEATHS}
    troubles = {wave.trouble.model_copy(update={"times": 1}) for plan in plans for wave in plan.waves}
    assert set(BEFORE + AFTER) <= troubles


def test_a_message_that_was_accepted_and_a_signature_that_was_taken_must_be_there():
    asked = Wish("talk-0", 2_500, "approve", accepted=True)
    assert "nowhere" in broken_promises([asked], look(None, roles=()))[0]
    assert broken_promises([asked], look(None)) == []
    waiting = look({**ACTION, "state": "waiting"}, card="pending")
    assert "a signer was told ['approved']" in broken_promises([wish()], waiting)[0]
    assert broken_promises([wish()], look(ACTION, booked())) == []


@pytest.mark.parametrize(
    ("left", "reached", "astray", "done"),
    [(2_500, 2_500, 0, 2), (5_000, 2_500, 0, 1), (2_500, 0, 0, 1), (5_000, 5_000, 0, 1), (2_500, 2_500, 2_500, 1)],
)
def test_the_sums_are_checked_too(left: int, reached: int, astray: int, done: int):
    def wrong(left: int, reached: int, astray: int, done: int) -> list[str]:
        seen = look(ACTION, booked())
        counts = {"transfer_funds|bank|1|2|done": done}
        metric = Documents({(TENANT, "metric:actions:2026-01-01"): {"counts": counts}})
        balances = {PAYER: START_MINOR - left, PAYEE: reached, FROZEN_AT_TIMES: astray}
        return list(_wrong_in_sum([wish()], seen._replace(kinds={**seen.kinds, "metric": metric}), balances))

    assert wrong(2_500, 2_500, 0, 1) == []
    assert wrong(left, reached, astray, done)


def heard(*states: str, first: int = 1, ended: bool = True, **conversation: Any) -> Seen:
    """One batch of the stream, and the conversation as it is left."""
    events = [{"type": "CUSTOM", "name": "countersign.action", "value": {"state": state}} for state in states]
    events = [{"type": "RUN_STARTED"}, *events, *([{"type": "RUN_FINISHED"}] if ended else [])]
    last = first + len(events) - 1
    batch = {"conversation_id": "talk-0", "first": first, "last": last, "events": events}
    talk = {"queue": [], "open_approvals": [], "last_sequence": last, **conversation}
    seen = look(ACTION, booked())
    kinds = {
        "stream_event": Documents({(TENANT, "stream_event:1"): batch}),
        "conversation": Documents({(TENANT, "conversation:talk-0"): talk}),
    }
    return seen._replace(kinds={**seen.kinds, **kinds})


def test_the_stream_tells_the_outcome_once():
    assert [one for one in _wrong_in_stream(wish(), heard("requested", "done")) if one] == []
    no = Wish("talk-0", 2_500, "reject")
    assert [one for one in _wrong_in_stream(no, heard()) if one] == []
    assert any(_wrong_in_stream(no, heard("done")))


@pytest.mark.parametrize(
    "seen",
    [
        heard("requested"),
        heard("done", "done"),
        heard("refused"),
        heard("done", first=2),
        heard("done", ended=False),
        heard("done", queue=[{}]),
        heard("done", open_approvals=["a-1"]),
        heard("done", last_sequence=9),
    ],
)
def test_whatever_is_wrong_with_a_stream_is_told(seen: Seen):
    assert any(_wrong_in_stream(wish(), seen))
