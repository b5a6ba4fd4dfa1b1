"""Posting: accepted once, numbered without a gap, and what happens while the conversation is busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from shared.audit.verification import verify
from shared.delivery.inbox import handle_once
from shared.errors import IdempotencyMismatchError, NotFoundError, StateConflictError
from shared.flows.conversations import change_settings
from tests.bench import Bench
from tests.unit.flows.conversation_bench import (
    ALICE,
    ID,
    TENANT,
    conversation,
    conversation_bench,
    deliver,
    events,
    incoming,
    messages,
    post,
    replies,
    statuses,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = conversation_bench(tmp_path)
    yield made
    await made.close()


async def busy(bench: Bench, when_busy: str) -> None:
    await change_settings(bench.delivery, TENANT, ID, principal=ALICE, when_busy=when_busy)


async def test_an_equal_resend_gets_the_first_answer_and_is_answered_once(bench: Bench):
    first = await post(bench, "help", key="m-1")
    assert await deliver(bench) == ["committed"]
    assert (await post(bench, "help", key="m-1")).answer == first.answer
    assert await deliver(bench) == []
    assert len(await replies(bench)) == 1


async def test_another_text_under_the_same_id_is_refused(bench: Bench):
    await post(bench, "help", key="m-1")
    with pytest.raises(IdempotencyMismatchError):
        await post(bench, "goodbye", key="m-1")
    with pytest.raises(IdempotencyMismatchError):
        await post(bench, "help", key="m-1", note="another note")


async def test_without_an_id_every_post_is_a_new_message(bench: Bench):
    first, second = await post(bench, "help"), await post(bench, "help")
    assert first.answer["command_id"] != second.answer["command_id"]
    assert [first.answer["turn"], second.answer["turn"]] == [1, 2]


async def test_posts_of_one_moment_are_numbered_without_a_gap(bench: Bench):
    posted = await asyncio.gather(*(post(bench, "help", key=f"m-{number}") for number in range(12)))
    assert sorted(one.answer["turn"] for one in posted) == list(range(1, 13))
    await deliver(bench)
    assert await statuses(bench) == ["answered"] * 12


async def test_one_resend_in_the_same_moment_is_one_message(bench: Bench):
    posted = await asyncio.gather(*(post(bench, "help", key="m-1") for _ in range(8)))
    assert len({one.answer["command_id"] for one in posted}) == 1
    assert len(await messages(bench)) == 1


async def test_a_conversation_is_its_owners(bench: Bench):
    await post(bench, "help")
    with pytest.raises(NotFoundError):
        await post(bench, "help", by="dev:bob")
    with pytest.raises(NotFoundError):
        await change_settings(bench.delivery, TENANT, ID, principal="dev:bob", when_busy="reject")


async def test_the_correlation_id_names_tenant_conversation_and_command(bench: Bench):
    answer = (await post(bench, "help")).answer
    assert answer["correlation_id"] == f"agent:{TENANT}:{ID}:{answer['command_id']}"
    assert answer["policy_disposition"] == "approval_required"
    assert answer["queue"] == "runtime-agent-message-posted"


async def test_a_full_conversation_takes_no_more(bench: Bench):
    for number in range(20):
        await post(bench, f"help {number}")
    with pytest.raises(StateConflictError) as refused:
        await post(bench, "one more")
    assert refused.value.code == "conversation_full"
    assert await deliver(bench)
    assert (await post(bench, "now there is room")).answer["turn"] == 21


async def test_a_conversation_that_rejects_takes_one_message_at_a_time(bench: Bench):
    await post(bench, "help")
    await busy(bench, "reject")
    with pytest.raises(StateConflictError) as refused:
        await post(bench, "goodbye")
    assert refused.value.code == "conversation_busy"
    await deliver(bench)
    assert (await post(bench, "goodbye")).answer["turn"] == 2


async def test_an_open_card_keeps_a_conversation_that_rejects_busy(bench: Bench):
    await post(bench, "request a payment of 5 EUR from Bob")
    await post(bench, "transfer 50 EUR to Anna")
    await deliver(bench)
    assert len((await conversation(bench))["open_approvals"]) == 1
    await busy(bench, "reject")
    with pytest.raises(StateConflictError):
        await post(bench, "goodbye")


async def test_a_newer_message_supersedes_what_waits(bench: Bench):
    old = [await post(bench, text) for text in ("help", "goodbye")]
    await busy(bench, "supersede")
    new = await post(bench, "help")
    assert await statuses(bench) == ["superseded", "superseded", "queued"]
    assert await deliver(bench) == ["duplicate", "duplicate", "committed"]
    assert await statuses(bench) == ["superseded", "superseded", "answered"]
    assert len(await replies(bench)) == 1
    assert (await conversation(bench))["queue"] == []
    assert new.answer["turn"] == 3
    told = [one for one in await events(bench) if one["type"] == "RUN_ERROR"]
    assert [one["code"] for one in told] == ["superseded"] * len(old)


async def test_a_newer_message_supersedes_the_open_card_on_the_record(bench: Bench):
    await post(bench, "transfer 50 EUR to Anna")
    await deliver(bench)
    card_id = (await conversation(bench))["open_approvals"][0]
    await busy(bench, "supersede")
    await post(bench, "help")
    documents = await bench.store.read_many(TENANT, [f"approval:{card_id}", f"action:{card_id}"])
    card, action = documents[f"approval:{card_id}"], documents[f"action:{card_id}"]
    assert (card.body["state"], card.due_at) == ("superseded", "")
    assert (action.body["state"], action.body["code"]) == ("cancelled", "approval_superseded")
    assert (await conversation(bench))["open_approvals"] == []
    (notice,) = [one for one in await messages(bench) if one["role"] == "notice"]
    assert notice["text"].startswith("Transfer 50.00 EUR to Anna: called off, because you wrote again")
    words = [event.get("delta", "") for event in await events(bench)]
    assert notice["text"] in words
    page = await bench.store.query(TENANT, "audit", limit=50)
    whats = [one.body["what"] for one in page.documents]
    assert {"approval_superseded", "action_cancelled"} <= set(whats)
    checked = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert not checked.problem


async def test_a_card_that_was_altered_by_hand_is_left_for_people_to_find(bench: Bench):
    await post(bench, "transfer 50 EUR to Anna")
    await deliver(bench)
    card_id = (await conversation(bench))["open_approvals"][0]
    stored = await bench.store.read(TENANT, f"approval:{card_id}")
    assert stored is not None
    await bench.store.commit(TENANT, [stored._replace(body={**stored.body, "quorum": 0})])
    await busy(bench, "supersede")
    await post(bench, "help")
    after = await bench.store.read(TENANT, f"approval:{card_id}")
    assert after is not None
    assert after.body["state"] == "pending"


async def test_what_is_superseded_while_it_is_worked_is_not_answered(bench: Bench):
    """The newer message commits between the reading of the older one and its commit."""
    await post(bench, "help")
    await busy(bench, "supersede")
    flow = bench.delivery.flows["AgentMessagePosted"]
    original = type(flow).handle

    async def handled(work):
        outcome = await original(flow, work)
        if work.command.payload.turn == 1:
            await post(bench, "goodbye")
        return outcome

    class Slow:
        needs, when_parked, handle = flow.needs, flow.when_parked, staticmethod(handled)

    object.__setattr__(bench.delivery, "flows", {**bench.delivery.flows, "AgentMessagePosted": Slow()})
    first = bench.bus.sent.pop(0)
    assert await handle_once(bench.delivery, incoming(first)) == "duplicate"
    assert await deliver(bench) == ["committed"]
    assert await statuses(bench) == ["superseded", "answered"]


async def test_a_superseded_run_is_cancelled_with_its_reason(bench: Bench):
    old = await post(bench, "help")
    await busy(bench, "supersede")
    await post(bench, "goodbye")
    page = await bench.store.query(TENANT, "run", key=("subject", ID))
    told = {one.body["command_id"]: one.body for one in page.documents}[old.answer["command_id"]]
    assert (told["status"], told["failure_code"]) == ("Cancelled", "superseded")


async def test_a_posted_message_is_on_the_record_without_its_words(bench: Bench):
    await post(bench, "my secret is 4711", note="keep this")
    page = await bench.store.query(TENANT, "audit", limit=5)
    assert page.documents[0].body["what"] == "message_posted"
    assert b"4711" not in orjson.dumps(page.documents[0].body)
    assert (await messages(bench))[0]["user_note"] == "keep this"
