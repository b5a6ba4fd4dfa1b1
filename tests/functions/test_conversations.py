"""Conversations over HTTP: what is accepted, what is refused, and what a stream looks like on the wire."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from functions import http_conversations
from shared import bootstrap
from shared.contracts import conversation_answers as answers
from shared.contracts.commands import parse_envelope
from shared.contracts.identity import partition_of
from shared.delivery.inbox import handle_command
from tests.functions.conftest import App, Reply, dev


async def post(app: App, text: str = "help", *, name: str = "post_message", into: str = "c-1", **more: Any) -> Reply:
    headers = more.pop("headers", None)
    as_ = more.pop("as_", None)
    return await app.call(name, {"message": text, **more}, id=into, headers=headers, as_=as_)


async def answer_all(conversation_id: str = "c-1") -> None:
    """Work the conversation's queue, as the lane would."""
    delivery = bootstrap.delivery()
    while True:
        stored = await delivery.store.read(partition_of("home"), f"conversation:{conversation_id}")
        assert stored is not None
        if not stored.body["queue"]:
            return
        body = orjson.dumps(stored.body["queue"][0]["command"])
        await handle_command(delivery, parse_envelope(body), body)


def frames(reply: Reply) -> list[tuple[int, dict[str, Any]]]:
    """id and event of each server-sent event."""
    told = []
    for block in reply.body.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            told.append((int(fields["id"]), json.loads(fields["data"])))
    return told


async def test_a_message_is_accepted_and_its_location_streams_the_answer(app: App):
    reply = await post(app, client_message_id="m-1", user_note="for later")
    assert reply.status == 202
    answers.MessageAccepted.model_validate(reply.body)
    assert reply.headers["location"] == "/api/v1/agent/conversations/c-1/stream?last_event_id=0"
    await answer_all()
    stream = await app.call("stream_conversation", id="c-1", params={"last_event_id": "0"})
    assert (stream.status, stream.kind) == (200, "text/event-stream")
    assert stream.body.startswith(b"retry: ")
    assert stream.headers["cache-control"].startswith("no-cache")
    assert stream.headers["x-accel-buffering"] == "no"
    told = frames(stream)
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    assert (told[0][1]["type"], told[-1][1]["type"]) == ("RUN_STARTED", "RUN_FINISHED")


@pytest.mark.parametrize("headers", [{"Last-Event-ID": "3"}, {}])
async def test_a_stream_goes_on_where_the_reader_was(app: App, headers: dict[str, str]):
    await post(app)
    await answer_all()
    params = {} if headers else {"last_event_id": "3"}
    reply = await app.call("stream_conversation", id="c-1", headers=headers, params=params)
    assert frames(reply)[0][0] == 4


async def test_a_stream_with_nothing_new_waits_and_ends_with_a_comment(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_conversations, "WAIT_SECONDS", 0.1)
    await post(app)
    reply = await app.call("stream_conversation", id="c-1")
    assert reply.body == b"retry: 1000\n\n: nothing new\n\n"


async def test_a_malformed_last_event_id_is_refused(app: App):
    await post(app)
    reply = await app.call("stream_conversation", id="c-1", headers={"Last-Event-ID": "abc"})
    assert (reply.status, reply.body["type"]) == (400, "urn:countersign:problem:last_event_id_malformed")


async def test_both_names_lead_to_the_same_conversation(app: App):
    reply = await post(app, name="post_assistant_message")
    assert reply.headers["location"].startswith("/api/v1/assistant/conversations/c-1/stream")
    await answer_all()
    one = await app.call("get_conversation", id="c-1")
    other = await app.call("get_assistant_conversation", id="c-1")
    assert one.body == other.body
    assert (await app.call("list_assistant_conversations")).body["items"][0]["conversation_id"] == "c-1"
    assert frames(await app.call("stream_assistant_conversation", id="c-1"))


async def test_the_history_has_messages_and_provenance(app: App):
    await post(app, user_note="for later")
    await answer_all()
    reply = await app.call("get_conversation", id="c-1")
    answers.Conversation.model_validate(reply.body)
    asked, told = reply.body["messages"]
    assert (asked["role"], asked["status"], asked["user_note"]) == ("user", "answered", "for later")
    assert (told["role"], told["provenance"]["source"]) == ("assistant", "grammar")
    assert "roles" not in asked


