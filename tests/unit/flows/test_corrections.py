"""A wish that waits is corrected or taken back: one commit ends its card and makes the new one; too late is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.approvals.card import approval_doc_id
from shared.audit.verification import verify
from shared.delivery.inbox import handle_once
from shared.errors import ConflictError, NotFoundError, StateConflictError
from shared.flows.age_approval import AgeApprovalFlow, age_approvals
from shared.flows.answer_approval import AnswerApprovalFlow
from shared.flows.approval_submitted import ApprovalSubmittedFlow
from shared.flows.conversations import change_settings
from tests.bench import Bench
from tests.unit.approvals.bench import answer
from tests.unit.flows.action_bench import FakeBank, flows_of
from tests.unit.flows.action_bench import action_policy as policy_for_transfers
from tests.unit.flows.conversation_bench import (
    ALICE,
    TENANT,
    action_policy,
    conversation,
    conversation_bench,
    deliver,
    events,
    incoming,
    messages,
    post,
    replies,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = conversation_bench(tmp_path)
    accounts = {
        one: {"currency": "EUR", "status": "active", "balance_minor": 900_000} for one in ("acc-current", "Anna")
    }
    acting = flows_of(FakeBank(accounts=accounts), action_policy())
    own = {TENANT: frozenset({"acc-current"})}
    flows = {
        **made.delivery.flows,
        "AnswerApproval": AnswerApprovalFlow(action_policy()),
        "AgentApprovalSubmitted": ApprovalSubmittedFlow(),
        "AgeApproval": AgeApprovalFlow(),
        **{name: replace(flow, own_accounts=own) for name, flow in acting.items()},
    }
    object.__setattr__(made.delivery, "flows", flows)
    yield made
    await made.close()


async def said(bench: Bench, text: str, **more: Any) -> str:
    """The reply to `text`."""
    await post(bench, text, **more)
    assert await deliver(bench) == ["committed"]
    return (await replies(bench))[-1] if not more else ""


async def cards(bench: Bench) -> list[dict[str, Any]]:
    """Oldest first."""
    found = [one.body for one in (await bench.store.query(TENANT, "approval", limit=50)).documents]
    return sorted(found, key=lambda card: (card["requested_at"], card["turn"]))


async def states(bench: Bench) -> list[tuple[str, str]]:
    """State of each card, and of its action."""
    found = []
    for card in await cards(bench):
        action = await bench.store.read(TENANT, f"action:{card['action_id']}")
        assert action is not None
        found.append((card["state"], action.body["state"]))
    return found


async def arguments(bench: Bench) -> dict[str, Any]:
    """Of the newest card."""
    told: dict[str, Any] = (await cards(bench))[-1]["arguments"]
    return told


async def signed(bench: Bench, *, decision: str = "approve") -> None:
    await answer(bench.delivery, (await cards(bench))[-1]["approval_id"], decision=decision)


@pytest.mark.parametrize(
    ("correction", "changed"),
    [
        ("make it 250 instead", {"amount_minor": 25_000, "recipient": "Anna"}),
        ("no, 250", {"amount_minor": 25_000, "recipient": "Anna"}),
        ("sorry, I meant 250 EUR", {"amount_minor": 25_000, "recipient": "Anna"}),
        ("actually, send it to Bob", {"amount_minor": 5_000, "recipient": "Bob"}),
        ("to Bob instead", {"amount_minor": 5_000, "recipient": "Bob"}),
        ("change the amount to 75.50", {"amount_minor": 7_550, "recipient": "Anna"}),
    ],
)
async def test_a_correction_ends_the_old_card_and_makes_the_new_one_in_one_commit(
    bench: Bench, correction: str, changed: dict[str, Any]
):
    await said(bench, "transfer 50 EUR to Anna")
    old = (await cards(bench))[0]
    commits: list[list[str]] = []
    real = bench.store.commit

    async def commit(partition: str, writes: Any, *args: Any, **kwargs: Any) -> Any:
        commits.append([one.id for one in writes])
        return await real(partition, writes, *args, **kwargs)

    object.__setattr__(bench.store, "commit", commit)
    told = await said(bench, correction)
    assert "The earlier card (Transfer 50.00 EUR to Anna) no longer counts." in told
    assert await states(bench) == [("superseded", "cancelled"), ("pending", "waiting")]
    new = (await cards(bench))[1]
    assert {name: new["arguments"][name] for name in changed} == changed
    assert (await conversation(bench))["open_approvals"] == [new["approval_id"]]
    ids = {approval_doc_id(old["approval_id"]), approval_doc_id(new["approval_id"])}
    assert [ids <= set(one) for one in commits if ids & set(one)] == [True]


async def test_both_ends_are_on_the_record_and_in_the_stream(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    await said(bench, "make it 250 instead")
    chain = [one.body for one in (await bench.store.query(TENANT, "audit", limit=100)).documents]
    assert [one["what"] for one in chain][-5:] == [
        "message_answered", "approval_superseded", "action_cancelled", "action_proposed", "approval_requested",
    ]  # fmt: skip
    gone = next(one for one in chain if one["what"] == "approval_superseded")
    assert (gone["who"], gone["payload"]["why"]) == ({"kind": "person", "id": ALICE}, "corrected_by_requester")
    told = [one["value"]["state"] for one in await events(bench) if one.get("name") == "countersign.approval"]
    assert told == ["pending", "superseded", "pending"]
    assert not (await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)).problem


async def test_signatures_on_the_old_card_are_worth_nothing(bench: Bench):
    await said(bench, "transfer 2000 EUR to Anna")
    await signed(bench)
    old = (await cards(bench))[0]
    assert (old["state"], len(old["signatures"])) == ("pending", 1), "two people have to sign so much"
    await said(bench, "make it 2500 instead")
    new = (await cards(bench))[1]
    assert (new["state"], new["signatures"], new["quorum"]) == ("pending", [], 2)
    with pytest.raises(StateConflictError):
        await answer(bench.delivery, old["approval_id"], person="ralf")


@pytest.mark.parametrize("correction", ["make it 250 instead", "no, to Bob", "cancel that"])
@pytest.mark.parametrize("how_far", ["waiting", "requested", "intended", "done"])
async def test_too_late_is_told_and_nothing_new_is_asked_for(bench: Bench, correction: str, how_far: str):
    await said(bench, "transfer 50 EUR to Anna")
    await signed(bench)
    await _worked(bench, until=how_far)
    before = await states(bench)
    told = await said(bench, correction)
    assert "Too late" in told
    assert "“Transfer 50.00 EUR to Anna” is" in told
    assert await states(bench) == before


async def _worked(bench: Bench, *, until: str) -> None:
    """The lanes, message by message, until the action is that far; `waiting` is at once."""
    while (await bench.store.query(TENANT, "action")).documents[0].body["state"] != until:
        await handle_once(bench.delivery, incoming(bench.bus.sent.pop(0)))


@pytest.mark.parametrize("ended", ["expired", "timer", "rejected", "withdrawn"])
async def test_where_nothing_was_done_a_correction_asks_whether_to_ask_anew(bench: Bench, ended: str):
    await said(bench, "transfer 50 EUR to Anna")
    if ended in ("expired", "timer"):
        bench.clock.forward(minutes=241)
    if ended == "timer":
        await age_approvals(bench.delivery)
    if ended == "rejected":
        await signed(bench, decision="reject")
        await _worked(bench, until="cancelled")
    if ended == "withdrawn":
        assert "Withdrawn: Transfer 50.00 EUR to Anna." in await said(bench, "cancel that")
    before = await states(bench)
    told = await said(bench, "make it 250 instead")
    assert "nothing was done. Shall I transfer 250.00 EUR to Anna?" in told
    assert await states(bench) == before, "nothing is asked for before the yes"
    await said(bench, "yes")
    assert (await states(bench))[1:] == [("pending", "waiting")]
    assert (await arguments(bench))["amount_minor"] == 25_000


async def test_nobody_else_corrects_a_wish(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    with pytest.raises(NotFoundError):
        await post(bench, "make it 250 instead", by="dev:bob")
    assert await states(bench) == [("pending", "waiting")]


async def test_another_conversation_knows_of_nothing_to_correct(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    await said(bench, "make it 250 instead", into="c-2")
    assert "Nothing is open that this could change." in (await messages(bench, "c-2"))[-1]["text"]
    assert await states(bench) == [("pending", "waiting")]


async def test_a_card_that_is_signed_while_the_correction_is_worked_is_not_doubled(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    real, raced = bench.store.commit, False

    async def commit(partition: str, writes: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal raced
        if not raced and sum(one.kind == "approval" for one in writes) == 2:
            raced = True
            await signed(bench)
        return await real(partition, writes, *args, **kwargs)

    object.__setattr__(bench.store, "commit", commit)
    told = await said(bench, "make it 250 instead")
    assert raced
    assert "Too late to change that" in told
    assert [card["state"] for card in await cards(bench)] == ["approved"]


async def test_a_lost_commit_leaves_the_old_card_and_a_retry_makes_one_new(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    real, lost = bench.store.commit, 0

    async def commit(partition: str, writes: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal lost
        if sum(one.kind == "approval" for one in writes) == 2 and lost < 2:
            lost += 1
            if lost == 2:
                await real(partition, writes, *args, **kwargs)  # done, and nobody heard of it
            else:
                assert await states(bench) == [("pending", "waiting")]
            raise ConflictError(["conversation:c-1"])
        return await real(partition, writes, *args, **kwargs)

    object.__setattr__(bench.store, "commit", commit)
    await post(bench, "make it 250 instead")
    sent = list(bench.bus.sent)
    await deliver(bench)
    bench.bus.sent.extend(sent)
    await deliver(bench)
    assert lost == 2
    assert await states(bench) == [("superseded", "cancelled"), ("pending", "waiting")]


@pytest.mark.parametrize(
    "words",
    ["cancel that", "forget the transfer", "cancel the transfer to Anna", "never mind", "I changed my mind",
     "don't send it", "please withdraw my request", "call it off", "take it back", "I don't want that any more"],
)  # fmt: skip
async def test_the_requester_takes_back_what_waits(bench: Bench, words: str):
    await said(bench, "transfer 50 EUR to Anna")
    told = await said(bench, words)
    assert "Withdrawn: Transfer 50.00 EUR to Anna. Its card no longer counts, and nothing was done." in told
    assert await states(bench) == [("superseded", "cancelled")]
    (card,) = await cards(bench)
    assert card["superseded_why"] == "withdrawn_by_requester"
    assert (await conversation(bench))["open_approvals"] == []
    with pytest.raises(StateConflictError):
        await signed(bench)


@pytest.mark.parametrize("words", ["no", "no thanks", "no, that's all"])
async def test_a_bare_no_takes_nothing_back(bench: Bench, words: str):
    await said(bench, "transfer 50 EUR to Anna")
    assert "Still waiting for signatures: Transfer 50.00 EUR to Anna." in await said(bench, words)
    assert await states(bench) == [("pending", "waiting")]
    await said(bench, "make it 250 instead")
    assert (await states(bench))[0] == ("superseded", "cancelled"), "it is still talked about"


async def test_of_several_cards_the_named_one_is_taken_back(bench: Bench):
    for recipient in ("Anna", "Bob", "Carla"):
        await said(bench, f"transfer 50 EUR to {recipient}")
    assert "Withdrawn: Transfer 50.00 EUR to Bob." in await said(bench, "cancel the transfer to Bob")
    assert "Withdrawn: Transfer 50.00 EUR to Carla." in await said(bench, "cancel that")
    assert [card["state"] for card in await cards(bench)] == ["pending", "superseded", "superseded"]


async def test_all_of_them_can_be_taken_back_at_once(bench: Bench):
    for recipient in ("Anna", "Bob"):
        await said(bench, f"transfer 50 EUR to {recipient}")
    await said(bench, "cancel everything")
    assert {card["state"] for card in await cards(bench)} == {"superseded"}


async def test_a_doubtful_correction_leaves_the_card_until_a_yes(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    assert "Shall I transfer 250.00 EUR to Anna?" in await said(bench, "should I make it 250?")
    assert await states(bench) == [("pending", "waiting")]
    assert "Still waiting" in await said(bench, "no")
    await said(bench, "should I make it 250?")
    await said(bench, "yes")
    assert await states(bench) == [("superseded", "cancelled"), ("pending", "waiting")]


async def test_a_wish_beside_the_card_leaves_it_alone(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    await said(bench, "also transfer 20 EUR to Bob")
    assert await states(bench) == [("pending", "waiting")] * 2
    await said(bench, "make it 30 instead")
    assert [card["state"] for card in await cards(bench)] == ["pending", "superseded", "pending"]
    assert (await arguments(bench))["recipient"] == "Bob"


async def test_a_question_in_between_does_not_make_it_forgotten(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    await said(bench, "how much did I spend in February?")
    await said(bench, "make it 250 instead")
    assert (await arguments(bench))["amount_minor"] == 25_000
    assert (await states(bench))[0] == ("superseded", "cancelled")


async def test_a_card_that_was_altered_by_hand_stays_and_nothing_replaces_it(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    (card,) = await cards(bench)
    stored = await bench.store.read(TENANT, approval_doc_id(card["approval_id"]))
    body = {**card, "arguments": {**card["arguments"], "amount_minor": 1}}
    await bench.store.commit(TENANT, [stored._replace(body=body)])
    assert "is not what was stored any more" in await said(bench, "make it 250 instead")
    assert [one["state"] for one in await cards(bench)] == ["pending"]


async def test_a_card_that_a_signer_has_edited_makes_way_too(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    (card,) = await cards(bench)
    edited = {**card["arguments"], "amount_minor": 4_000}
    await answer(bench.delivery, card["approval_id"], edited_arguments=edited)
    assert [one["state"] for one in await cards(bench)] == ["modified"]
    await said(bench, "to Bob instead")
    assert [one["state"] for one in await cards(bench)] == ["superseded", "pending"]
    assert ((await arguments(bench))["amount_minor"], (await arguments(bench))["recipient"]) == (5_000, "Bob")
    assert (await cards(bench))[-1]["signatures"] == []


async def test_settings_are_simply_said_anew(bench: Bench):
    await said(bench, "turn off notifications about budgets")
    bench.bus.sent.clear()
    await said(bench, "turn them on again")
    (message,) = bench.bus.sent
    assert orjson.loads(message.body)["command_type"] == "RequestAction"
    found = [one.body["arguments"] for one in (await bench.store.query(TENANT, "action")).documents]
    assert sorted(one["enabled"] for one in found) == [False, True]


async def test_with_the_policy_supersede_the_newer_message_corrects_the_wish_whose_card_it_ended(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    await change_settings(bench.delivery, TENANT, "c-1", principal=ALICE, when_busy="supersede")
    await said(bench, "make it 250 instead")
    assert await states(bench) == [("superseded", "cancelled"), ("pending", "waiting")]
    assert (await arguments(bench))["recipient"] == "Anna"
    await said(bench, "transfer 250 EUR to Anna")
    assert [card["state"] for card in await cards(bench)] == ["superseded", "superseded", "pending"]


async def test_with_the_policy_reject_the_correction_is_refused_and_the_card_waits_on(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    await change_settings(bench.delivery, TENANT, "c-1", principal=ALICE, when_busy="reject")
    with pytest.raises(StateConflictError, match="not done with"):
        await post(bench, "make it 250 instead")
    assert await states(bench) == [("pending", "waiting")]


async def test_money_that_left_without_a_signature_is_not_sent_again_for_a_correction(tmp_path: Path):
    bench = conversation_bench(tmp_path, policy=policy_for_transfers(approval="never"))
    assert "I am doing that now" in await said(bench, "transfer 50 EUR to Anna")
    bench.bus.sent.clear()
    assert "Too late to change that: “Transfer 50.00 EUR to Anna” is on its way" in await said(bench, "make it 250")
    assert "Too late to take that back" in await said(bench, "cancel that")
    assert bench.bus.sent == []
    assert len((await bench.store.query(TENANT, "action")).documents) == 1
    await bench.close()


async def test_a_conversation_from_before_wishes_were_remembered_goes_on(bench: Bench):
    await said(bench, "transfer 50 EUR")
    stored = await bench.store.read(TENANT, "conversation:c-1")
    old = {name: value for name, value in stored.body.items() if name != "wished"}
    old["pending"] = {name: old["pending"][name] for name in ("name", "slots", "missing")}
    await bench.store.commit(TENANT, [stored._replace(body=old)])
    await said(bench, "to Anna")
    assert (await arguments(bench))["recipient"] == "Anna"


async def test_taking_back_and_wishing_anew_in_one_message_is_both(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    told = await said(bench, "Cancel that. Transfer 20 EUR to Tom.")
    assert "Withdrawn: Transfer 50.00 EUR to Anna." in told
    assert [(card["state"], card["arguments"]["recipient"]) for card in await cards(bench)] == [
        ("superseded", "Anna"), ("pending", "Tom"),
    ]  # fmt: skip


async def test_what_waits_and_what_became_of_it_can_be_asked(bench: Bench):
    assert "Nothing of this conversation waits" in await said(bench, "list my approvals")
    await said(bench, "transfer 50 EUR to Anna")
    assert "waits for somebody other than you with the role reviewer" in await said(bench, "who has to sign?")
    await signed(bench)
    assert "“Transfer 50.00 EUR to Anna” is signed and on its way." in await said(bench, "is it done?")


async def test_a_corrected_wish_that_policy_denies_still_ends_the_old_card(bench: Bench):
    await said(bench, "transfer 50 EUR to Anna")
    told = await said(bench, "make it 50000 instead")
    assert "The earlier card (Transfer 50.00 EUR to Anna) no longer counts." in told
    assert "that is not allowed" in told
    assert await states(bench) == [("superseded", "cancelled")]
