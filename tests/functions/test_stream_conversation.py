"""The live stream: what is stored, then what comes, and who may read it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from functions import stream_conversation
from functions.stream_requests import HEARTBEAT
from shared import bootstrap
from shared.conversation import documents as talk
from shared.conversation import stream
from shared.errors import RetryableError
from tests.functions.conftest import App, dev
from tests.functions.stream_bench import call

NAMES = ("follow_conversation", "follow_assistant_conversation")


@pytest.fixture
async def conversation(app: App) -> str:
    begun = talk.conversation("home", "c-1", owner="dev:alice", when_busy="enqueue", at="2026-03-01T12:00:00Z")
    await bootstrap.delivery().store.commit("home", [begun])
    await tell("a", "b")
    return "c-1"


async def tell(*names: str) -> None:
    delivery = bootstrap.delivery()
    merge = stream.told("c-1", [stream.step_started(name) for name in names], now=delivery.now())
    await delivery.store.commit("home", merge.made(await delivery.store.read_many("home", list(merge.ids))))


@pytest.mark.parametrize("name", NAMES)
async def test_stored_events_come_first_then_new_ones_at_once(conversation: str, name: str):
    reply = await call(name, id=conversation)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert await anext(reply.pieces) == b"retry: 1000\n\n"
    frames = reply.each()
    assert [(await anext(frames)).id for _ in range(2)] == ["1", "2"]
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0.05)
    await tell("c")
    async with asyncio.timeout(2):
        told = await waiting
    assert (told.id, told.data) == ("3", stream.step_started("c"))
    await frames.aclose()
    await reply.pieces.aclose()


@pytest.mark.parametrize(("headers", "query"), [({"Last-Event-ID": "1"}, ""), ({}, "last_event_id=1"), ({"Last-Event-ID": "1"}, "last_event_id=0")])  # noqa: E501  # fmt: skip
async def test_a_reader_goes_on_where_it_was(conversation: str, headers: Any, query: str):
    reply = await call("follow_conversation", id=conversation, headers=headers, query=query)
    await anext(reply.pieces)
    assert (await anext(reply.each())).id == "2"
    await reply.pieces.aclose()


async def test_a_silent_stream_beats_and_ends(conversation: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_conversation, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(stream_conversation, "FOLLOW_SECONDS", 0.1)
    reply = await call("follow_conversation", id=conversation, query="last_event_id=2")
    await anext(reply.pieces)
    frames = await reply.frames()
    assert 2 <= len(frames) <= 6
    assert {frame.data for frame in frames} == {None}


async def test_a_store_that_fails_ends_the_stream_so_that_its_reader_comes_back(
    conversation: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream_conversation, "HEARTBEAT_SECONDS", 0.05)
    reply = await call("follow_conversation", id=conversation)
    for _ in range(2):
        await anext(reply.pieces)

    async def query(*_: Any, **__: Any) -> None:
        raise RetryableError("the disk is full")

    monkeypatch.setattr(bootstrap.delivery().store, "query", query)
    async with asyncio.timeout(5):
        assert {piece async for piece in reply.pieces} <= {HEARTBEAT}


@pytest.mark.parametrize(
    ("caller", "status"),
    [
        (dev("alice", "home", "member"), 200),
        (dev("bob", "home", "member"), 404),
        (dev("bob", "home", "reviewer"), 200),
        (dev("bob", "home", "auditor"), 200),
        (dev("bob", "home", "operator"), 403),
        (dev("bob", "other", "reviewer"), 404),
        ({}, 401),
    ],
)
async def test_who_may_read(conversation: str, caller: dict[str, str], status: int):
    reply = await call("follow_conversation", id=conversation, as_=caller)
    assert reply.status == status
    await reply.pieces.aclose()


@pytest.mark.parametrize(("id_", "headers", "status"), [("c-2", {}, 404), ("a b", {}, 404), ("c-1", {"Last-Event-ID": "-1"}, 400), ("c-1", {"Last-Event-ID": "x"}, 400)])  # noqa: E501  # fmt: skip
async def test_what_is_not_there_or_not_understood(conversation: str, id_: str, headers: Any, status: int):
    reply = await call("follow_conversation", id=id_, headers=headers)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
