"""A person answers a card: every way in which that can go has one outcome."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.delivery.one_commit import commit
from shared.errors import (
    CountersignError,
    ForbiddenError,
    IdempotencyMismatchError,
    InvalidInputError,
    NotFoundError,
    StateConflictError,
)
from shared.flows.answer_approval import AnswerApprovalFlow
from tests.bench import Bench
from tests.unit.approvals.bench import (
    REQUESTER,
    TENANT,
    action_of,
    altered,
    answer,
    approval_bench,
    ask,
    at_once,
    card_of,
    policy,
    policy_with,
    recorded,
    sent,
    stored,
    told,
)
from tests.unit.flows.action_bench import action_bench, wish


async def refused(
    bench: Bench, approval_id: str, *args: Any, kind: type[Exception], code: str, altered: str = "", **more: Any
) -> None:
    """The answer is refused with this code, and nothing has changed but for its refusal."""

    async def now() -> tuple[Any, ...]:
        card = await bench.store.read(TENANT, f"approval:{approval_id}")
        told = await recorded(bench.delivery, altered=altered)
        return card, [what for what in told if what != "approval_refused"], sent(bench)

    before = await now()
    with pytest.raises(kind) as failed:
        await answer(bench.delivery, approval_id, *args, **more)
    assert isinstance(failed.value, CountersignError)
    assert failed.value.code == code
    assert await now() == before


async def test_a_refused_answer_is_on_the_record_with_who_gave_it_and_why(bench: Bench):
    approval_id = await ask(bench.delivery)
    with pytest.raises(ForbiddenError):
        await answer(bench.delivery, approval_id, REQUESTER, roles=("member", "reviewer"))
    page = await bench.store.query(TENANT, "audit", descending=True, limit=1)
    record = page.documents[0].body
    assert (record["what"], record["who"]["id"]) == ("approval_refused", REQUESTER)
    assert record["ids"]["approval"] == approval_id
    assert record["payload"] == {"decision": "approve", "code": "requester_may_not_sign"}
    assert (await recorded(bench.delivery))[-1] == "approval_refused"


async def test_one_signature_approves_a_small_transfer_in_one_commit(bench: Bench):
    approval_id = await ask(bench.delivery)
    told_now = await answer(bench.delivery, approval_id, rationale="known recipient")
    assert (told_now["state"], told_now["still_needed"], told_now["signatures"]) == ("approved", 0, 1)
    card = await card_of(bench.delivery, approval_id)
    assert (card["state"], card["signatures"][0]["person"]) == ("approved", "rita")
    assert card["signatures"][0]["card_digest"] == card["card_digest"]
    assert (await recorded(bench.delivery))[-1] == "approval_answered"
    assert sent(bench) == ["AgentApprovalSubmitted"]
    run = (await stored(bench.delivery, f"run:{told_now['run_id']}")).body
    assert (run["status"], run["stages"][0]["outcome_code"]) == ("Completed", "approved_by_human")
    events = await told(bench.delivery)
    assert [event["type"] for event in events] == ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]
    assert (events[1]["value"]["state"], events[2]["outcome"]["type"]) == ("approved", "success")
    assert (await stored(bench.delivery, "conversation:talk-1")).body["open_approvals"] == []


async def test_one_no_is_enough(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    told_now = await answer(bench.delivery, approval_id, decision="reject", rationale="not this month")
    assert (told_now["state"], told_now["still_needed"]) == ("rejected", 0)
    card = await card_of(bench.delivery, approval_id)
    assert (card["rejected_by"], card["rationale"]) == ("rita", "not this month")


async def test_above_the_limit_two_different_people_must_sign(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    first = await answer(bench.delivery, approval_id, "rita")
    assert (first["state"], first["still_needed"]) == ("pending", 1)
    last = (await told(bench.delivery))[-1]
    assert last["outcome"]["interrupts"][0]["id"] == approval_id
    await refused(bench, approval_id, "rita", key="again", kind=StateConflictError, code="already_signed")
    second = await answer(bench.delivery, approval_id, "ralf")
    assert (second["state"], second["still_needed"]) == ("approved", 0)


async def test_the_same_answer_again_is_the_first_answer(bench: Bench):
    approval_id = await ask(bench.delivery)
    first = await answer(bench.delivery, approval_id, key="k")
    assert await answer(bench.delivery, approval_id, key="k", card_digest=first["card_digest"]) == first
    assert sent(bench) == ["AgentApprovalSubmitted"]
    with pytest.raises(IdempotencyMismatchError):
        await answer(bench.delivery, approval_id, key="k", rationale="something else")


async def test_the_same_person_cannot_answer_anew(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id, key="k")
    await refused(bench, approval_id, key="other", kind=StateConflictError, code="already_signed")
    await refused(bench, approval_id, "rita", "reject", kind=StateConflictError, code="already_signed")


async def test_a_person_who_said_no_cannot_answer_anew(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id, decision="reject")
    await refused(bench, approval_id, kind=StateConflictError, code="already_signed")


@pytest.mark.parametrize("first", ["approve", "reject"])
async def test_a_settled_card_takes_no_further_answers(bench: Bench, first: str):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id, "rita", first)
    with pytest.raises(StateConflictError, match="approved" if first == "approve" else "rejected"):
        await answer(bench.delivery, approval_id, "ralf")
    await refused(bench, approval_id, "ralf", kind=StateConflictError, code="approval_closed")
    await refused(bench, approval_id, "ralf", "reject", kind=StateConflictError, code="approval_closed")


@pytest.mark.parametrize("state", ["consumed", "superseded"])
async def test_a_used_or_superseded_card_takes_no_answers(bench: Bench, state: str):
    approval_id = await ask(bench.delivery)
    card = await stored(bench.delivery, f"approval:{approval_id}")
    ended = card._replace(body={**card.body, "state": state})
    entry = Entry("ended", {"kind": "test", "id": "bench"}, {}, {})
    await commit(bench.delivery, TENANT, [ended], [entry], head=await stored(bench.delivery, HEAD_ID))
    await refused(bench, approval_id, kind=StateConflictError, code="approval_closed")


async def test_time_that_is_over_is_a_denial_also_before_the_timer_says_so(bench: Bench):
    approval_id = await ask(bench.delivery)
    bench.clock.forward(minutes=240)
    assert (await card_of(bench.delivery, approval_id))["state"] == "pending"
    await refused(bench, approval_id, kind=StateConflictError, code="approval_expired")
    await refused(bench, approval_id, "rita", "reject", kind=StateConflictError, code="approval_expired")


async def test_an_answer_to_another_card_than_the_one_shown_is_refused(bench: Bench):
    approval_id = await ask(bench.delivery)
    await refused(bench, approval_id, card_digest="0" * 64, kind=StateConflictError, code="card_changed")


async def test_another_tenants_card_is_not_there(bench: Bench):
    approval_id = await ask(bench.delivery)
    digest = (await card_of(bench.delivery, approval_id))["card_digest"]
    with pytest.raises(NotFoundError):
        await answer(bench.delivery, approval_id, tenant="desk", card_digest=digest)


async def test_the_cards_role_is_asked_for_whatever_else_somebody_is(bench: Bench):
    approval_id = await ask(bench.delivery)
    roles = ("member", "auditor", "operator")
    await refused(bench, approval_id, "rita", roles=roles, kind=ForbiddenError, code="role_missing")
    await refused(bench, approval_id, "rita", "reject", roles=roles, kind=ForbiddenError, code="role_missing")


async def test_nobody_learns_what_became_of_a_card_without_its_role(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id)
    await refused(bench, approval_id, "max", roles=("member",), kind=ForbiddenError, code="role_missing")


async def test_who_asks_does_not_sign(bench: Bench):
    approval_id = await ask(bench.delivery)
    await refused(bench, approval_id, REQUESTER, kind=ForbiddenError, code="requester_may_not_sign")
    edit = {"edited_arguments": {"from_account": "acc-1", "recipient": "Bob", "amount_minor": 1, "currency": "EUR"}}
    await refused(bench, approval_id, REQUESTER, kind=ForbiddenError, code="requester_may_not_sign", **edit)


async def test_who_asks_may_take_it_back(bench: Bench):
    approval_id = await ask(bench.delivery)
    assert (await answer(bench.delivery, approval_id, REQUESTER, "reject"))["state"] == "rejected"


EDITED = {"from_account": "acc-1", "recipient": "Bob", "amount_minor": 4_000, "currency": "EUR"}


async def test_an_edit_replaces_the_arguments_and_voids_earlier_signatures(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000, note="rent")
    await answer(bench.delivery, approval_id, "rita")
    before = await card_of(bench.delivery, approval_id)
    edited = {**EDITED, "amount_minor": 150_000}
    told_now = await answer(bench.delivery, approval_id, "ralf", edited_arguments=edited)
    assert (told_now["state"], told_now["edited"], told_now["still_needed"]) == ("modified", True, 1)
    card, action = await card_of(bench.delivery, approval_id), await action_of(bench.delivery, approval_id)
    assert [one["person"] for one in card["signatures"]] == ["ralf"]
    assert [one["person"] for one in card["voided"]] == ["rita"]
    assert card["arguments"] == action["arguments"] == {**edited, "to_account": "", "note": ""}
    assert card["digest"] == action["digest"] != before["digest"]
    assert card["card_digest"] == told_now["card_digest"] != before["card_digest"]
    assert "1,500.00 EUR" in card["card"]["title"]
    assert "ralf changed Amount: 2,000.00 EUR became 1,500.00 EUR" in card["card"]["evidence"]
    assert (card["expires_at"], action["state"]) == (before["expires_at"], "waiting")
    assert (await recorded(bench.delivery))[-2:] == ["approval_edited", "approval_answered"]
    stale = before["card_digest"]
    more = {"card_digest": stale, "key": "stale"}
    await refused(bench, approval_id, "rita", kind=StateConflictError, code="card_changed", **more)
    assert (await answer(bench.delivery, approval_id, "rita", key="anew"))["state"] == "approved"


async def test_an_edit_above_the_limit_raises_the_quorum(bench: Bench):
    approval_id = await ask(bench.delivery)
    told_now = await answer(bench.delivery, approval_id, edited_arguments={**EDITED, "amount_minor": 100_001})
    assert (told_now["state"], told_now["still_needed"]) == ("modified", 1)
    card = await card_of(bench.delivery, approval_id)
    assert (card["quorum"], card["card"]["quorum"]) == (2, 2)


async def test_an_edit_below_the_limit_does_not_lower_the_quorum(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    told_now = await answer(bench.delivery, approval_id, edited_arguments=EDITED)
    assert (told_now["state"], told_now["still_needed"]) == ("modified", 1)


@pytest.mark.parametrize("edit", [{"amount_minor": 4_999}, {"recipient": "Eve"}, {"from_account": "acc-2"}])
async def test_whoever_edits_a_transfer_is_not_enough_alone(bench: Bench, edit: dict[str, Any]):
    approval_id = await ask(bench.delivery)
    told_now = await answer(bench.delivery, approval_id, "rita", edited_arguments={**EDITED, **edit})
    assert (told_now["state"], told_now["still_needed"]) == ("modified", 1)
    card = await card_of(bench.delivery, approval_id)
    assert (card["quorum"], card["card"]["quorum"], card["edited_by"]) == (2, 2, ["rita"])
    assert any("two different people must sign" in one for one in card["card"]["evidence"]), "the card says so"
    await refused(bench, approval_id, "rita", key="again", kind=StateConflictError, code="already_signed")
    more = {"kind": ForbiddenError, "code": "requester_may_not_sign"}
    await refused(bench, approval_id, "alice", **more)
    assert (await answer(bench.delivery, approval_id, "ralf"))["state"] == "approved"


async def test_two_editors_in_turn_are_two_people_only_once_both_have_signed_the_same(bench: Bench):
    approval_id = await ask(bench.delivery)
    await answer(bench.delivery, approval_id, "rita", edited_arguments=EDITED)
    told_now = await answer(bench.delivery, approval_id, "ralf", edited_arguments={**EDITED, "recipient": "Eve"})
    assert (told_now["state"], told_now["still_needed"]) == ("modified", 1)
    assert (await answer(bench.delivery, approval_id, "rita", key="anew"))["state"] == "approved"
    card = await card_of(bench.delivery, approval_id)
    assert (card["edited_by"], len(card["signatures"])) == (["rita", "ralf"], 2)
    assert sum("two different people" in one for one in card["card"]["evidence"]) == 1


async def test_where_policy_does_not_ask_for_two_an_editor_may_be_enough(tmp_path: Path):
    bench = approval_bench(tmp_path, rules=policy_with(two_people_after_edit=False))
    approval_id = await ask(bench.delivery)
    assert (await answer(bench.delivery, approval_id, edited_arguments=EDITED))["state"] == "approved"
    await bench.close()


async def test_an_edit_that_policy_denies_changes_nothing(bench: Bench):
    approval_id = await ask(bench.delivery)
    too_much = {"edited_arguments": {**EDITED, "amount_minor": 1_000_001}}
    await refused(bench, approval_id, kind=ForbiddenError, code="edit_denied", **too_much)
    assert (await action_of(bench.delivery, approval_id))["arguments"]["amount_minor"] == 5_000


@pytest.mark.parametrize(
    "wrong",
    [{"amount_minor": 0}, {"amount_minor": "7"}, {"currency": "eur"}, {"currency": "XXQ"}, {"to_whom": "me"}],
)
async def test_an_edit_that_does_not_fit_the_action_is_refused(bench: Bench, wrong: dict[str, Any]):
    approval_id = await ask(bench.delivery)
    edited = {"edited_arguments": {**EDITED, **wrong}}
    await refused(bench, approval_id, kind=InvalidInputError, code="arguments_invalid", **edited)


async def test_an_edit_that_leaves_something_out_is_not_filled_up_from_before(bench: Bench):
    approval_id = await ask(bench.delivery)
    edited = {"edited_arguments": {"amount_minor": 4_000}}
    await refused(bench, approval_id, kind=InvalidInputError, code="arguments_invalid", **edited)


async def test_an_edit_of_nothing_is_a_signature(bench: Bench):
    approval_id = await ask(bench.delivery)
    same = {**EDITED, "amount_minor": 5_000}
    told_now = await answer(bench.delivery, approval_id, edited_arguments=same)
    assert (told_now["state"], told_now["edited"]) == ("approved", False)


async def test_a_rejection_edits_nothing(bench: Bench):
    approval_id = await ask(bench.delivery)
    more = {"edited_arguments": EDITED}
    await refused(bench, approval_id, "rita", "reject", kind=InvalidInputError, code="edit_not_expected", **more)


async def test_an_edit_is_judged_by_todays_policy(tmp_path: Path):
    strict = policy_with(quorum=2, role="operator")
    bench = approval_bench(tmp_path, rules=strict)
    approval_id = await ask(bench.delivery)
    await refused(bench, approval_id, edited_arguments=EDITED, kind=ForbiddenError, code="role_missing")
    roles = ("reviewer", "operator")
    told_now = await answer(bench.delivery, approval_id, roles=roles, edited_arguments=EDITED)
    card = await card_of(bench.delivery, approval_id)
    assert (told_now["still_needed"], card["role"], card["policy_version"]) == (1, "operator", strict.version)
    await bench.close()


ALTERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("action", {"arguments": {"from_account": "acc-1", "recipient": "Eve", "amount_minor": 5_000, "currency": "EUR"}}),
    ("action", {"requested_by": "somebody"}),
    ("approval", {"quorum": 1, "requester_may_sign": "alone"}),
    ("approval", {"expires_at": "2099-01-01T00:00:00.000000Z"}),
    ("approval", {"requested_by": "somebody"}),
]


@pytest.mark.parametrize(("kind", "changes"), ALTERATIONS)
async def test_what_was_altered_by_hand_cannot_be_signed(bench: Bench, kind: str, changes: dict[str, Any]):
    approval_id = await ask(bench.delivery)
    await altered(bench.delivery, f"{kind}:{approval_id}", **changes)
    names = {"kind": StateConflictError, "code": "record_altered", "altered": f"{kind}:{approval_id}"}
    await refused(bench, approval_id, **names)


async def test_fifty_answers_from_ten_people_at_once_decide_once(bench: Bench):
    approval_id = await ask(bench.delivery)
    digest = (await card_of(bench.delivery, approval_id))["card_digest"]

    async def client(person: str) -> list[Any]:
        tries = [answer(bench.delivery, approval_id, person, key="k", card_digest=digest) for _ in range(5)]
        return await asyncio.gather(*tries, return_exceptions=True)

    told_all = await at_once(*(client(f"reviewer-{number}") for number in range(10)))
    results = [one for of_client in told_all for one in of_client]
    good = [one for one in results if isinstance(one, dict)]
    assert len(good) == 5  # the winner's answer, each of the five times
    assert all(one == good[0] for one in good)
    assert {one.code for one in results if isinstance(one, CountersignError)} == {"approval_closed"}
    assert len([one for one in results if not isinstance(one, dict)]) == 45
    assert sent(bench) == ["AgentApprovalSubmitted"]
    card = await card_of(bench.delivery, approval_id)
    assert (card["state"], len(card["signatures"])) == ("approved", 1)
    assert (await recorded(bench.delivery)).count("approval_answered") == 1


async def test_two_people_at_once_are_the_two_signatures_of_a_quorum(bench: Bench):
    approval_id = await ask(bench.delivery, amount_minor=200_000)
    told_all = await at_once(answer(bench.delivery, approval_id, "rita"), answer(bench.delivery, approval_id, "ralf"))
    assert sorted(one["state"] for one in told_all) == ["approved", "pending"]
    assert len((await card_of(bench.delivery, approval_id))["signatures"]) == 2


async def test_yes_and_no_at_once_have_one_winner(bench: Bench):
    approval_id = await ask(bench.delivery)
    yes, no = await asyncio.gather(
        answer(bench.delivery, approval_id, "rita"),
        answer(bench.delivery, approval_id, "ralf", "reject"),
        return_exceptions=True,
    )
    won = [one for one in (yes, no) if isinstance(one, dict)]
    lost = [one for one in (yes, no) if isinstance(one, StateConflictError)]
    assert (len(won), [one.code for one in lost]) == (1, ["approval_closed"])
    assert (await card_of(bench.delivery, approval_id))["state"] == won[0]["state"]


async def test_an_edit_of_any_of_fifty_transactions_is_on_the_card(tmp_path: Path):
    bench = action_bench(tmp_path, None)
    object.__setattr__(bench.delivery, "flows", {"AnswerApproval": AnswerApprovalFlow(policy())})
    seen = [{"transaction_id": f"t-{n}", "decision_version": 1} for n in range(50)]
    wished = {"category": "food.groceries", "transactions": seen}
    approval_id = await wish(bench, "recategorise_transactions", wished)
    other = [*seen[:49], {"transaction_id": "t-99", "decision_version": 1}]
    await answer(bench.delivery, approval_id, edited_arguments={**wished, "transactions": other})
    shown = (await card_of(bench.delivery, approval_id))["card"]
    assert dict(shown["what"])["Transactions"].endswith("t-48, t-99")
    assert any("t-49" in line and "t-99" in line for line in shown["evidence"])
    await bench.close()
