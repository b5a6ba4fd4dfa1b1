"""A conversation over HTTP, on the local host: posted, answered by the lane, followed, resent, and nobody else's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.hosts import LocalHost, Reply, dev, rows, wait_for

CONVERSATION = "/api/v1/agent/conversations/talk-1"
BOB = dev("bob", roles="member")
ELSEWHERE = dev("alice", tenant="other")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    with LocalHost(tmp_path_factory.mktemp("talk") / "data") as running:
        yield running


def post(host: LocalHost, text: str, *, path: str = CONVERSATION, **more: Any) -> Reply:
    return host.call("POST", f"{path}/messages", {"message": text, **more})


def streamed(host: LocalHost, path: str = CONVERSATION, *, after: int = 0) -> list[tuple[int, dict[str, Any]]]:
    """id and event of each server-sent event of one answer."""
    reply = host.call("GET", f"{path}/stream", headers={"Last-Event-ID": str(after)})
    assert reply.status == 200, reply
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = []
    for block in reply.body.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            told.append((int(fields["id"]), json.loads(fields["data"])))
    return told


def until_run_ends(host: LocalHost, path: str, *, after: int = 0) -> list[tuple[int, dict[str, Any]]]:
    """Reconnects with the id of the last event, as a browser does, until a run has ended."""
    told: list[tuple[int, dict[str, Any]]] = []
    while not told or told[-1][1]["type"] not in ("RUN_FINISHED", "RUN_ERROR"):
        told += streamed(host, path, after=told[-1][0] if told else after)
    return told


def words_of(told: list[tuple[int, dict[str, Any]]]) -> str:
    return "".join(event.get("delta", "") for _, event in told)


def history(host: LocalHost, path: str = CONVERSATION) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = host.get(path)["messages"]
    return messages


def test_a_question_is_answered_from_the_statement_that_was_uploaded(host: LocalHost):
    host.upload(rows("t-1", booked_on=str(time.strftime("%Y-%m-01"))))
    wait_for(lambda: host.states().get("Categorized"), "the decision")
    accepted = post(host, "how much did I spend this month?", client_message_id="m-1")
    assert accepted.status == 202
    assert accepted.headers["location"].startswith(f"{CONVERSATION}/stream")
    told = until_run_ends(host, CONVERSATION)
    assert "43.20 EUR" in words_of(told)
    asked, reply = history(host)
    assert (asked["status"], reply["text"]) == ("answered", words_of(told))
    run = host.get(f"/api/v1/runs/{reply['run_id']}")
    assert (run["status"], run["command_type"]) == ("Completed", "AgentMessagePosted")
    assert [one["name"] for one in run["stages"]] == ["plan", "spending", "reply"]


def test_an_equal_resend_is_the_same_message(host: LocalHost):
    path = "/api/v1/agent/conversations/talk-2"
    first = post(host, "help", path=path, client_message_id="m-1")
    until_run_ends(host, path)
    assert post(host, "help", path=path, client_message_id="m-1").body == first.body
    assert post(host, "goodbye", path=path, client_message_id="m-1").status == 422
    assert [one["role"] for one in history(host, path)] == ["user", "assistant"]


@pytest.mark.parametrize("as_", [BOB, ELSEWHERE], ids=["another member", "another tenant"])
def test_a_conversation_is_nobody_elses(host: LocalHost, as_: dict[str, str]):
    post(host, "help")
    assert host.call("GET", CONVERSATION, as_=as_).status == 404
    assert host.call("GET", f"{CONVERSATION}/stream", as_=as_).status == 404
    told = host.call("POST", f"{CONVERSATION}/messages", {"message": "hello"}, as_=as_)
    assert told.status == (404 if as_ is BOB else 202), "another tenant's conversation of this name is its own"


def test_a_reader_that_waits_is_woken_by_the_answer(host: LocalHost):
    path = "/api/v1/agent/conversations/talk-3"
    post(host, "help", path=path)
    last = until_run_ends(host, path)[-1][0]
    heard: list[Any] = []
    reader = threading.Thread(target=lambda: heard.extend(until_run_ends(host, path, after=last)))
    begun = time.monotonic()
    reader.start()
    time.sleep(0.3)
    assert not heard, "there is nothing new yet"
    post(host, "goodbye", path=path)
    reader.join(20)
    assert heard[0][0] == last + 1
    assert "Goodbye" in words_of(heard)
    assert time.monotonic() - begun < 10


def test_ten_messages_at_once_are_answered_one_after_the_other(host: LocalHost):
    path = "/api/v1/agent/conversations/talk-4"
    posters = [
        threading.Thread(target=post, args=(host, "help"), kwargs={"path": path, "client_message_id": f"m-{number}"})
        for number in range(10)
    ]
    for one in posters:
        one.start()
    for one in posters:
        one.join()
    wait_for(lambda: sum(one["role"] == "assistant" for one in history(host, path)) == 10, "ten replies")
    told = history(host, path)
    assert [one["turn"] for one in told] == sorted(one["turn"] for one in told)
    assert {one["turn"] for one in told} == set(range(1, 11))
    assert len({one["client_message_id"] for one in told if one["role"] == "user"}) == 10


def test_a_wish_in_words_becomes_an_effect_and_is_told(host: LocalHost):
    path = "/api/v1/agent/conversations/talk-5"
    post(host, "turn off notifications about budgets", path=path)
    notice = wait_for(
        lambda: [one for one in history(host, path) if one["role"] == "notice"], "the outcome in the conversation"
    )[0]
    assert notice["actions"] == history(host, path)[1]["actions"]
    told = streamed(host, path)
    outcomes = [event["value"]["state"] for _, event in told if event.get("name") == "countersign.action"]
    assert outcomes[0] == "requested"
    assert outcomes[-1] == "done"


def test_a_transfer_waits_for_a_signature_and_the_chain_holds(host: LocalHost):
    path = "/api/v1/agent/conversations/talk-6"
    post(host, "transfer 50 EUR to Anna", path=path)
    asked = until_run_ends(host, path)
    assert "From which account" in words_of(asked)
    post(host, "from my savings account", path=path)
    told = until_run_ends(host, path, after=asked[-1][0])
    assert "waits for the signature" in words_of(told)
    (interrupt,) = told[-1][1]["outcome"]["interrupts"]
    assert host.get(path)["open_approvals"] == [interrupt["id"]]
    assert host.get(f"/api/v1/approvals/{interrupt['id']}")["state"] == "pending"
    host.verified()
