"""The AG-UI endpoint: every stream is judged by the protocol's own shapes and by its rules of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import Event, RunAgentInput
from pydantic import TypeAdapter

from functions import stream_turn
from functions.stream_run import ClientRun
from shared import bootstrap
from shared.approvals.card import approval_doc_id
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.errors import StateConflictError
from shared.ports.document_store import Body
from tests.functions.conftest import App
from tests.functions.stream_bench import ANSWER, call, scripted, settled
from tests.unit.approvals.bench import ask

SHAPES = TypeAdapter(Event)


@pytest.fixture
async def turn(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    at = "2026-03-01T12:00:00.000000Z"
    kept = talk.conversation("home", "t-1", owner="dev:alice", at=at, when_busy="enqueue")
    await bootstrap.delivery().store.commit("home", [kept])
    yield scripted(monkeypatch)
    await settled()


async def card_asked_for(number: int = 0) -> Body:
    """A card that is open in the conversation."""
    delivery = bootstrap.delivery()
    id_ = await ask(delivery, number=number, tenant="home", requester="dev:alice", conversation="t-1")
    stored = await delivery.store.read("home", approval_doc_id(id_))
    assert stored is not None
    return stored.body


def wanted(*said: str, **changes: Any) -> dict[str, Any]:
    messages = [{"id": f"u-{n}", "role": "user", "content": text} for n, text in enumerate(said)]
    return {"threadId": "t-1", "runId": "their-run", "messages": messages, "tools": [], "context": [], "state": {}, "forwardedProps": {}} | changes  # noqa: E501  # fmt: skip


def judged(events: list[dict[str, Any]], *, thread: str = "t-1") -> list[dict[str, Any]]:
    """The events, which a client of the protocol accepts."""
    texts: dict[str, bool] = {}
    steps: set[str] = set()
    for number, event in enumerate(events):
        SHAPES.validate_python(event)
        assert (event["type"] == "RUN_STARTED") == (number == 0), event
        assert (event["type"] in ("RUN_FINISHED", "RUN_ERROR")) == (number == len(events) - 1), event
        message = event.get("messageId")
        match event["type"]:
            case "TEXT_MESSAGE_START":
                assert message not in texts
                texts[message] = True
            case "TEXT_MESSAGE_CONTENT":
                assert texts[message]
                assert event["delta"]
            case "TEXT_MESSAGE_END":
                assert texts[message]
                texts[message] = False
            case "STEP_STARTED":
                assert event["stepName"] not in steps
                steps.add(event["stepName"])
            case "STEP_FINISHED":
                steps.remove(event["stepName"])
            case "RUN_FINISHED":
                assert not any(texts.values())
                assert not steps
                assert (event["threadId"], event["runId"]) == (thread, "their-run")
    return events


async def told(**changes: Any) -> list[dict[str, Any]]:
    reply = await call("post_agui", wanted("hi", **changes))
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    return judged([frame.data for frame in await reply.frames() if frame.data])


def words_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")


def stored(*pieces: str) -> list[dict[str, Any]]:
    return [
        stream.run_started("t-1", "our-run"),
        stream.step_started("plan"),
        stream.step_finished("plan"),
        *stream.text("m-1", pieces),
        stream.run_finished("t-1", "our-run"),
    ]


def script(words: tuple[str, ...], events: list[dict[str, Any]], answer: dict[str, Any] | None = None) -> Any:
    async def run(said: Any, happened: Any) -> dict[str, Any]:
        for event in events[:3]:
            await happened(event)
        for word in words:
            await said(word)
        for event in events[3:]:
            await happened(event)
        return answer or ANSWER

    return run


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("Hello ", "there."), ("Hello ", "there.")),
        (("Hello ", "there."), ("Hello there.",)),
        ((), ("Hello ", "there.")),
        (("Hello ",), ("Hello ", "there.")),
        (("Hello ", "there."), None),
        ((), None),
    ],
    ids=["both", "in other pieces", "stored only", "said in part", "said only", "a resend: neither"],
)
async def test_the_text_is_told_once_however_it_comes(turn: Any, words: Any, pieces: Any):
    turn(script(words, stored(*pieces) if pieces else []))
    events = await told()
    assert words_of(events) == "Hello there."
    assert [event["type"] for event in events].count("TEXT_MESSAGE_START") == 1
    assert events[-1]["outcome"] == {"type": "success"}
    assert events[-1]["result"]["text"] == "Hello there."


async def test_words_that_turn_out_otherwise_are_taken_back(turn: Any):
    turn(script(("Hel", "l"), stored("Something else."), {**ANSWER, "text": "Something else."}))
    events = await told()
    retracted = next(event for event in events if event["type"] == "CUSTOM")
    assert retracted["name"] == "countersign.retracted"
    kept = [event for event in events if event.get("messageId") not in (None, retracted["value"]["messageId"])]
    assert words_of(kept) == "Something else."
    assert messages_left_by(events) == [("user", "hi"), ("assistant", "Something else.")]


async def test_words_without_a_stored_message_give_way_to_the_reply_too(turn: Any):
    turn(script(("Hel", "l"), [], {**ANSWER, "text": "Something else."}))
    assert messages_left_by(await told()) == [("user", "hi"), ("assistant", "Something else.")]


def messages_left_by(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What a client shows after the run that takes the snapshot for all there is, as it must."""
    snapshot = next(event for event in events if event["type"] == "MESSAGES_SNAPSHOT")
    return [(one["role"], one["content"]) for one in snapshot["messages"]]


