"""Everyday conversations, said to the local host as a person would: evals/conversation/talks.jsonl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.hosts import ROOT, LocalHost, dev, wait_for

TALKS = [json.loads(line) for line in (ROOT / "evals" / "conversation" / "talks.jsonl").read_text().splitlines()]
ALICE = dev("alice", roles="member")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    with LocalHost(tmp_path_factory.mktemp("everyday") / "data") as running:
        statement = Path(ROOT / "samples" / "statement.csv").read_bytes()
        reply = running.call("POST", "/api/v1/transactions", statement, headers={"Content-Type": "text/csv"})
        assert reply.status == 202
        wait_for(lambda: running.states().get("Unclassified", 0) == 0 and running.states(), "every decision")
        yield running


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk["id"])
def test_each_reply_says_what_a_person_would_expect(host: LocalHost, talk: dict[str, Any]):
    for words, expected in zip(talk["say"], talk["told"], strict=True):
        sent = host.call("POST", "/api/v1/chat", {"message": words, "conversation_id": talk["id"]}, as_=ALICE)
        assert sent.status == 200
        history = host.call("GET", f"/api/v1/agent/conversations/{talk['id']}", as_=ALICE).body["messages"]
        told = [one["text"] for one in history if one["role"] == "assistant"][-1]
        assert re.search(expected, told), f"{words!r} was answered {told!r}"
