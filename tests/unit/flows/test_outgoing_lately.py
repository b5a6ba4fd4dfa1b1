"""Several small transfers: together they are one large one, whoever asks, in whatever conversation, at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.counters import CountingStore
from shared.actions.life_cycle import moved
from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.instants import text
from shared.delivery.inbox import handle_once
from shared.delivery.one_commit import commit
from shared.errors import ConflictError
from shared.flows.answer_approval import AnswerApprovalFlow
from tests.bench import Bench
from tests.unit.approvals import bench as cards
from tests.unit.flows.conversation_bench import (
    TENANT,
    action_policy,
    conversation_bench,
    deliver,
    incoming,
    post,
    replies,
)

LIMIT = 1_000
"""Euros above which two people sign, by the policy that ships."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = conversation_bench(tmp_path)
    made.delivery.flows["AnswerApproval"] = AnswerApprovalFlow(action_policy())  # type: ignore[index]
    yield made
    await made.close()


async def asked(bench: Bench, *amounts: int, by: str = "dev:alice", into: str = "c-1", currency: str = "EUR") -> None:
    for amount in amounts:
        await post(bench, f"transfer {amount} {currency} to Anna", by=by, into=into)
        await deliver(bench)


async def quorums(bench: Bench) -> list[int]:
    """Of the cards, in the order asked."""
    page = await bench.store.query(TENANT, "approval", limit=50)
    return [one.body["quorum"] for one in page.documents]


async def newest(bench: Bench, kind: str) -> dict[str, Any]:
    page = await bench.store.query(TENANT, kind, limit=1, descending=True)
    return page.documents[0].body


async def test_the_transfer_that_brings_the_day_above_the_limit_takes_two_and_its_card_says_why(bench: Bench):
    await asked(bench, 400, 600)
    assert await quorums(bench) == [1, 1], "exactly the limit is not above it"
    await asked(bench, 1)
    assert await quorums(bench) == [1, 1, 2]
    action, card = await newest(bench, "action"), await newest(bench, "approval")
    assert (action["reason_codes"][-1], action["lately"]) == ("several_together", {"EUR": 100_000})
    assert any(one.startswith("1,000.00 EUR was asked for shortly before this") for one in card["card"]["evidence"])
    assert "2 people" in (await replies(bench))[-1]


async def test_it_is_the_tenants_day_not_one_persons_or_one_conversations(bench: Bench):
    await asked(bench, 900)
    await asked(bench, 900, by="dev:bob", into="c-2")
    assert await quorums(bench) == [1, 2]


async def test_after_a_day_it_counts_no_more(bench: Bench):
    await asked(bench, 900)
    bench.clock.forward(hours=23)
    await asked(bench, 900, into="c-2")
    bench.clock.forward(hours=1, minutes=1)
    await asked(bench, 50, into="c-3")
    bench.clock.forward(hours=23)
    await asked(bench, 900, into="c-4")
    assert await quorums(bench) == [1, 2, 1, 1]


async def test_several_currencies_count_as_parts_of_their_limits(bench: Bench):
    await asked(bench, 600)
    await asked(bench, 400, currency="GBP", into="c-2")  # half of its limit
    assert await quorums(bench) == [1, 2]


@pytest.mark.parametrize("state", ["cancelled", "denied", "waiting"])
async def test_what_came_to_nothing_leaves_room_for_others(bench: Bench, state: str):
    await asked(bench, 900)
    (stored,) = (await bench.store.query(TENANT, "action")).documents
    if state != "waiting":
        over = moved(stored, "requested", at=text(bench.clock()))
        await _written(bench, moved(over, state, at=text(bench.clock()))._replace(etag=stored.etag))
    await asked(bench, 900, into="c-2")
    assert await quorums(bench) == [1, 2 if state == "waiting" else 1]


async def test_a_wish_that_policy_denies_does_not_count(bench: Bench):
    await asked(bench, 20_000, 900)
    assert await quorums(bench) == [1]
    assert [one["action_id"] for one in (await newest(bench, "outgoing"))["asked"]] == [
        (await newest(bench, "action"))["action_id"]
    ]


async def test_two_in_one_message_count_together(bench: Bench):
    await post(bench, "transfer 600 EUR to Anna and transfer 600 EUR to Ben")
    await deliver(bench)
    found = await quorums(bench)
    assert sorted(found) == [1, 2], (await replies(bench))[-1]


async def test_two_at_the_same_moment_are_judged_one_after_the_other(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await post(bench, "transfer 900 EUR to Anna")
    await post(bench, "transfer 900 EUR to Ben", by="dev:bob", into="c-2")
    messages = [one for one in bench.bus.sent if orjson.loads(one.body)["command_type"] == "AgentMessagePosted"]
    store = bench.store
    commit_, lost = store.commit, []

    async def late(partition: str, writes: Any, **more: Any) -> dict[str, str]:
        """Everybody has read before anybody writes."""
        await asyncio.sleep(0.01)
        try:
            return await commit_(partition, writes, **more)
        except ConflictError as conflict:
            lost.extend(conflict.lost)
            raise

    monkeypatch.setattr(store, "commit", late)
    outcomes = await asyncio.gather(*(handle_once(bench.delivery, incoming(one)) for one in messages))
    assert outcomes == ["committed", "committed"]
    assert "outgoing:transfer_funds" in lost
    assert sorted(await quorums(bench)) == [1, 2]


async def test_an_edit_counts_with_its_new_amount(bench: Bench):
    await asked(bench, 100)
    card = await newest(bench, "approval")
    edit = {**card["arguments"], "amount_minor": 95_000}
    await cards.answer(bench.delivery, card["approval_id"], "rita", edited_arguments=edit, tenant=TENANT)
    await asked(bench, 60, into="c-2")
    assert await quorums(bench) == [2, 2]
    assert (await newest(bench, "action"))["lately"] == {"EUR": 95_000}


async def test_a_card_that_makes_way_for_another_amount_does_not_count_with_it(bench: Bench):
    await asked(bench, 900)
    await post(bench, "make it 800 instead")
    await deliver(bench)
    assert (await quorums(bench), (await newest(bench, "action"))["lately"]) == ([1, 1], {})


async def test_what_it_costs(bench: Bench):
    """A question costs nothing more; a first transfer one read, a further one another; and a document of the commit."""
    store = CountingStore(bench.store)
    object.__setattr__(bench.delivery, "store", store)
    found = []
    for text_ in ("how much did I spend on groceries?", "transfer 5 EUR to Anna", "transfer 6 EUR to Anna"):
        await post(bench, text_)
        store.reset()
        await deliver(bench)
        reads = store.calls["read"], store.calls["read_many"]
        found.append((*reads, sum("outgoing" in kinds for kinds in store.commits)))
    question, first, second = found
    assert (question[2], first[2], second[2]) == (0, 1, 1)
    assert (first[0], second[0]) == (question[0] + 1, question[0] + 1)
    assert second[1] == first[1] + 1


async def _written(bench: Bench, document: Any) -> None:
    head = await bench.store.read(TENANT, HEAD_ID)
    entry = Entry("bench_written", {"kind": "test", "id": "bench"}, {"document": document.id}, {})
    await commit(bench.delivery, TENANT, [document], [entry], head=head)
