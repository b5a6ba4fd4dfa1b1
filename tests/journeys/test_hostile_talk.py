"""Hostile bodies and messages against conversations, cards, actions and streams, while a payment waits to be signed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lanes import SqliteLanes
from shared.ports.command_bus import OutgoingMessage
from tests.journeys import hostile_talk as hostile
from tests.journeys.hosts import LocalHost, dev, wait_for
from tests.journeys.test_hostile_input import PRODUCERS, SYSTEM, send, wrong_with

TALK = "/api/v1/agent/conversations/talk-1"
ALICE, RITA = dev("alice", roles="member"), dev("rita", roles="reviewer")
WISH = "transfer 40 euros from acc-current to Anna"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    folder = tmp_path_factory.mktemp("hostile-talk") / "data"
    with LocalHost(
        folder, OUTSIDE_PRODUCERS=json.dumps(PRODUCERS), BANK_ACCOUNTS="household=acc-current,other=acc-savings"
    ) as one:
        yield one


@pytest.fixture(scope="module")
def ids(host: LocalHost) -> dict[str, str]:
    """What is there: Alice's conversation with an open card, and another tenant's card."""
    other = dev("alice", "other", "member,reviewer")
    assert (
        host.call("POST", f"{TALK}/messages", {"message": WISH.replace("current", "savings")}, as_=other).status == 202
    )
    posted = host.call("POST", f"{TALK}/messages", {"message": WISH}, as_=ALICE).body
    own = wait_for(lambda: host.items("/api/v1/approvals", as_=ALICE), "a card")[0]
    theirs = wait_for(lambda: host.items("/api/v1/approvals", as_=other), "their card")[0]
    return {
        "conversation": "talk-1", "approval": own["approval_id"], "digest": own["card_digest"],
        "message": posted["message_id"], "command": posted["command_id"],
        "foreign": theirs["approval_id"], "foreign_digest": theirs["card_digest"],
    }  # fmt: skip


def moved(host: LocalHost) -> int:
    """What has reached Anna, by the bank's own books."""
    with closing(sqlite3.connect(f"file:{host.data / 'bank' / 'sandbox_bank.db'}?mode=ro", uri=True)) as bank:
        return dict(bank.execute("SELECT id, balance_minor FROM account"))["Anna"]


def standing(host: LocalHost, ids: dict[str, str]) -> Any:
    """Everything that must not change by what is refused."""
    card = host.get(f"/api/v1/approvals/{ids['approval']}", as_=ALICE)
    action = host.get(f"/api/v1/actions/{ids['approval']}", as_=ALICE)
    return host.get(TALK, as_=ALICE), card, action, moved(host)


def test_hostile_bodies_are_refused_in_words_and_the_card_waits_as_before(host: LocalHost, ids: dict[str, str]):
    theirs = (ids["foreign"], ids["foreign_digest"])
    card = (ids["approval"], ids["digest"])
    said = chain(hostile.talk("talk-1"), hostile.looks("talk-1"), hostile.streams("talk-1", *card))
    bad = ((ALICE, said), (RITA, hostile.answers("talk-1", *card, theirs)))
    before, over, wrong, sent = standing(host, ids), host.connection(), [], 0
    for who, bodies in bad:
        for body in bodies:
            told = wrong_with(send(host, body, over, as_=who))
            sent += 1
            if told:
                wrong.append((told, body.method, body.path[:100], body.kind, body.raw[:160]))
    over.close()
    assert wrong == []
    assert sent > 600
    assert standing(host, ids) == before
    assert host.items("/api/v1/parked") == host.items("/api/v1/parked", as_=SYSTEM) == []


async def put(host: LocalHost, sent: list[tuple[str, bytes]]) -> None:
    """On the lanes, as somebody with the right to send could."""
    lanes = SqliteLanes(host.data / "lanes.db")
    bus = SqliteCommandBus(lanes)
    for number, (lane, body) in enumerate(sent):
        await bus.send([OutgoingMessage(lane, body, f"hostile-{number}", session_id=f"s-{number % 7}")])
    await lanes.close()


def test_commands_that_nobody_of_us_sent_are_parked_with_a_reason_each_and_nothing_is_done(
    host: LocalHost, ids: dict[str, str]
):
    before, sent = standing(host, ids), list(hostile.commands("household", ids))
    assert len(sent) > 250
    asyncio.run(put(host, sent))
    wait_for(lambda: host.on_lanes() == 0, "empty lanes", 60)
    parked = host.items("/api/v1/parked", as_=SYSTEM)
    copies = 1  # of the one command that was ours, which is handled already
    assert len({one["message_id"] for one in parked}) == len(parked) == len(sent) - copies
    reasons = Counter(one["reason"] for one in parked)
    assert set(reasons) == {"malformed_envelope", "unauthenticated_command"}, reasons
    assert all(one["detail"] for one in parked)
    assert host.items("/api/v1/parked") == []
    assert standing(host, ids) == before


def test_after_all_of_it_the_card_is_signed_and_the_money_moves_once(host: LocalHost, ids: dict[str, str]):
    answer = {"decision": "approve", "card_digest": ids["digest"]}
    for _ in range(3):
        reply = host.call("POST", f"/api/v1/approvals/{ids['approval']}/answer", answer, as_=RITA)
        assert (reply.status, reply.body["state"]) == (200, "approved")
    wait_for(lambda: host.get(f"/api/v1/actions/{ids['approval']}", as_=ALICE)["state"] == "done", "the transfer")
    assert moved(host) == 4_000
    host.verified()
