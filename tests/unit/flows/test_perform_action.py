"""Carrying out what was allowed: a bank in every mood, our own store, and what people are told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.actions.life_cycle import action_doc_id
from shared.audit.trail import HEAD_ID
from shared.audit.verification import verify
from shared.contracts.commands import ResolveParked, ResolveParkedEnvelope, parse_envelope
from shared.contracts.instants import text
from shared.delivery.delays import tell_of_delay
from shared.delivery.inbox import execute
from shared.errors import RetryableError
from shared.flows.resolve_parked import ResolveParkedFlow
from shared.ledger.transactions import decided, transaction_document, unclassified
from shared.ports.action_backend import Effect
from tests.bench import Bench, facts
from tests.unit.flows.action_bench import (
    CONVERSATION,
    TENANT,
    FakeBank,
    action_bench,
    action_of,
    action_policy,
    bank,
    body_of,
    deliver,
    deliver_one,
    flows_of,
    outcomes_counted,
    records,
    sign,
    told,
    wish,
)


@pytest.fixture
def backend() -> FakeBank:
    return bank()


@pytest.fixture
async def bench(tmp_path: Path, backend: FakeBank) -> AsyncIterator[Bench]:
    made = action_bench(tmp_path, backend)
    yield made
    await made.close()


async def _intended(bench: Bench) -> str:
    """A signed transfer whose intent is on the record."""
    action_id = await wish(bench)
    await sign(bench, action_id, "bob")
    assert await deliver_one(bench) == "committed"
    return action_id


async def _payloads(bench: Bench, what: str) -> list[dict[str, Any]]:
    """What the chain's records of this kind say."""
    page = await bench.store.query(TENANT, "audit", limit=50)
    return [one.body["payload"] for one in page.documents if one.body["what"] == what]


async def _breaker(bench: Bench) -> str:
    stored = await bench.store.read("system", "breaker:bank")
    return str(stored.body["state"]) if stored else "closed"