async def test_steps_of_a_turn_that_was_taken_up_elsewhere_are_begun_and_ended_once(turn: Any):
    async def run(said: Any, happened: Any) -> dict[str, Any]:
        begun = [stream.run_started("t-1", "r"), stream.step_started("plan"), stream.step_started("spending")]
        for event in [*begun, *stored("Hello there.")]:
            await happened(event)
        return ANSWER

    turn(run)
    names = [(event["type"], event["stepName"]) for event in await told() if event["type"].startswith("STEP_")]
    assert sorted(names) == sorted((kind, name) for kind in ("STEP_STARTED", "STEP_FINISHED") for name in ("plan", "spending"))  # noqa: E501  # fmt: skip


async def test_the_client_keeps_its_own_names_and_is_told_ours(turn: Any):
    asked = turn(script((), stored("Hello there.")))
    events = await told()
    assert (events[0]["threadId"], events[0]["runId"], events[0]["protocolVersion"]) == ("t-1", "their-run", "1.0")
    assert asked[0]["conversation_id"] == "t-1"
    assert (asked[0]["message"], asked[0]["client_message_id"]) == ("hi", "u-0")
    assert events[-1]["result"]["run_id"] == "r-1"


async def test_the_persons_own_words_are_not_echoed(turn: Any):
    mine = [*stored("Hello there.")]
    mine[3:3] = stream.text("m-0", ["hi"], role="user")
    turn(script((), mine))
    assert words_of(await told()) == "Hello there."


async def test_an_open_card_is_an_interrupt_after_where_things_stand(turn: Any):
    turn(script(("Hello there.",), stored("Hello there.")))
    card = await card_asked_for()
    *_, state, messages, end = await told(state={"theme": "dark"})
    assert [one["id"] for one in state["snapshot"]["countersign"]["approvals"]] == [card["approval_id"]]
    assert state["snapshot"]["theme"] == "dark"
    assert messages_left_by([messages]) == [("user", "hi"), ("assistant", "Hello there.")]
    (interrupt,) = end["outcome"]["interrupts"]
    assert (interrupt["id"], interrupt["expiresAt"]) == (card["approval_id"], card["expires_at"])
    assert interrupt["metadata"]["card_digest"] == card["card_digest"]


async def test_a_client_asks_on_past_a_card_that_it_leaves_to_others(turn: Any):
    """As a client must: it may not start a run without an entry for each of its interrupts."""
    asked = turn(script(("Hello there.",), []))
    first, second = await card_asked_for(0), await card_asked_for(1)
    left = {"interruptId": first["approval_id"], "status": "cancelled"}
    end = (await told(resume=[left]))[-1]
    assert [one["message"] for one in asked] == ["hi"]
    assert [one["id"] for one in end["outcome"]["interrupts"]] == [second["approval_id"]]
    left_too = {"interruptId": second["approval_id"], "status": "cancelled"}
    *_, state, end = await told(resume=[left, left_too])
    assert end["outcome"] == {"type": "success"}
    assert (await told(state=state["snapshot"]))[-1]["outcome"] == {"type": "success"}  # it is not asked again
    assert len((await told())[-1]["outcome"]["interrupts"]) == 2  # another client is


async def test_a_stored_message_and_its_words_in_turns_are_one_message(turn: Any):
    """As a turn is told that somebody else has worked: each stored piece as words, and as the event that it is."""

    async def run(said: Any, happened: Any) -> dict[str, Any]:
        for event in stored("Hello ", "there."):
            if event["type"] == "TEXT_MESSAGE_CONTENT":
                await said(event["delta"])
            await happened(event)
        return ANSWER

    turn(run)
    events = await told()
    assert words_of(events) == "Hello there."
    assert [event["type"] for event in events].count("TEXT_MESSAGE_START") == 1


