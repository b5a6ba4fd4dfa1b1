"""The streaming chat over its seam: how a turn is told while it happens. The turns themselves are told by a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from functions import stream_turn
from shared.errors import NotFoundError, RetryableError, StateConflictError
from tests.functions.conftest import App
from tests.functions.stream_bench import ANSWER, call, scripted, settled


@pytest.fixture
async def turn(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    yield scripted(monkeypatch)
    await settled()


async def two_words(said: Any, happened: Any) -> dict[str, Any]:
    await happened({"type": "RUN_STARTED", "threadId": "c-1", "runId": "r-1"})
    await said("Hello ")
    await said("there.")
    return ANSWER


async def test_words_are_told_as_they_come_and_the_answer_last(turn: Any):
    asked = turn(two_words)
    post = {"conversation_id": "c-1", "message": "hi", "client_message_id": "k", "user_note": "n"}
    reply = await call("post_chat", post, headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert reply.headers["x-accel-buffering"] == "no"
    frames = await reply.frames()
    assert [(one.event, one.data) for one in frames] == [
        ("token", {"text": "Hello "}), ("token", {"text": "there."}), ("done", ANSWER),
    ]  # fmt: skip
    assert asked == [
        {
            "principal": "dev:alice", "roles": ["auditor", "member", "operator", "reviewer"], "tenant": "home",
            "conversation_id": "c-1", "message": "hi",
            "client_message_id": "k", "user_note": "n", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        }
    ]  # fmt: skip


async def test_the_first_word_leaves_while_the_rest_is_still_made(turn: Any):
    goes_on = asyncio.Event()

    async def script(said: Any, happened: Any) -> dict[str, Any]:
        await said("Hello ")
        await goes_on.wait()
        await said("there.")
        return ANSWER

    turn(script)
    frames = (await call("post_chat", {"message": "hi"})).each()
    async with asyncio.timeout(2):
        assert (await anext(frames)).data == {"text": "Hello "}
    goes_on.set()
    assert [one.event async for one in frames] == ["token", "done"]


async def test_a_listener_that_leaves_does_not_end_the_turn(turn: Any):
    goes_on, stored = asyncio.Event(), []

    async def script(said: Any, happened: Any) -> dict[str, Any]:
        await said("Hello ")
        await goes_on.wait()
        stored.append("the reply")
        return ANSWER

    turn(script)
    reply = await call("post_chat", {"message": "hi"})
    frames = reply.each()
    await anext(frames)
    await frames.aclose()
    await reply.pieces.aclose()
    goes_on.set()
    await asyncio.wait(stream_turn._running)
    assert stored == ["the reply"]


async def test_a_resend_is_told_its_known_reply(turn: Any):
    async def script(said: Any, happened: Any) -> dict[str, Any]:
        return ANSWER

    turn(script)
    frames = await (await call("post_chat", {"message": "hi", "client_message_id": "k"})).frames()
    assert [(one.event, one.data.get("text")) for one in frames] == [
        ("token", "Hello there."),
        ("done", "Hello there."),
    ]


async def test_a_new_conversation_is_the_same_for_a_resend_of_its_first_message(turn: Any):
    asked = turn(two_words)
    for key in ("k", "k", "other", "", ""):
        await (await call("post_chat", {"message": "hi", "client_message_id": key})).frames()
    first, again, other, *new = [one["conversation_id"] for one in asked]
    assert first == again
    assert len({first, other, *new}) == 4


@pytest.mark.parametrize(
    ("failed", "status", "code"),
    [
        (NotFoundError("there is no conversation c-1"), 404, "not_found"),
        (StateConflictError("busy", code="conversation_busy"), 409, "conversation_busy"),
        (RetryableError("the store is down"), 503, "retryable"),
        (ValueError("secret"), 500, "unexpected_error"),
    ],
)
async def test_what_fails_before_the_first_word_has_its_status(turn: Any, failed: Exception, status: int, code: str):
    async def script(said: Any, happened: Any) -> dict[str, Any]:
        raise failed

    turn(script)
    reply = await call("post_chat", {"message": "hi"}, headers={"X-Correlation-Id": "mine"})
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert (reply.body["type"], reply.body["correlation_id"]) == (f"urn:countersign:problem:{code}", "mine")
    assert "secret" not in str(reply.body)


async def test_what_fails_after_the_first_word_is_the_last_event(turn: Any):
    async def script(said: Any, happened: Any) -> dict[str, Any]:
        await said("Hel")
        raise ValueError("secret")

    turn(script)
    frames = await (await call("post_chat", {"message": "hi"})).frames()
    assert [one.event for one in frames] == ["token", "error"]
    assert (frames[-1].data["status"], "secret" in str(frames)) == (500, False)


async def test_a_silent_turn_beats_and_a_late_one_lets_its_listener_go(turn: Any, monkeypatch: pytest.MonkeyPatch):
    goes_on = asyncio.Event()

    async def script(said: Any, happened: Any) -> dict[str, Any]:
        await goes_on.wait()
        return ANSWER

    monkeypatch.setattr(stream_turn, "HEARTBEAT_SECONDS", 0.03)
    monkeypatch.setattr(stream_turn, "TURN_SECONDS", 0.1)
    turn(script)
    frames = await (await call("post_chat", {"message": "hi"})).frames()
    goes_on.set()
    assert [one.event for one in frames[:2]] == ["", ""]
    assert (frames[-1].event, frames[-1].data["type"]) == ("error", "urn:countersign:problem:turn_late")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        ({"message": ""}, 400, "invalid_input"),
        ({"message": "x" * 2001}, 400, "invalid_input"),
        ({"message": "hi", "conversation_id": "a b"}, 400, "invalid_input"),
        ({"message": "hi", "tenant": "other"}, 400, "invalid_input"),
        (b'{"message": "' + b"x" * 3_000_000 + b'"}', 413, "body_too_large"),
    ],
)
async def test_a_wrong_body_is_refused_before_anything_begins(turn: Any, body: Any, status: int, code: str):
    asked = turn(two_words)
    reply = await call("post_chat", body)
    assert (reply.status, reply.body["type"]) == (status, f"urn:countersign:problem:{code}")
    assert asked == []


async def test_another_media_type_is_refused(turn: Any):
    turn(two_words)
    assert (await call("post_chat", {"message": "hi"}, headers={"Content-Type": "text/plain"})).status == 415


@pytest.mark.parametrize("name", ["post_chat", "post_agui"])
@pytest.mark.parametrize(
    ("caller", "headers", "status"),
    [
        ({}, {}, 401),
        ({"X-Dev-Caller": "bob; tenants=home; roles=auditor"}, {}, 403),
        ({"X-Dev-Caller": "bob; tenants=home; roles=operator"}, {}, 403),
        ({"X-Dev-Caller": "bob; tenants=home"}, {"X-Tenant": "other"}, 403),
        ({"X-Dev-Caller": "bob; tenants=home,desk"}, {}, 400),
    ],
)
async def test_nobody_without_the_role_is_heard(turn: Any, name: str, caller: Any, headers: Any, status: int):
    asked = turn(two_words)
    question = {"threadId": "t", "runId": "r", "messages": [{"id": "u", "role": "user", "content": "hi"}]}
    body = question if name == "post_agui" else {"message": "hi"}
    reply = await call(name, body, as_=caller, headers=headers)
    assert (reply.status, asked) == (status, [])
