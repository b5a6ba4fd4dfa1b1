"""A conversation's order is the store's: whatever overtakes whatever on the lane, each message is answered in its turn,
once, and no wake-up is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.delivery.dead_letters import park_dead_letter
from shared.delivery.inbox import handle_once
from shared.delivery.outbox import relay_stragglers
from shared.delivery.retry import MAX_ATTEMPTS
from shared.errors import RetryableError, TerminalError
from shared.flows.conversations import change_settings
from shared.ports.command_bus import OutgoingMessage
from tests.bench import Bench
from tests.unit.flows.conversation_bench import (
    ALICE,
    conversation,
    conversation_bench,
    deliver,
    events,
    incoming,
    messages,
    post,
    statuses,
)


@dataclass
class Trouble:
    """An advisor for everything, which fails as often as a test says, per turn's text."""

    failures: dict[str, int] = field(default_factory=dict)
    terminal: set[str] = field(default_factory=set)


def troubled(bench: Bench, trouble: Trouble) -> None:
    """Lets the flow fail before it answers messages whose text the trouble names."""
    flow = bench.delivery.flows["AgentMessagePosted"]

    class Failing:
        needs, when_parked = flow.needs, flow.when_parked

        async def handle(self, work: Any) -> Any:
            outcome = await flow.handle(work)
            text = next(one for one in outcome.writes if one.body.get("role") == "user").body["text"]
            if text in trouble.terminal:
                raise TerminalError("broken", "this message cannot be answered")
            if trouble.failures.get(text, 0) > 0:
                trouble.failures[text] -= 1
                raise RetryableError("not now")
            return outcome

    object.__setattr__(bench.delivery, "flows", {**bench.delivery.flows, "AgentMessagePosted": Failing()})


async def answered_in_order(bench: Bench) -> None:
    told = await messages(bench)
    replies = [one["turn"] for one in told if one["role"] == "assistant"]
    assert replies == [one["turn"] for one in told if one["role"] == "user" and one["status"] == "answered"]
    runs = [one["runId"] for one in await events(bench) if one["type"] == "RUN_STARTED"]
    asked = {one["run_id"]: one["turn"] for one in told if one["role"] == "user"}
    assert [asked[run_id] for run_id in runs] == sorted(asked[run_id] for run_id in runs)
    assert len(runs) == len(set(runs))
    body = await conversation(bench)
    assert body["queue"] == []


def in_a_folder(test: Callable[[Bench], Awaitable[None]]) -> None:
    """Hypothesis runs many examples within one test: each has a store of its own."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            bench = conversation_bench(Path(folder), advisors={})
            try:
                await test(bench)
            finally:
                await bench.close()

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_interleaving_of_posts_retries_and_redeliveries_answers_in_order(data: st.DataObject):
    count = data.draw(st.integers(1, 5), label="messages")
    failures = data.draw(st.dictionaries(st.sampled_from([f"help {n}" for n in range(count)]), st.integers(1, 3)))
    unsent = data.draw(st.sets(st.integers(0, count - 1)), label="posts while the bus is down")

    async def test(bench: Bench) -> None:
        troubled(bench, Trouble(dict(failures)))
        lane: list[OutgoingMessage] = []
        to_post = list(range(count))
        for _ in range(400):
            lane += bench.bus.sent
            bench.bus.sent.clear()
            if not lane and not to_post:
                bench.clock.forward(seconds=60)
                if not await relay_stragglers(bench.delivery):
                    break
                continue
            if to_post and (not lane or data.draw(st.booleans(), label="post next")):
                number = to_post.pop(0)
                bench.bus.down = number in unsent
                await post(bench, f"help {number}", key=f"m-{number}")
                bench.bus.down = False
                continue
            chosen = lane.pop(data.draw(st.integers(0, len(lane) - 1), label="delivered"))
            if data.draw(st.integers(0, 9), label="twice") == 0:
                await handle_once(bench.delivery, incoming(chosen))
            await handle_once(bench.delivery, incoming(chosen))
        assert await statuses(bench) == ["answered"] * count
        await answered_in_order(bench)

    in_a_folder(test)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_superseding_at_any_moment_leaves_nothing_half_done(data: st.DataObject):
    count = data.draw(st.integers(2, 6), label="messages")

    async def test(bench: Bench) -> None:
        lane: list[OutgoingMessage] = []
        for number in range(count):
            if number:
                when_busy = data.draw(st.sampled_from(["enqueue", "supersede"]))
                await change_settings(bench.delivery, "household", "c-1", principal=ALICE, when_busy=when_busy)
            await post(bench, f"help {number}", key=f"m-{number}")
            lane += bench.bus.sent
            bench.bus.sent.clear()
            for _ in range(data.draw(st.integers(0, 3), label="deliveries")):
                if lane:
                    chosen = lane.pop(data.draw(st.integers(0, len(lane) - 1)))
                    await handle_once(bench.delivery, incoming(chosen))
                    lane += bench.bus.sent
                    bench.bus.sent.clear()
        bench.bus.sent[:] = lane
        await deliver(bench)
        told = await statuses(bench)
        assert set(told) <= {"answered", "superseded"}
        assert told[-1] == "answered"
        body = await conversation(bench)
        assert (body["queue"], body["next_turn"]) == ([], count + 1)
        runs = list((await bench.store.query("household", "run")).documents)
        assert {one.body["status"] for one in runs} <= {"Completed", "Cancelled"}
        replies = [one["turn"] for one in await messages(bench) if one["role"] == "assistant"]
        assert replies == [turn for turn, status in enumerate(told, 1) if status == "answered"]

    in_a_folder(test)


async def test_a_post_that_races_the_end_of_a_turn_is_woken(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """While the first turn's commit is on its way, a second message is posted, and comes too early."""
    await post(bench, "help 1")
    first = bench.bus.sent.pop()
    original, raced = bench.store.commit, []

    async def commit(partition: str, writes: Any, **more: Any) -> Any:
        if not raced and any(one.kind == "message" and one.body["role"] == "assistant" for one in writes):
            raced.append("posted")
            await post(bench, "help 2")
            raced.append(await handle_once(bench.delivery, incoming(bench.bus.sent.pop())))
        return await original(partition, writes, **more)

    monkeypatch.setattr(bench.store, "commit", commit)
    assert await handle_once(bench.delivery, incoming(first)) == "committed"
    assert raced == ["posted", "early"]
    assert await deliver(bench) == ["committed"]
    await answered_in_order(bench)