async def test_the_history_pages_from_the_newest(app: App):
    for text in ("help", "goodbye"):
        await post(app, text)
    await answer_all()
    page = await app.call("get_conversation", id="c-1", params={"limit": "2"})
    assert [one["turn"] for one in page.body["messages"]] == [2, 2]
    older = await app.call("get_conversation", id="c-1", params={"limit": "2", "cursor": page.body["cursor"]})
    assert [one["turn"] for one in older.body["messages"]] == [1, 1]


async def test_an_equal_resend_gets_the_first_answer(app: App):
    first = await post(app, client_message_id="m-1")
    assert (await post(app, client_message_id="m-1")).body == first.body
    other = await post(app, "something else", client_message_id="m-1")
    assert (other.status, other.body["type"]) == (422, "urn:countersign:problem:idempotency_key_reused")


async def test_the_idempotency_key_does_the_same(app: App):
    first = await post(app, headers={"Idempotency-Key": "k-1"})
    assert (await post(app, headers={"Idempotency-Key": "k-1"})).body == first.body
    assert (await post(app, "other", headers={"Idempotency-Key": "k-1"})).status == 422
    assert (await post(app, client_message_id="k-1")).body["turn"] == 2, "a client's id is no key"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": "   "},
        {"message": "x" * 2001},
        {"message": "x", "user_note": "x" * 601},
        {"message": "x", "client_message_id": "x" * 121},
        {"message": "x", "tenant": "other"},
        {"message": "x", "author": "bob"},
        {"message": 5},
        {"message": "\ud800"},
    ],
)
async def test_what_is_not_a_message_is_refused(app: App, body: dict[str, Any]):
    assert (await app.call("post_message", body, id="c-1")).status == 400


async def test_the_limits_themselves_are_taken(app: App):
    reply = await post(app, "x" * 2000, user_note="x" * 600, client_message_id="x" * 120)
    assert reply.status == 202


@pytest.mark.parametrize(
    "caller",
    [dev("bob"), dev("alice", tenants="other")],
    ids=["another member", "another tenant"],
)
@pytest.mark.parametrize("name", ["get_conversation", "stream_conversation", "put_conversation_settings"])
async def test_other_peoples_conversations_are_not_there(app: App, caller: dict[str, str], name: str):
    await post(app)
    body = {"when_busy": "reject"} if name.startswith("put") else None
    as_ = {one: value.replace("member,reviewer,auditor,operator", "member") for one, value in caller.items()}
    assert (await app.call(name, body, id="c-1", as_=as_)).status == 404


async def test_nobody_posts_into_somebody_elses_conversation(app: App):
    await post(app)
    assert (await post(app, as_=dev("bob"))).status == 404
    assert (await app.call("list_conversations", as_=dev("bob"))).body["items"] == []


async def test_a_reviewer_and_an_auditor_read_it(app: App):
    await post(app)
    await answer_all()
    for role in ("reviewer", "auditor"):
        as_ = dev("rita", roles=role)
        assert (await app.call("get_conversation", id="c-1", as_=as_)).status == 200
        assert frames(await app.call("stream_conversation", id="c-1", as_=as_))


async def test_a_busy_conversation_that_rejects_says_so(app: App):
    await post(app)
    changed = await app.call("put_conversation_settings", {"when_busy": "reject"}, id="c-1")
    answers.ConversationLine.model_validate(changed.body)
    assert changed.body["when_busy"] == "reject"
    reply = await post(app, "and another")
    assert (reply.status, reply.body["type"]) == (409, "urn:countersign:problem:conversation_busy")


async def test_settings_are_closed(app: App):
    await post(app)
    assert (await app.call("put_conversation_settings", {"when_busy": "sometimes"}, id="c-1")).status == 400
    assert (await app.call("put_conversation_settings", {"when_busy": "reject"}, id="c-2")).status == 404


async def test_the_record_has_the_posting_and_the_answer(app: App):
    await post(app)
    await answer_all()
    records = (await app.call("list_audit", params={"after": "0", "limit": "10"})).body["items"]
    assert [one["what"] for one in records] == ["message_posted", "message_answered"]
    assert records[0]["who"] == {"kind": "person", "id": "dev:alice"}
    assert (await app.call("verify_audit", {"from": 0})).body["ok"]