async def test_several_messages_stay_several(turn: Any):
    """What comes of an answered card is told in runs of their own, with a message each."""

    async def run(said: Any, happened: Any) -> dict[str, Any]:
        for id_ in ("n-1", "n-2"):
            for event in talk.notice_events({"conversation_id": "t-1", "run_id": id_, "message_id": id_, "text": id_}):
                await happened(event)
        return {**ANSWER, "text": ""}

    turn(run)
    events = await told()
    assert words_of(events) == "n-1n-2"
    assert len({event["messageId"] for event in events if "messageId" in event}) == 2


@pytest.mark.parametrize("after", [0, 1], ids=["before the first word", "in the middle"])
@pytest.mark.parametrize(
    ("failed", "code", "says"),
    [
        (
            StateConflictError("an earlier message is not done with", code="conversation_busy"),
            "conversation_busy",
            "earlier",
        ),
        (ValueError("secret"), "unexpected_error", "an unexpected error; it was logged"),
    ],
)
async def test_a_run_that_fails_ends_with_run_error(turn: Any, after: int, failed: Exception, code: str, says: str):
    async def run(said: Any, happened: Any) -> dict[str, Any]:
        for _ in range(after):
            await said("Hel")
        raise failed

    turn(run)
    end = (await told())[-1]
    assert (end["type"], end["code"]) == ("RUN_ERROR", code)
    assert says in end["message"]
    assert "secret" not in end["message"]


async def test_a_stored_error_is_the_end(turn: Any):
    turn(script((), [stream.run_started("t-1", "r"), stream.run_error("It could not be done.", "failed")]))
    end = (await told())[-1]
    assert (end["type"], end["message"]) == ("RUN_ERROR", "It could not be done.")


async def test_a_late_run_ends_too(turn: Any, monkeypatch: pytest.MonkeyPatch):
    goes_on = asyncio.Event()

    async def run(said: Any, happened: Any) -> dict[str, Any]:
        await goes_on.wait()
        return ANSWER

    monkeypatch.setattr(stream_turn, "TURN_SECONDS", 0.05)
    turn(run)
    assert (await told())[-1]["code"] == "turn_late"
    goes_on.set()


async def test_what_cannot_be_told_ends_the_run(turn: Any):
    turn(script((), [{"no": "type"}]))
    assert (await told())[-1]["code"] == "unexpected_error"


async def test_text_in_parts_is_read_and_what_is_no_text_is_passed_over(turn: Any):
    asked = turn(script(("Hello there.",), []))
    parts = [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]
    assert (await told(messages=[{"id": "x" * 200, "role": "user", "content": parts}]))[-1]["type"] == "RUN_FINISHED"
    assert asked[0]["message"] == "first\nsecond"
    assert len(asked[0]["client_message_id"]) == 64
    image = {"type": "image", "source": {"type": "url", "value": "https://x.example/i.png", "mimeType": "image/png"}}
    await told(messages=[{"id": "u", "role": "user", "content": [image, *parts]}])
    assert asked[1]["message"] == "first\nsecond"
    reply = await call("post_agui", wanted(messages=[{"id": "u", "role": "user", "content": [image]}]))
    assert (reply.status, reply.body["errors"][0]["pointer"]) == (400, "/messages/0/content")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"threadId": "t-1", "messages": []},
        wanted(),
        wanted("x" * 2001),
        wanted("  "),
        wanted("hi", threadId="not a reference"),
        wanted("hi", threadId=""),
        wanted("hi", messages=[{"id": "1", "role": "assistant", "content": "hi"}]),
        wanted("hi", messages=[{"id": "1", "role": "nobody", "content": "hi"}]),
    ],
)
async def test_what_is_no_run_is_refused_before_it_begins(turn: Any, body: dict[str, Any]):
    asked = turn(script((), []))
    reply = await call("post_agui", body)
    assert (reply.status, reply.headers["content-type"], asked) == (400, "application/problem+json", [])


async def test_a_long_history_is_taken(turn: Any):
    turn(script(("Hello there.",), []))
    history = [{"id": f"h-{n}", "role": "assistant", "content": "x" * 2000} for n in range(400)]
    question = {"id": "u", "role": "user", "content": "hi"}
    assert (await told(messages=[*history, question]))[-1]["type"] == "RUN_FINISHED"


def test_the_run_is_the_same_for_the_package_s_own_encoder():
    """What is sent is what the protocol's own models would write."""
    run = ClientRun(thread_id="t-1", run_id="their-run")
    for event in [*run.begin(), *run.said("Hi"), *run.finish({**ANSWER, "text": "Hi"})]:
        again = SHAPES.dump_python(SHAPES.validate_python(event), mode="json", by_alias=True)
        assert again == event


def test_the_input_shape_is_the_package_s_own():
    assert RunAgentInput.model_validate(wanted("hi")).thread_id == "t-1"