@pytest.fixture
async def bench(tmp_path: Path):
    made = conversation_bench(tmp_path, advisors={})
    yield made
    await made.close()


async def test_an_early_message_is_done_with_and_woken_when_its_turn_comes(bench: Bench):
    await post(bench, "help 1")
    await post(bench, "help 2")
    first, second = bench.bus.sent
    bench.bus.sent.clear()
    assert await handle_once(bench.delivery, incoming(second)) == "early"
    assert bench.bus.sent == []
    assert await handle_once(bench.delivery, incoming(first)) == "committed"
    woken = bench.bus.sent.pop()
    assert orjson.loads(woken.body) == orjson.loads(second.body)
    assert woken.message_id != second.message_id, "duplicate detection must not eat the wake-up"
    assert woken.session_id == second.session_id
    assert await handle_once(bench.delivery, incoming(woken)) == "committed"
    await answered_in_order(bench)


async def test_the_wake_up_survives_a_bus_that_is_down(bench: Bench):
    await post(bench, "help 1")
    await post(bench, "help 2")
    first, second = bench.bus.sent
    bench.bus.sent.clear()
    await handle_once(bench.delivery, incoming(second))
    bench.bus.down = True
    await handle_once(bench.delivery, incoming(first))
    bench.bus.down = False
    bench.clock.forward(minutes=1)
    assert await relay_stragglers(bench.delivery) == 1
    assert await deliver(bench) == ["committed"]
    await answered_in_order(bench)


async def test_a_parked_message_says_so_and_lets_the_next_one_have_its_turn(bench: Bench):
    troubled(bench, Trouble(terminal={"help 1"}))
    await post(bench, "help 1")
    await post(bench, "help 2")
    first, second = bench.bus.sent
    bench.bus.sent.clear()
    assert await handle_once(bench.delivery, incoming(second)) == "early"
    assert await handle_once(bench.delivery, incoming(first)) == "parked"
    assert await deliver(bench) == ["committed"]
    assert await statuses(bench) == ["failed", "answered"]
    notice = next(one for one in await messages(bench) if one["role"] == "notice")
    assert "a person will look into it" in notice["text"]
    assert [one["code"] for one in await events(bench) if one["type"] == "RUN_ERROR"] == ["broken"]
    assert (await conversation(bench))["queue"] == []


async def test_a_message_that_fails_too_often_is_parked_and_the_next_is_woken(bench: Bench):
    troubled(bench, Trouble({"help 1": 100}))
    await post(bench, "help 1")
    await post(bench, "help 2")
    outcomes = await deliver(bench)
    assert outcomes.count("retried") == MAX_ATTEMPTS - 1
    assert outcomes[-2:] == ["parked", "committed"]
    assert await statuses(bench) == ["failed", "answered"]


async def test_a_later_message_that_the_platform_gave_up_is_passed_over(bench: Bench):
    for number in (1, 2, 3):
        await post(bench, f"help {number}")
    first, second, third = bench.bus.sent
    bench.bus.sent.clear()
    await park_dead_letter(bench.delivery, incoming(second), reason="too many deliveries")
    assert await statuses(bench) == ["queued", "failed", "queued"]
    assert await handle_once(bench.delivery, incoming(third)) == "early"
    assert await handle_once(bench.delivery, incoming(first)) == "committed"
    assert await deliver(bench) == ["committed"]
    assert await statuses(bench) == ["answered", "failed", "answered"]


async def test_a_replayed_message_is_answered_late_without_disturbing_the_order(bench: Bench):
    from shared.contracts.commands import ResolveParkedEnvelope, envelope
    from shared.delivery.inbox import execute

    trouble = Trouble(terminal={"help 1"})
    troubled(bench, trouble)
    posted = await post(bench, "help 1")
    await post(bench, "help 2")
    await deliver(bench)
    trouble.terminal.clear()
    command = envelope(
        "ResolveParked",
        {"parked_id": posted.answer["command_id"], "resolution": "replay", "operator": "dev:omar", "note": ""},
        command_id="replay-1", tenant="household", source="http", issued_at=bench.clock(),
    )  # fmt: skip
    await execute(bench.delivery, ResolveParkedEnvelope.model_validate(command), fingerprint="f")
    assert await deliver(bench) == ["committed"]
    assert await statuses(bench) == ["answered", "answered"]
    assert (await conversation(bench))["queue"] == []


async def test_a_forged_wake_up_answers_nothing(bench: Bench):
    await post(bench, "help 1")
    await deliver(bench)
    body = orjson.loads((await conversation_message(bench)).body)
    forged = body | {"command_id": "forged", "payload": body["payload"] | {"turn": 1}}
    message = OutgoingMessage("runtime-agent-message-posted", orjson.dumps(forged), "x", session_id="household:c-1")
    assert await handle_once(bench.delivery, incoming(message)) == "parked"
    assert len([one for one in await messages(bench) if one["role"] == "assistant"]) == 1


async def conversation_message(bench: Bench) -> OutgoingMessage:
    await post(bench, "help again")
    return bench.bus.sent.pop()