async def test_a_refusal_of_the_bank_is_an_outcome_like_another(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    backend.trouble = ["refused"]
    assert await deliver(bench) == ["committed"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"], action["detail"]) == ("refused", "account_closed", "the account is closed")
    assert await told(bench) == ["Not done: Transfer 50.00 EUR to Jo. The account is closed."]
    assert await outcomes_counted(bench) == {"refused": 1}
    assert await _breaker(bench) == "closed"


async def test_an_answer_lost_after_the_work_was_done_is_found_and_not_repeated(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    backend.trouble = ["done_but_lost"]
    assert await deliver(bench) == ["committed"]
    assert (await action_of(bench, action_id))["state"] == "done"
    assert (backend.performed, backend.repeated) == (1, 0)
    assert backend.asked[-3:] == ["find", "perform", "find"]


async def test_a_request_that_never_arrived_is_made_again_after_asking(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    backend.trouble = ["lost", "down"]
    assert await deliver(bench) == ["retried", "retried", "committed"]
    assert (await action_of(bench, action_id))["attempts"] == 3
    assert backend.asked[2:] == ["find", "perform", "find", "find", "perform", "find", "perform"]
    assert backend.performed == 1


async def test_what_the_bank_is_still_working_on_is_asked_for_until_it_says(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    backend.trouble = ["pending"]
    assert await deliver_one(bench) == "retried"
    key = (await action_of(bench, action_id))["idempotency_key"]
    backend.effects[key] = Effect("done", "r-late")
    assert await deliver(bench) == ["committed"]
    assert (await action_of(bench, action_id))["reference"] == "r-late"
    assert backend.asked.count("perform") == 1


async def test_what_nobody_can_confirm_is_left_to_a_person(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    backend.trouble = ["pending"]
    outcomes = await deliver(bench, limit=60)
    assert outcomes[-1] == "parked"
    action = await action_of(bench, action_id)
    assert action["state"] == "needs_review"
    assert "nobody can tell yet whether it was done" in (await told(bench))[-1]
    assert await outcomes_counted(bench) == {"needs_review": 1}
    assert backend.asked.count("perform") == 1


@pytest.mark.parametrize(
    ("trouble", "silent", "reason"),
    [
        (["down", "down", "down"], False, "the bank cannot be reached"),
        (["lost", "lost"], False, "the bank did not say whether it was done"),
        (["pending"], False, "the bank is still working on it"),
        ([], True, "the bank cannot be reached"),
    ],
)
async def test_whoever_asked_is_told_once_that_it_waits_and_goes_on_by_itself(
    bench: Bench, backend: FakeBank, trouble: list[str], silent: bool, reason: str
):
    action_id = await _intended(bench)
    backend.trouble, backend.silent = trouble, silent
    assert [await deliver_one(bench) for _ in range(2)] == ["retried", "retried"]
    (said,) = await told(bench)
    assert said.startswith(f"Transfer 50.00 EUR to Jo: this waits, because {reason}")
    assert said.endswith("It goes on by itself, and you will be told.")
    assert (await records(bench)).count("action_waiting") == 1
    streamed = await bench.store.query(TENANT, "stream_event", key=("conversation", CONVERSATION))
    waits = [one["value"] for told in streamed.documents for one in told.body["events"] if "waits_for" in str(one)]
    assert [(one["action_id"], one["state"]) for one in waits] == [(action_id, "intended")]
    backend.trouble, backend.silent = [], False
    key = (await action_of(bench, action_id))["idempotency_key"]
    backend.effects[key] = Effect("done", "r-1")
    await deliver(bench)
    assert len(await told(bench)) == 2


async def test_nobody_is_told_that_it_waits_once_another_delivery_has_done_it(bench: Bench, backend: FakeBank):
    await _intended(bench)
    late = parse_envelope(bench.bus.sent[0].body)
    await deliver(bench)
    await tell_of_delay(bench.delivery, late, RetryableError("no answer", code="backend_unavailable"))
    assert [one.startswith("Done: ") for one in await told(bench)] == [True]


async def test_a_breaker_that_keeps_it_waiting_is_named(bench: Bench, backend: FakeBank):
    for turn in range(1, 7):
        await sign(bench, await wish(bench, turn=turn), "bob")
    for _ in range(6):
        assert await deliver_one(bench) == "committed"
    backend.silent = True
    for _ in range(6):
        assert await deliver_one(bench) == "retried"
    assert "has failed too often just now" in (await told(bench))[-1]


async def test_what_is_carried_out_at_once_is_told_once_in_its_one_commit(bench: Bench):
    await _intended(bench)
    before = (await body_of(bench, HEAD_ID))["sequence"]
    assert await deliver(bench) == ["committed"]
    assert (await body_of(bench, HEAD_ID))["sequence"] == before + 1
    assert len(await told(bench)) == 1


async def test_an_open_breaker_spares_the_bank_and_costs_no_attempts(bench: Bench, backend: FakeBank):
    ids = []
    for turn in range(1, 7):
        ids.append(await wish(bench, turn=turn))
        await sign(bench, ids[-1], "bob")
    for _ in ids:
        assert await deliver_one(bench) == "committed"
    backend.silent = True
    backend.asked.clear()
    for _ in ids:
        assert await deliver_one(bench) == "retried"
    assert await _breaker(bench) == "open"
    assert backend.asked == ["find"] * 5, "the sixth was kept away from it"
    backend.silent = False
    await deliver(bench)
    ended = [await action_of(bench, action_id) for action_id in ids]
    assert {one["state"] for one in ended} == {"done"}
    assert ended[5]["attempts"] == 1, "waiting for a breaker is no attempt"
    assert await _breaker(bench) == "closed"
    assert (backend.performed, backend.repeated) == (6, 0)


async def test_a_bank_that_is_silent_for_too_long_is_given_up(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    backend.silent = True
    bench.clock.forward(minutes=16)
    assert await deliver(bench) == ["parked"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("needs_review", "effect_unconfirmed")


async def test_a_replay_by_an_operator_only_asks_what_became_of_it(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    bench.delivery.flows["ResolveParked"] = ResolveParkedFlow()  # type: ignore[index]
    backend.silent = True
    bench.clock.forward(minutes=16)
    await deliver(bench)
    backend.silent = False
    key = (await action_of(bench, action_id))["idempotency_key"]
    backend.effects[key] = Effect("done", "r-found")
    await _replay(bench)
    assert await deliver(bench) == ["committed"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["reference"]) == ("done", "r-found")
    assert "perform" not in backend.asked


async def test_a_replay_of_what_the_bank_never_saw_does_nothing(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    bench.delivery.flows["ResolveParked"] = ResolveParkedFlow()  # type: ignore[index]
    backend.silent = True
    bench.clock.forward(minutes=16)
    await deliver(bench)
    backend.silent = False
    await _replay(bench)
    assert await deliver(bench) == ["parked"]
    assert (await action_of(bench, action_id))["state"] == "needs_review"
    assert "perform" not in backend.asked


async def test_a_person_may_have_to_look_twice_at_one_action(bench: Bench, backend: FakeBank):
    """The request was given up and sent round again by an operator; then the bank falls silent over the effect."""
    action_id = await wish(bench)
    await sign(bench, action_id, "bob")
    bench.delivery.flows["ResolveParked"] = ResolveParkedFlow()  # type: ignore[index]
    backend.silent = True
    assert (await deliver(bench, limit=20))[-1] == "parked"
    backend.silent = False
    bench.clock.forward(minutes=3)
    await _replay(bench)
    assert await deliver_one(bench) == "committed"
    backend.silent = True
    bench.clock.forward(minutes=16)
    assert await deliver(bench) == ["parked"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("needs_review", "effect_unconfirmed")
    waits, first, second = await told(bench)
    assert "this waits" in waits
    assert "nothing was done" in first
    assert "nobody can tell yet whether it was done" in second


async def test_without_a_policy_the_bank_is_asked_what_it_did_and_for_nothing_else(bench: Bench, backend: FakeBank):
    first = await _intended(bench)
    object.__setattr__(bench.delivery, "flows", flows_of(backend, None))
    assert await deliver(bench) == ["parked"]
    assert (await action_of(bench, first))["code"] == "policy_context_missing"
    assert "perform" not in backend.asked
    object.__setattr__(bench.delivery, "flows", flows_of(backend, action_policy()))
    second = await wish(bench, turn=2)
    await sign(bench, second, "bob")
    assert await deliver_one(bench) == "committed"
    backend.effects[(await action_of(bench, second))["idempotency_key"]] = Effect("done", "r-earlier")
    object.__setattr__(bench.delivery, "flows", flows_of(backend, None))
    assert await deliver(bench) == ["committed"]
    assert (await action_of(bench, second))["reference"] == "r-earlier"
    assert "perform" not in backend.asked


async def test_a_request_without_a_policy_is_parked_and_goes_on_by_a_replay_under_one(bench: Bench, backend: FakeBank):
    action_id = await wish(bench)
    await sign(bench, action_id, "bob")
    object.__setattr__(bench.delivery, "flows", flows_of(backend, None))
    assert await deliver(bench) == ["parked"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"], backend.asked) == ("needs_review", "policy_context_missing", [])
    assert "nothing was done" in (await told(bench))[-1]
    flows = {**flows_of(backend, action_policy()), "ResolveParked": ResolveParkedFlow()}
    object.__setattr__(bench.delivery, "flows", flows)
    await _replay(bench)
    assert await deliver(bench) == ["committed", "committed"]
    assert (backend.performed, (await action_of(bench, action_id))["state"]) == (1, "done")


async def test_without_a_policy_nothing_of_our_own_changes_either(bench: Bench, backend: FakeBank):
    action_id = await wish(bench, "set_budget", {"category": "food", "limit_minor": 40_000, "currency": "EUR"})
    assert await deliver_one(bench) == "committed"
    object.__setattr__(bench.delivery, "flows", flows_of(backend, None))
    assert await deliver(bench) == ["committed"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("refused", "policy_context_missing")
    assert (await bench.store.query(TENANT, "budget")).documents == []


async def test_an_action_switched_off_after_the_intent_is_not_carried_out(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    object.__setattr__(bench.delivery, "flows", flows_of(backend, action_policy(enabled=False)))
    assert await deliver(bench) == ["parked"]
    assert (await action_of(bench, action_id))["state"] == "needs_review"
    assert "perform" not in backend.asked


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"idempotency_key": "0" * 36}, "record_altered"),
        ({"mentions": ["nobody"]}, "record_altered"),
        ({"arguments": 7}, "record_altered"),
        ({"action": []}, "unexpected_error"),
    ],
)
async def test_an_intent_changed_by_hand_is_not_carried_out_and_stays_as_it_was_found(
    bench: Bench, backend: FakeBank, change: dict[str, Any], reason: str
):
    action_id = await _intended(bench)
    stored = await bench.store.read(TENANT, action_doc_id(action_id))
    assert stored is not None
    await bench.store.commit(TENANT, [stored._replace(body={**stored.body, **change})])
    assert (await deliver(bench))[-1] == "parked"
    assert await action_of(bench, action_id) == {**stored.body, **change}, "it is left as evidence"
    assert "this could not be finished" in (await told(bench))[-1]
    (parking,) = await _payloads(bench, "command_parked")
    assert (parking["reason"], [one["document"] for one in parking["altered"]]) == (reason, [stored.id])
    found = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert found.document == stored.id
    assert "perform" not in backend.asked


async def test_an_action_whose_card_is_gone_asks_the_bank_for_nothing(bench: Bench, backend: FakeBank):
    action_id = await _intended(bench)
    card = await bench.store.read(TENANT, f"approval:{action_id}")
    assert card is not None
    await bench.store.commit(TENANT, [], deletes=[card])
    assert await deliver(bench) == ["parked"]
    assert (await action_of(bench, action_id))["code"] == "approval_missing"
    assert "perform" not in backend.asked
    found = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert (found.problem, found.document) == ("document_missing", card.id)


async def test_a_member_whose_card_is_gone_changes_nothing_of_ours(bench: Bench):
    await _stored(bench, "t-1", "Categorized")
    action_id = await wish(bench, "recategorise_transactions", _recategorise(("t-1", 1)))
    await sign(bench, action_id, "bob")
    assert await deliver_one(bench) == "committed"
    card = await bench.store.read(TENANT, f"approval:{action_id}")
    assert card is not None
    await bench.store.commit(TENANT, [], deletes=[card])
    await deliver(bench)
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("refused", "approval_missing")


async def test_a_budget_is_set_and_set_again_with_what_it_was_before(bench: Bench):
    first = await wish(bench, "set_budget", {"category": "food", "limit_minor": 40_000, "currency": "EUR"})
    await deliver(bench)
    second = await wish(bench, "set_budget", {"category": "food", "limit_minor": 30_000, "currency": "EUR"}, turn=2)
    await deliver(bench)
    budget = await body_of(bench, "budget:food")
    assert (budget["limit_minor"], budget["set_by"], budget["action_id"]) == (30_000, "alice", second)
    assert (await action_of(bench, first))["result"] == {"was": {}}
    assert (await action_of(bench, second))["result"] == {"was": {"limit_minor": 40_000, "currency": "EUR"}}
    assert await told(bench) == [
        "Done: the budget for food is 400.00 EUR a month.",
        "Done: the budget for food is 300.00 EUR a month.",
    ]


async def test_a_budget_for_nothing_that_exists_is_refused(bench: Bench):
    action_id = await wish(bench, "set_budget", {"category": "foot", "limit_minor": 1, "currency": "EUR"})
    await deliver(bench)
    assert (await action_of(bench, action_id))["code"] == "category_unknown"


async def test_notifications_change_for_the_person_who_asked(bench: Bench):
    from shared.actions.change_notifications import preference_doc_id

    await wish(bench, "change_notifications", {"topic": "budgets", "enabled": True, "channel": "email"})
    await deliver(bench)
    await wish(bench, "change_notifications", {"topic": "budgets", "enabled": False}, turn=2)
    await deliver(bench)
    body = await body_of(bench, preference_doc_id("alice"))
    assert body["topics"] == {"budgets": {"enabled": False, "channel": "email"}}


async def test_a_draft_is_kept_and_sent_to_nobody(bench: Bench, backend: FakeBank):
    action_id = await wish(bench, "draft_message", {"recipient": "Anna", "text": "See you at eight"})
    await deliver(bench)
    draft = await body_of(bench, f"draft:{action_id}")
    assert (draft["text"], draft["person"]) == ("See you at eight", "alice")
    assert "nothing was sent" in (await told(bench))[-1]
    assert (backend.asked, bench.events.published, bench.bus.sent) == ([], [], [])


async def test_transactions_are_recategorised_by_the_person_with_an_event_each(bench: Bench):
    await _stored(bench, "t-1", "Categorized")
    await _stored(bench, "t-2", "NeedsReview")
    wanted = _recategorise(("t-1", 1), ("t-2", 1))
    action_id = await wish(bench, "recategorise_transactions", wanted, roles=("reviewer",))
    await deliver(bench)
    for transaction_id, version in (("t-1", 3), ("t-2", 2)):
        body = await body_of(bench, f"transaction:{transaction_id}")
        assert (body["review_state"], body["category"], body["decision_version"]) == (
            "Reviewed",
            "food.coffee",
            version,
        )
        assert (body["decided_by"], body["reviewed_by"]) == ("person", "alice")
    assert [event["data"]["transaction_id"] for event in bench.events.published] == ["t-1", "t-2"]
    action = await action_of(bench, action_id)
    assert (action["state"], action["mentions"]) == ("done", ["t-1", "t-2"])


async def test_a_transaction_decided_anew_meanwhile_stops_all_of_them(bench: Bench):
    await _stored(bench, "t-1", "Categorized")
    await _stored(bench, "t-2", "NeedsReview")
    wanted = _recategorise(("t-1", 1), ("t-2", 0))
    action_id = await wish(bench, "recategorise_transactions", wanted, roles=("reviewer",))
    await deliver(bench)
    assert (await action_of(bench, action_id))["code"] == "decision_version_stale"
    assert (await body_of(bench, "transaction:t-1"))["review_state"] == "Categorized"
    assert bench.events.published == []


async def test_what_changes_between_intent_and_effect_is_noticed(bench: Bench):
    await _stored(bench, "t-1", "Categorized")
    action_id = await wish(bench, "recategorise_transactions", _recategorise(("t-1", 1)), roles=("reviewer",))
    await deliver_one(bench)
    stored = await bench.store.read(TENANT, "transaction:t-1")
    assert stored is not None
    moved = decided(stored.body, "NeedsReview", at=text(bench.clock()))
    await bench.store.commit(TENANT, [transaction_document(TENANT, moved, etag=stored.etag)])
    await deliver(bench)
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("refused", "decision_version_stale")
    assert (await records(bench))[-1] == "effect_outcome"


async def test_fifty_transactions_fit_into_one_commit(bench: Bench):
    for number in range(50):
        await _stored(bench, f"t-{number}", "Categorized")
    wanted = _recategorise(*((f"t-{number}", 1) for number in range(50)))
    action_id = await wish(bench, "recategorise_transactions", wanted, roles=("reviewer",))
    await deliver(bench)
    assert (await action_of(bench, action_id))["result"] == {"category": "food.coffee", "transactions": 50}


async def test_a_members_wish_to_recategorise_waits_for_a_reviewer(bench: Bench):
    await _stored(bench, "t-1", "Categorized")
    action_id = await wish(bench, "recategorise_transactions", _recategorise(("t-1", 1)))
    assert (await action_of(bench, action_id))["state"] == "waiting"
    await sign(bench, action_id, "bob")
    await deliver(bench)
    assert (await action_of(bench, action_id))["state"] == "done"


def _recategorise(*seen: tuple[str, int]) -> dict[str, Any]:
    named = [{"transaction_id": one, "decision_version": version} for one, version in seen]
    return {"category": "food.coffee", "transactions": named}


async def _stored(bench: Bench, transaction_id: str, state: str) -> None:
    document = unclassified(TENANT, facts(transaction_id), at=text(bench.clock()), ingestion_id="", run_id="r")
    body = decided(document.body, state, at=text(bench.clock()), category="food.groceries")
    await bench.store.commit(TENANT, [transaction_document(TENANT, body)])


async def _replay(bench: Bench) -> None:
    page = await bench.store.query(TENANT, "parked", key=("state", "parked"), limit=10)
    parked_id = page.documents[0].body["parked_id"]
    wish_ = ResolveParked(parked_id=parked_id, resolution="replay", operator="root")
    command = ResolveParkedEnvelope(
        command_id=f"replay-{parked_id}",
        tenant=TENANT,
        correlation_id="replay",
        issued_at=text(bench.clock()),
        producer="test",
        payload=wish_,
    )
    await execute(bench.delivery, command, fingerprint="f")
