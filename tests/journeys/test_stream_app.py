"""Chat, AG-UI and the live stream on the real host: two processes, one port, a model that speaks word by word."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.language_model import Says, Turn
from tests.journeys.hosts import ROOT, LocalHost, dev, wait_for
from tests.journeys.model_server import ModelServer, Trouble

SAID = "Good morning to you, and welcome to the conversation."
REPLY = {"reply": SAID, "response_summary": "greeted", "outcome_code": "answered"}
ALICE = dev("alice", "household", "member")


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer([Turn("hello", Says(REPLY, word_seconds=0.03))]) as server:
        yield server


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, model: ModelServer) -> Iterator[LocalHost]:
    with LocalHost(tmp_path_factory.mktemp("talk") / "data", MODEL="first", OPENAI_BASE_URL=model.url) as served:
        list(events(served, "/api/v1/chat", {"message": "hello"}))  # the model's package is loaded with the first turn
        yield served


@contextmanager
def opened(
    host: LocalHost, method: str, path: str, body: Any = None, **headers: str
) -> Iterator[http.client.HTTPResponse]:
    raw = None if body is None else json.dumps(body).encode()
    with closing(host.connection()) as connection:
        connection.request(method, path, raw, {"Content-Type": "application/json", **ALICE, **headers})
        with connection.getresponse() as response:
            assert response.status == 200, response.read()
            yield response


def frames(response: http.client.HTTPResponse) -> Iterator[tuple[float, dict[str, str]]]:
    """When each event came, and its fields."""
    told: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            told[name] = value
        elif told:
            yield time.monotonic(), told
            told = {}


def events(host: LocalHost, path: str, body: Any) -> Iterator[tuple[float, str, Any]]:
    with opened(host, "POST", path, body) as response:
        for at, told in frames(response):
            if "data" in told:
                yield at, told.get("event", ""), json.loads(told["data"])


def history(host: LocalHost, conversation_id: str) -> list[dict[str, Any]]:
    return host.get(f"/api/v1/agent/conversations/{conversation_id}", as_=ALICE)["messages"]


def replies_in(host: LocalHost, conversation_id: str) -> list[dict[str, Any]]:
    return [one for one in history(host, conversation_id) if one["role"] == "assistant"]


def test_the_first_word_leaves_within_fifty_milliseconds_of_the_model_s_and_the_rest_as_it_comes(
    host: LocalHost, model: ModelServer
):
    waits = []
    for _ in range(7):
        told = list(events(host, "/api/v1/chat", {"message": "hello"}))
        waits.append(told[0][0] - model.received[-1].first_word_at[0])
        assert "".join(data["text"] for _, kind, data in told if kind == "token") == SAID
        times = [at for at, kind, _ in told if kind == "token"]
        assert times[-1] - times[0] > 0.15  # as it came, not at the end
        assert (told[-1][1], told[-1][2]["text"], told[-1][2]["status"]) == ("done", SAID, "answered")
    assert statistics.median(waits) < 0.05, waits


def test_the_reply_is_in_the_history_with_what_it_rests_on(host: LocalHost):
    *_, (_, _, done) = events(host, "/api/v1/chat", {"message": "hello", "client_message_id": "k-1"})
    question, reply = history(host, done["conversation_id"])
    assert (question["text"], question["status"], reply["text"]) == ("hello", "answered", SAID)
    assert (reply["message_id"], reply["provenance"]["source"]) == (done["message_id"], "first")
    again = list(events(host, "/api/v1/chat", {"message": "hello", "client_message_id": "k-1"}))
    assert again[-1][2] == done
    assert len(history(host, done["conversation_id"])) == 2


def test_a_listener_that_leaves_finds_the_whole_reply_in_the_history(host: LocalHost):
    with opened(host, "POST", "/api/v1/chat", {"message": "hello", "conversation_id": "left"}) as response:
        next(frames(response))
    answered = wait_for(lambda: replies_in(host, "left"), "the reply")
    assert [one["text"] for one in answered] == [SAID]


def test_a_model_that_breaks_off_is_answered_without_it(host: LocalHost, model: ModelServer):
    model.meets(Trouble(after_words=3))
    told = list(events(host, "/api/v1/agui", run("broken", "hello")))
    kinds = [data["type"] for _, _, data in told]
    assert kinds[0] == "RUN_STARTED"
    assert kinds[-1] in ("RUN_FINISHED", "RUN_ERROR")
    (reply,) = replies_in(host, "broken")
    assert reply["text"] != SAID


def run(thread: str, text: str, **more: Any) -> dict[str, Any]:
    return {"threadId": thread, "runId": "r-1", "messages": [{"id": "u-1", "role": "user", "content": text}], **more}


def test_an_ag_ui_run_is_told_word_by_word_and_ends(host: LocalHost):
    told = list(events(host, "/api/v1/agui", run("agui", "hello")))
    words = [(at, data["delta"]) for at, _, data in told if data["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(delta for _, delta in words) == SAID
    assert words[-1][0] - words[0][0] > 0.15
    assert told[-1][2]["type"] == "RUN_FINISHED"
    again = list(events(host, "/api/v1/agui", run("agui", "hello")))
    assert again[-1][2]["result"] == told[-1][2]["result"]


def test_the_live_stream_hears_of_another_process_s_work_and_goes_on_where_it_was(host: LocalHost):
    list(events(host, "/api/v1/chat", {"message": "hello", "conversation_id": "live"}))
    path = "/api/v1/agent/conversations/live/stream"
    with opened(host, "GET", f"{path}?live=true") as response:
        live = (told for _, told in frames(response) if "data" in told)
        first = one_run(live)
        last = int(first[-1]["id"])
        assert [int(told["id"]) for told in first] == list(range(1, last + 1))
        reply = host.call("POST", "/api/v1/agent/conversations/live/messages", {"message": "hello"}, as_=ALICE)
        assert reply.status == 202
        second = one_run(live)
    bounded = host.call("GET", path, headers={"Last-Event-ID": str(last)}, as_=ALICE)  # the other app's, the same ids
    assert bounded.body.decode().count("data: ") == len(second)
    with opened(host, "GET", f"{path}?live=true", **{"Last-Event-ID": str(last)}) as again:
        assert next(told for _, told in frames(again) if "data" in told) == second[0]


def one_run(live: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    told = [next(live)]
    while json.loads(told[-1]["data"])["type"] != "RUN_FINISHED":
        told.append(next(live))
    return told


def test_somebody_else_s_conversation_is_not_there(host: LocalHost):
    list(events(host, "/api/v1/chat", {"message": "hello", "conversation_id": "mine"}))
    bob = dev("bob", "household", "member")
    post = {"message": "hello", "conversation_id": "mine"}
    assert host.call("POST", "/api/v1/chat", post, as_=bob).status == 404
    assert host.call("GET", "/api/v1/agent/conversations/mine/stream?live=true", as_=bob).status == 404


def test_a_transfer_is_asked_for_shown_refused_and_countersigned_over_ag_ui(tmp_path: Path):
    """Without a model; the same resume from several clients at once moves the money once."""
    rita = dev("rita", "household", "reviewer")
    with LocalHost(tmp_path / "data", MODEL="") as host:
        asked = run("pay", "Transfer 25 euros from my current account to Anna")
        *_, (_, _, end) = events(host, "/api/v1/agui", asked)
        (card,) = end["outcome"]["interrupts"]

        def resume(
            approved: bool, digest: str = "", as_: dict[str, str] = rita, **payload: Any
        ) -> list[dict[str, Any]]:
            answer = {"approved": approved, "cardDigest": digest or card["metadata"]["card_digest"], **payload}
            entry = {"interruptId": card["id"], "status": "resolved", "payload": answer}
            reply = host.call("POST", "/api/v1/agui", {**asked, "messages": [], "resume": [entry]}, as_=as_)
            assert reply.status in (200, 403)
            if reply.status == 403:
                return []
            return [json.loads(one[6:]) for one in reply.body.decode().split("\n\n") if one.startswith("data: ")]

        assert resume(True, as_=ALICE) == []
        assert resume(True, as_=dev("alice", "household", "reviewer"))[-1]["code"] == "requester_may_not_sign"
        assert resume(True, digest="0" * 64)[-1]["code"] == "card_changed"
        assert balances(host)["Anna"] == 0
        with ThreadPoolExecutor(6) as clients:
            runs = list(clients.map(lambda _: resume(True), range(12)))
        assert {events[-1]["type"] for events in runs} == {"RUN_FINISHED"}
        assert any("went to Anna" in event.get("delta", "") for events in runs for event in events)
        assert balances(host)["Anna"] == 2_500
        assert resume(True)[-1]["result"]["answers"] == runs[0][-1]["result"]["answers"]
        assert resume(False)[-1]["code"] in ("already_signed", "approval_closed")
        assert balances(host)["Anna"] == 2_500


def balances(host: LocalHost) -> dict[str, int]:
    """What the bank says, by account."""
    with closing(sqlite3.connect(f"file:{host.data / 'bank' / 'sandbox_bank.db'}?mode=ro", uri=True)) as bank:
        return dict(bank.execute("SELECT id, balance_minor FROM account"))


SHORT_MARGIN = """
import sys
sys.path.insert(0, {root!r})
import shared.flows.live_turn
shared.flows.live_turn.MARGIN_SECONDS = 1 - 2 * 8
"""
"""In every process of a host: a lane waits for one second only before it takes a live turn over."""


def test_a_turn_whose_process_is_killed_is_finished_by_the_lane(tmp_path: Path, model: ModelServer):
    """The message is stored before the model is asked, and its wake-up waits until somebody has done the work."""
    (tmp_path / "sitecustomize.py").write_text(SHORT_MARGIN.format(root=str(ROOT)), encoding="utf-8")
    settings = {"MODEL": "first", "OPENAI_BASE_URL": model.url, "PYTHONPATH": str(tmp_path)}
    with LocalHost(tmp_path / "data", **settings) as host:
        with opened(host, "POST", "/api/v1/chat", {"message": "hello", "conversation_id": "killed"}) as response:
            next(frames(response))
            os.kill(child_of(host), signal.SIGKILL)
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                response.read()
        answered = wait_for(lambda: replies_in(host, "killed"), "the reply", seconds=60)
        assert [one["text"] for one in answered] == [SAID]


def child_of(host: LocalHost) -> int:
    children = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text(encoding="utf-8").split()
    return next(int(one) for one in children if b"stream_host" in Path(f"/proc/{one}/cmdline").read_bytes())
