"""`resume[]`: a person answers cards over AG-UI; who may, what must be covered, and what a resend does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from functions import stream_resume
from shared import bootstrap
from shared.approvals.card import approval_doc_id
from shared.approvals.record import TIMER, entry
from shared.audit.trail import HEAD_ID
from shared.conversation import stream
from shared.delivery.one_commit import commit
from tests.functions.conftest import App, dev
from tests.functions.stream_bench import call, settled
from tests.functions.test_stream_agui import judged
from tests.unit.approvals.bench import ask

TALK = "t-1"
RITA = dev("rita", "home", "reviewer")


@pytest.fixture
async def cards(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[dict[str, Any]]]:
    """Two open cards of one conversation."""
    monkeypatch.setenv("BANK_URL", "http://127.0.0.1:9")  # nobody listens there, and nothing here asks it
    monkeypatch.setenv("BANK_TOKEN", "token")
    monkeypatch.setattr(stream_resume, "OUTCOME_SECONDS", 0.0)
    delivery = bootstrap.delivery()
    for number, amount in enumerate((500, 700)):
        await ask(delivery, number=number, tenant="home", requester="dev:alice", conversation=TALK, amount_minor=amount)
    yield [await card_of(card["approval_id"]) for card in await open_cards()]
    await settled()


async def open_cards() -> list[dict[str, Any]]:
    page = await bootstrap.delivery().store.query("home", "approval", key=("state", "open"))
    return sorted((document.body for document in page.documents), key=lambda body: body["arguments"]["amount_minor"])


async def card_of(approval_id: str) -> dict[str, Any]:
    document = await bootstrap.delivery().store.read("home", approval_doc_id(approval_id))
    assert document is not None
    return document.body


def yes(card: dict[str, Any], **more: Any) -> dict[str, Any]:
    payload = {"approved": True, "cardDigest": card["card_digest"], **more}
    return {"interruptId": card["approval_id"], "status": "resolved", "payload": payload}


def no(card: dict[str, Any], **more: Any) -> dict[str, Any]:
    return yes(card, approved=False, **more)


async def resumed(
    *entries: dict[str, Any], as_: dict[str, str] | None = None, thread: str = TALK
) -> list[dict[str, Any]]:
    reply = await sent(*entries, as_=as_, thread=thread)
    assert reply.status == 200, reply
    return judged([frame.data for frame in await reply.frames() if frame.data], thread=thread)


async def sent(*entries: Any, as_: dict[str, str] | None = None, thread: str = TALK) -> Any:
    body = {"threadId": thread, "runId": "their-run", "messages": [], "resume": list(entries)}
    return await call("post_agui", body, as_=as_ or RITA)


async def test_answers_are_stored_as_the_authenticated_person_s(cards: Any):
    end = (await resumed(yes(cards[0], rationale="fine"), no(cards[1], rationale="too much")))[-1]
    assert (end["type"], end["outcome"]["type"]) == ("RUN_FINISHED", "success")
    first, second = [await card_of(card["approval_id"]) for card in cards]
    assert (first["state"], second["state"]) == ("approved", "rejected")
    assert [(one["person"], one["rationale"]) for one in first["signatures"]] == [("dev:rita", "fine")]
    assert (second["rejected_by"], second["rationale"]) == ("dev:rita", "too much")
    assert [one["state"] for one in end["result"]["answers"]] == ["approved", "rejected"]


async def test_the_same_resume_again_is_the_same_answer(cards: Any):
    entries = [yes(cards[0]), no(cards[1])]
    first = (await resumed(*entries))[-1]
    again = (await resumed(*entries))[-1]
    assert again["result"]["answers"] == first["result"]["answers"]
    assert len((await card_of(cards[0]["approval_id"]))["signatures"]) == 1


async def test_many_at_once_are_one_answer(cards: Any):
    ends = await asyncio.gather(*(resumed(yes(cards[0]), no(cards[1])) for _ in range(8)))
    assert {end[-1]["type"] for end in ends} == {"RUN_FINISHED"}
    assert len((await card_of(cards[0]["approval_id"]))["signatures"]) == 1


async def test_an_edit_replaces_all_arguments_and_is_signed_first_by_its_editor(cards: Any):
    edited = {**cards[0]["arguments"], "amount_minor": 100}
    end = (await resumed(yes(cards[0], editedArgs=edited), no(cards[1])))[-1]
    assert end["type"] == "RUN_FINISHED"
    card = await card_of(cards[0]["approval_id"])
    assert card["arguments"]["amount_minor"] == 100
    assert [one["person"] for one in card["signatures"]] == ["dev:rita"]
    part = (await resumed(yes(cards[0], editedArgs={"amount_minor": 5})))[-1]
    assert part["type"] == "RUN_ERROR"


async def test_every_card_that_the_person_may_answer_must_be_covered(cards: Any):
    end = (await resumed(yes(cards[0])))[-1]
    assert (end["type"], end["code"]) == ("RUN_ERROR", "interrupts_uncovered")
    assert cards[1]["approval_id"] in end["message"]
    assert (await card_of(cards[0]["approval_id"]))["state"] == "pending"


async def test_a_cancelled_entry_covers_its_card_and_leaves_it_open(cards: Any):
    left = {"interruptId": cards[1]["approval_id"], "status": "cancelled"}
    *_, state, messages, end = await resumed(no(cards[0]), left)
    assert (await card_of(cards[1]["approval_id"]))["state"] == "pending"
    (interrupt,) = end["outcome"]["interrupts"]
    assert interrupt["id"] == cards[1]["approval_id"]
    assert (state["type"], messages["type"]) == ("STATE_SNAPSHOT", "MESSAGES_SNAPSHOT")


async def test_whose_conversation_it_is_may_leave_a_card_to_others_and_nobody_else_hears_of_it(cards: Any):
    left = [{"interruptId": card["approval_id"], "status": "cancelled"} for card in cards]
    end = (await resumed(*left, as_=dev("alice", "home", "member")))[-1]
    assert [one["id"] for one in end["outcome"]["interrupts"]] == [card["approval_id"] for card in cards]
    assert [card["state"] for card in await open_cards()] == ["pending"] * 2
    foreign = await resumed(*left, as_=dev("bob", "home", "member"))
    assert (len(foreign), foreign[-1]["code"]) == (2, "not_found")


async def test_who_answers_a_card_hears_of_it_and_of_nothing_else_in_the_conversation(
    cards: Any, monkeypatch: pytest.MonkeyPatch
):
    delivery = bootstrap.delivery()
    given = stream_resume._given

    async def meanwhile(*what: Any) -> dict[str, Any]:
        """Another turn of the conversation is answered between the two answers."""
        events = [stream.run_started(TALK, "r"), *stream.text("m", ["a secret"]), stream.run_finished(TALK, "r")]
        merge = stream.told(TALK, events, now=delivery.now())
        await delivery.store.commit("home", merge.made(await delivery.store.read_many("home", list(merge.ids))))
        return await given(*what)

    monkeypatch.setattr(stream_resume, "_given", meanwhile)
    events = await resumed(no(cards[0]), no(cards[1]))
    told = [event["value"]["approval_id"] for event in events if event["type"] == "CUSTOM"]
    assert told == [card["approval_id"] for card in cards]
    assert "a secret" not in str(events)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cardDigest": "0" * 64}, "card_changed"),
        ({}, "requester_may_not_sign"),
        ({}, "approval_expired"),
    ],
)
async def test_an_answer_that_cannot_be_given_ends_in_run_error(cards: Any, change: Any, code: str):
    as_ = dev("alice", "home", "reviewer") if code == "requester_may_not_sign" else RITA
    if code == "approval_expired":
        for card in cards:
            await expire(card["approval_id"])
    end = (await resumed(yes(cards[0], **change), yes(cards[1], **change), as_=as_))[-1]
    assert (end["type"], end["code"]) == ("RUN_ERROR", code)


async def expire(approval_id: str) -> None:
    """Its time is over since long ago, and the record says so."""
    delivery = bootstrap.delivery()
    known = await delivery.store.read_many("home", [approval_doc_id(approval_id), HEAD_ID])
    card = known[approval_doc_id(approval_id)]
    past = {**card.body, "expires_at": "2026-01-01T00:00:00.000000Z"}
    ids = {"run_id": "run-1", "command_id": "command-1", "correlation_id": "correlation-1"}
    told = entry("approval_warned", past, who=TIMER, **ids)
    await commit(delivery, "home", [card._replace(body=past)], [told], head=known[HEAD_ID])


async def test_a_card_of_another_conversation_or_tenant_is_not_there(cards: Any):
    other = await ask(bootstrap.delivery(), tenant="home", requester="dev:alice", conversation="t-2")
    end = (await resumed(no(await card_of(other)), no(cards[0]), no(cards[1])))[-1]
    assert (end["type"], end["code"]) == ("RUN_ERROR", "not_found")
    foreign = (await resumed(yes(cards[0]), yes(cards[1]), as_=dev("eve", "other", "reviewer")))[-1]
    assert (foreign["type"], foreign["code"]) == ("RUN_ERROR", "not_found")
    assert [card["state"] for card in await open_cards()] == ["pending"] * 3


@pytest.mark.parametrize("roles", ["member", "auditor", "member,auditor"])
async def test_who_may_not_answer_cards_may_not_resume(cards: Any, roles: str):
    assert (await sent(yes(cards[0]), yes(cards[1]), as_=dev("bob", "home", roles))).status == 403
    assert [card["state"] for card in await open_cards()] == ["pending"] * 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"payload": None}, "/resume/0/payload/approved"),
        ({"payload": {"approved": "yes"}}, "/resume/0/payload/approved"),
        ({"payload": {"approved": 1}}, "/resume/0/payload/approved"),
        ({"payload": {"approved": True}}, "/resume/0/payload/cardDigest"),
        ({"payload": {"approved": True, "cardDigest": "0" * 64, "person": "x"}}, "/resume/0/payload/person"),
        ({"payload": {"approved": True, "cardDigest": "0" * 64, "decision": "approve"}}, "/resume/0/payload/decision"),
        ({"payload": {"approved": True, "cardDigest": "0" * 64, "editedArgs": {"a": 1.5}}}, "/resume/0/payload/editedArgs"),  # noqa: E501
        ({"payload": {"approved": True, "card_digest": "0" * 64}}, "/resume/0/payload/card_digest"),
        ({"interruptId": "a b"}, "/resume/0/interruptId"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_refused_before_the_run(cards: Any, change: Any, pointer: str):
    reply = await sent({**yes(cards[0]), **change})
    assert reply.status == 400
    assert reply.body["errors"][0]["pointer"].startswith(pointer)


async def test_one_interrupt_is_answered_once(cards: Any):
    assert (await sent(yes(cards[0]), no(cards[0]))).status == 400
