"""A turn that is heard while it is made: words first, the stored events after them, and the lane when it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.event_waiter import SqliteEventWaiter
from shared.adapters.embedded.language_model import Says, ScriptedLanguageModel, Turn
from shared.delivery.outbox import relay_stragglers
from shared.errors import IdempotencyMismatchError, RetryableError
from shared.flows import live_turn as module
from shared.flows.live_turn import live_turn
from tests.bench import Bench
from tests.unit.flows.conversation_bench import (
    ALICE,
    ID,
    TENANT,
    conversation,
    conversation_bench,
    deliver,
    events,
    post,
    replies,
    statuses,
)


@dataclass
class Listener:
    words: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    async def said(self, words: str) -> None:
        self.words.append(words)

    async def happened(self, event: dict[str, Any]) -> None:
        self.events.append(event)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = conversation_bench(tmp_path)
    yield made
    await made.close()


async def until(look: Callable[[], Any]) -> None:
    for _ in range(1_000):
        if look():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


async def live(bench: Bench, text: str, tmp_path: Path, *, key: str = "") -> tuple[dict[str, Any], Listener]:
    heard, waiter = Listener(), SqliteEventWaiter(bench.store, tmp_path / "store.db")
    try:
        answer = await live_turn(
            bench.delivery, waiter=waiter, principal=ALICE, roles=["member"], tenant=TENANT, conversation_id=ID,
            message=text, client_message_id=key, said=heard.said, happened=heard.happened,
        )  # fmt: skip
    finally:
        await waiter.close()
    return answer, heard


async def test_the_words_and_the_events_are_those_that_are_stored(bench: Bench, tmp_path: Path):
    answer, heard = await live(bench, "help", tmp_path)
    assert "".join(heard.words) == answer["text"] == (await replies(bench))[-1]
    assert heard.events == await events(bench)
    assert (answer["status"], answer["approvals"]) == ("answered", [])
    assert bench.bus.sent == [], "the lane has nothing to do"
    bench.clock.forward(hours=1)
    assert await relay_stragglers(bench.delivery) == 0


async def test_a_card_is_told_with_the_answer(bench: Bench, tmp_path: Path):
    answer, heard = await live(bench, "transfer 50 EUR to Anna", tmp_path)
    (interrupt,) = answer["approvals"]
    assert interrupt["id"] == (await conversation(bench))["open_approvals"][0]
    assert heard.events[-1]["outcome"]["interrupts"] == [interrupt]


async def test_a_models_words_come_before_the_commit(tmp_path: Path):
    says = Says({"reply": "one two three", "response_summary": "s", "outcome_code": "answered"}, word_seconds=0.02)
    bench = conversation_bench(tmp_path, model=ScriptedLanguageModel([Turn("hello", says)]))
    heard, waiter = Listener(), SqliteEventWaiter(bench.store, tmp_path / "store.db")
    turn = asyncio.create_task(
        live_turn(
            bench.delivery, waiter=waiter, principal=ALICE, roles=["member"], tenant=TENANT, conversation_id=ID,
            message="hello", said=heard.said, happened=heard.happened,
        )
    )  # fmt: skip
    await until(lambda: heard.words)
    assert await replies(bench) == []
    assert (await turn)["text"] == "one two three"
    assert "".join(heard.words) == "one two three"
    await waiter.close()
    await bench.close()


async def test_when_another_turn_goes_first_the_lane_answers_and_the_listener_hears_it(bench: Bench, tmp_path: Path):
    await post(bench, "goodbye")
    turn = asyncio.create_task(live(bench, "help", tmp_path))
    await until(lambda: len(bench.bus.sent) == 2)
    await deliver(bench)
    answer, heard = await turn
    assert answer["text"] == (await replies(bench))[1] == "".join(heard.words)
    mine = [one["runId"] for one in heard.events if one["type"] == "RUN_STARTED"]
    assert mine == [answer["run_id"]], "another turn's run is not told"


async def test_when_the_process_dies_the_lane_finishes_the_turn(bench: Bench, tmp_path: Path, monkeypatch: Any):
    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(module, "handle_command", dies)
    with pytest.raises(asyncio.CancelledError):
        await live(bench, "help", tmp_path)
    assert bench.bus.sent == []
    bench.clock.forward(seconds=85)
    assert await relay_stragglers(bench.delivery) == 1
    assert await deliver(bench) == ["committed"]
    assert await statuses(bench) == ["answered"]


async def test_what_fails_here_is_the_lanes_at_once(bench: Bench, tmp_path: Path, monkeypatch: Any):
    async def fails(*_: Any) -> str:
        raise RetryableError("not here")

    monkeypatch.setattr(module, "handle_command", fails)
    turn = asyncio.create_task(live(bench, "help", tmp_path))
    await until(lambda: bench.bus.sent)
    await deliver(bench)
    assert (await turn)[0]["status"] == "answered"


async def test_an_answer_that_does_not_come_is_late_not_lost(bench: Bench, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.1)
    await post(bench, "goodbye")
    with pytest.raises(RetryableError) as late:
        await live(bench, "help", tmp_path)
    assert late.value.code == "turn_late"
    await deliver(bench)
    assert await statuses(bench) == ["answered", "answered"]


async def test_a_resend_hears_the_same_answer_and_does_nothing(bench: Bench, tmp_path: Path):
    first, _ = await live(bench, "transfer 50 EUR to Anna", tmp_path, key="m-1")
    again, heard = await live(bench, "transfer 50 EUR to Anna", tmp_path, key="m-1")
    assert again == first
    assert "".join(heard.words) == first["text"]
    assert len((await bench.store.query(TENANT, "action")).documents) == 1
    with pytest.raises(IdempotencyMismatchError):
        await live(bench, "transfer 60 EUR to Anna", tmp_path, key="m-1")


async def test_a_lost_race_tells_no_word_twice(bench: Bench, tmp_path: Path, monkeypatch: Any):
    """Somebody else's commit makes the turn be decided again after its words were said."""
    original = bench.store.commit
    lost = []

    async def commit(partition: str, writes: Any, **more: Any) -> Any:
        stored = [one for one in writes if one.kind == "message" and one.body["role"] == "user" and one.etag]
        if stored and not lost:
            lost.append(stored[0])
            await original(partition, [stored[0]._replace(body={**stored[0].body, "user_note": "moved"})])
        return await original(partition, writes, **more)

    monkeypatch.setattr(bench.store, "commit", commit)
    answer, heard = await live(bench, "help", tmp_path)
    assert lost
    assert "".join(heard.words) == answer["text"]
    steps = [(one["type"], one.get("stepName")) for one in heard.events if one["type"].startswith("STEP_")]
    assert len(steps) == len(set(steps))


async def test_a_failed_turn_says_so(bench: Bench, tmp_path: Path, monkeypatch: Any):
    flow = bench.delivery.flows["AgentMessagePosted"]

    async def broken(*_: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setattr(type(flow), "_draft", broken)
    turn = asyncio.create_task(live(bench, "help", tmp_path))
    await until(lambda: bench.bus.sent)
    await deliver(bench)
    answer, heard = await turn
    assert answer["status"] == "failed"
    assert "a person will look into it" in answer["text"]
    assert heard.events[-1]["type"] == "RUN_ERROR"
