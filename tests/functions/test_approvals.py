"""Approvals over HTTP: the inbox, one card, and every outcome of an answer as a client sees it."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import Any

import pytest

from shared import bootstrap
from shared.contracts import approval_answers
from shared.contracts.instants import after
from tests.functions.conftest import App, Reply, dev
from tests.unit.approvals import bench
from tests.unit.approvals.bench import policy

RITA, RALF, ALICE = (dev(name, roles="reviewer") for name in ("rita", "ralf", "alice"))
MAX = dev("max", roles="member")
ROUTES = ("answer_approval", "answer_conversation_approval", "answer_assistant_approval")
EDITED = {"from_account": "acc-1", "recipient": "Bob", "amount_minor": 4_000, "currency": "EUR"}


@pytest.fixture
def app_with_bank(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    """The deployment's policy, as if it had a bank."""
    monkeypatch.setattr(bootstrap, "action_policy", _Cached())
    return app


class _Cached:
    def __call__(self) -> Any:
        return policy()

    def cache_clear(self) -> None:
        """The same for every test."""


async def ask(**more: Any) -> str:
    return await bench.ask(bootstrap.delivery(), tenant="home", requester="dev:alice", **more)


async def shown(app: App, approval_id: str, as_: dict[str, str] = RITA) -> Reply:
    return await app.call("get_approval", as_=as_, id=approval_id)


async def answer(
    app: App,
    approval_id: str,
    as_: dict[str, str] = RITA,
    decision: str = "approve",
    *,
    by: str = "answer_approval",
    key: str = "",
    conversation: str = bench.CONVERSATION,
    card_digest: str = "",
    **more: Any,
) -> Reply:
    digest = card_digest or (await shown(app, approval_id, dev(roles="auditor"))).body["card_digest"]
    body = {"decision": decision, "card_digest": digest, **more}
    headers = {"Idempotency-Key": key} if key else {}
    return await app.call(by, body, as_=as_, headers=headers, id=approval_id, conversation=conversation)


def code_of(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body["type"].removeprefix("urn:countersign:problem:")


async def test_a_card_says_everything_that_an_answer_rests_on(app: App):
    approval_id = await ask(amount_minor=200_000)
    reply = await shown(app, approval_id)
    assert reply.status == 200
    approval_answers.Approval.model_validate(reply.body)
    assert "tenant" not in reply.body
    assert "records" not in reply.body
    card = reply.body["card"]
    assert card["what"][0] == ["Amount", "2,000.00 EUR"]
    assert (card["asked_by"], card["why"], card["evidence"]) == ("dev:alice", "pay Bob", ["said so"])
    assert "will leave account acc-1 once" in card["effects"][0]
    assert card["until"] == reply.body["expires_at"]
    assert (reply.body["still_needed"], reply.body["signatures"]) == (2, [])
    assert reply.body["you"] == {"may_answer": True, "code": "", "why": ""}


@pytest.mark.parametrize(
    ("as_", "code", "why"),
    [
        (ALICE, "requester_may_not_sign", "somebody else must"),
        (dev("aud", roles="auditor"), "role_missing", "reviewer"),
        (dev("op", roles="operator"), "role_missing", "reviewer"),
    ],
)
async def test_whoever_may_not_sign_is_told_why_before_trying(app: App, as_: dict[str, str], code: str, why: str):
    you = (await shown(app, await ask(), as_)).body["you"]
    assert (you["may_answer"], you["code"]) == (False, code)
    assert why in you["why"]


@pytest.mark.parametrize("by", ROUTES)
async def test_an_answer_is_taken_at_each_of_its_addresses(app: App, by: str):
    reply = await answer(app, await ask(), by=by, rationale="fine")
    assert (reply.status, reply.body["state"]) == (200, "approved")
    approval_answers.Answered.model_validate(reply.body)


@pytest.mark.parametrize("by", ROUTES[1:])
async def test_a_card_is_not_found_in_another_conversation(app: App, by: str):
    reply = await answer(app, await ask(), by=by, conversation="talk-2")
    assert code_of(reply) == (404, "not_found")


async def test_the_approver_is_who_signed_in_and_nothing_in_the_body(app: App):
    approval_id = await ask()
    for forged in ({"person": "ralf"}, {"roles": ["reviewer"]}, {"tenant": "desk"}, {"approved_by": "ralf"}):
        assert code_of(await answer(app, approval_id, **forged)) == (400, "invalid_input")
    assert (await answer(app, approval_id)).status == 200
    assert (await shown(app, approval_id)).body["signatures"][0]["person"] == "dev:rita"


async def test_the_same_key_gets_the_first_answer_and_another_body_is_refused(app: App):
    approval_id = await ask()
    first = await answer(app, approval_id, key="k-1")
    assert (await answer(app, approval_id, key="k-1")).body == first.body
    assert code_of(await answer(app, approval_id, key="k-1", rationale="x")) == (422, "idempotency_key_reused")
    assert code_of(await answer(app, approval_id, key="k-2")) == (409, "already_signed")


async def test_one_key_serves_two_cards(app: App):
    """The same client may use one key for each of its answers: a card is part of what the key is for."""
    first, second = await ask(), await ask(number=1)
    assert (await answer(app, first, key="k")).body["approval_id"] == first
    assert (await answer(app, second, key="k")).body["approval_id"] == second


async def test_two_people_at_once_have_one_winner_and_the_other_learns_the_state(app: App):
    approval_id = await ask()
    digest = (await shown(app, approval_id)).body["card_digest"]
    replies = await asyncio.gather(
        answer(app, approval_id, RITA, card_digest=digest), answer(app, approval_id, RALF, card_digest=digest)
    )
    good, late = sorted(replies, key=lambda reply: reply.status)
    assert (good.status, good.body["state"]) == (200, "approved")
    assert code_of(late) == (409, "approval_closed")
    assert "the card is approved" in late.body["detail"]


@pytest.mark.parametrize(
    ("as_", "more", "outcome"),
    [
        (RITA, {"card_digest": "0" * 64}, (409, "card_changed")),
        (RITA, {"card_digest": "abc"}, (400, "invalid_input")),
        (RITA, {"decision": "maybe"}, (400, "invalid_input")),
        (RITA, {"rationale": "x" * 501}, (400, "invalid_input")),
        (RITA, {"decision": "reject", "edited_arguments": EDITED}, (400, "edit_not_expected")),
        (RITA, {"edited_arguments": {**EDITED, "amount_minor": -1}}, (400, "arguments_invalid")),
        (RITA, {"edited_arguments": {**EDITED, "amount_minor": 40.0}}, (400, "invalid_input")),
        (RITA, {"edited_arguments": {**EDITED, "amount_minor": 2**70}}, (400, "invalid_input")),
        (RITA, {"edited_arguments": {**EDITED, "note": "\ud800"}}, (400, "invalid_input")),
        (RITA, {"edited_arguments": {**EDITED, "note": {"ä": 1}}}, (400, "invalid_input")),
        (RITA, {"edited_arguments": {**EDITED, "amount_minor": 1_000_001}}, (403, "edit_denied")),
        (RITA, {"edited_arguments": "everything"}, (400, "invalid_input")),
        (ALICE, {}, (403, "requester_may_not_sign")),
        (MAX, {}, (403, "role_missing")),
        (dev("op", roles="operator"), {}, (403, "role_missing")),
        (dev("aud", roles="auditor"), {}, (403, "role_missing")),
        (dev("rita", tenants="desk", roles="reviewer"), {}, (404, "not_found")),
    ],
)
async def test_each_refusal_has_its_status_and_changes_nothing(
    app_with_bank: App, as_: dict[str, str], more: dict[str, Any], outcome: tuple[int, str]
):
    app = app_with_bank
    approval_id = await ask()
    before = (await shown(app, approval_id)).body
    assert code_of(await answer(app, approval_id, as_, **more)) == outcome
    assert (await shown(app, approval_id)).body == before


@pytest.mark.parametrize("edit", [{**EDITED, "amount_minor": 40.0}, {"Amount": 1}, {"note": [[2**53]]}, "everything"])
async def test_an_edit_that_nobody_could_sign_is_one_complaint_at_its_place(app_with_bank: App, edit: Any):
    reply = await answer(app_with_bank, await ask(), RITA, edited_arguments=edit)
    (error,) = reply.body["errors"]
    assert error["pointer"] == "/edited_arguments"
    assert "without fractions" in error["message"]


async def test_a_program_cannot_answer(app: App, settings: Any, monkeypatch: pytest.MonkeyPatch):
    import base64

    approval_id = await ask()
    digest = (await shown(app, approval_id)).body["card_digest"]
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True", TENANT_CLAIM="tenants", ROLES_CLAIM="roles")
    bootstrap.settings.cache_clear()
    claims = [("idtyp", "app"), ("azp", "robot"), ("oid", "robot"), ("sub", "robot"), ("tenants", "home")]
    claims += [("roles", "reviewer"), ("roles", "operator")]
    principal = {"auth_typ": "aad", "claims": [{"typ": kind, "val": value} for kind, value in claims]}
    header = base64.b64encode(json.dumps(principal).encode()).decode()
    for by in ROUTES:
        reply = await app.call(
            by, {"decision": "approve", "card_digest": digest}, as_={"X-MS-CLIENT-PRINCIPAL": header},
            id=approval_id, conversation=bench.CONVERSATION,
        )  # fmt: skip
        assert code_of(reply) == (403, "role_missing")


@pytest.mark.parametrize("by", ROUTES)
async def test_an_answer_given_twice_is_one_signature_and_the_first_answer(app: App, by: str):
    approval_id = await ask(amount_minor=200_000)
    digest = (await shown(app, approval_id)).body["card_digest"]
    first, again = [await answer(app, approval_id, by=by, card_digest=digest) for _ in range(2)]
    assert (again.status, again.body) == (200, first.body)
    changed = await answer(app, approval_id, by=by, decision="reject", card_digest=digest)
    assert code_of(changed) == (409, "already_signed")
    card = (await shown(app, approval_id)).body
    assert (card["state"], len(card["signatures"]), card["still_needed"]) == ("pending", 1, 1)


@pytest.mark.parametrize("by", ROUTES)
async def test_an_answer_to_what_the_card_said_before_an_edit_is_refused_whatever_it_says(app_with_bank: App, by: str):
    app, approval_id = app_with_bank, await ask()
    stale = (await shown(app, approval_id)).body["card_digest"]
    await answer(app, approval_id, RITA, edited_arguments=EDITED)
    for decision in ("approve", "reject"):
        reply = await answer(app, approval_id, RALF, decision, by=by, card_digest=stale)
        assert code_of(reply) == (409, "card_changed")
        assert "read it again" in reply.body["detail"]
    card = (await shown(app, approval_id)).body
    assert (card["state"], [one["person"] for one in card["signatures"]]) == ("modified", ["dev:rita"])
    assert (await answer(app, approval_id, RALF, by=by)).body["state"] == "approved"


@pytest.mark.parametrize("by", ROUTES)
@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_another_tenants_card_takes_no_answer_and_is_not_even_there(app: App, by: str, decision: str):
    approval_id = await ask()
    before = await shown(app, approval_id)
    stranger = dev("rita", tenants="desk", roles="reviewer,operator,auditor")
    reply = await answer(app, approval_id, stranger, decision, by=by, card_digest=before.body["card_digest"])
    assert code_of(reply) == (404, "not_found")
    assert code_of(await answer(app, "nothing-of-the-kind", stranger, decision, by=by, card_digest="0" * 64)) == (
        404,
        "not_found",
    )
    assert (await shown(app, approval_id)).body == before.body


@pytest.mark.parametrize("by", ROUTES)
@pytest.mark.parametrize("roles", ["member", "auditor", "operator", "member,auditor,operator"])
async def test_whoever_lacks_the_cards_role_can_neither_allow_nor_deny(app: App, by: str, roles: str):
    approval_id = await ask()
    before = await shown(app, approval_id)
    for decision in ("approve", "reject"):
        reply = await answer(
            app, approval_id, dev("max", roles=roles), decision, by=by, card_digest=before.body["card_digest"]
        )
        assert code_of(reply) == (403, "role_missing")
    assert (await shown(app, approval_id)).body == before.body


@pytest.mark.parametrize("by", ROUTES)
async def test_an_answer_after_expiry_is_refused_and_is_nobodys_no(app: App, by: str, monkeypatch: pytest.MonkeyPatch):
    approval_id = await ask()
    _later(monkeypatch, minutes=240)
    for decision in ("approve", "reject"):
        assert code_of(await answer(app, approval_id, by=by, decision=decision)) == (409, "approval_expired")
    card = (await shown(app, approval_id)).body
    assert (card["state"], card["signatures"], card["rejected_by"]) == ("expired", [], "")


async def test_after_its_time_a_card_is_expired_for_everybody(app: App, monkeypatch: pytest.MonkeyPatch):
    approval_id = await ask()
    _later(monkeypatch, minutes=240)
    assert code_of(await answer(app, approval_id)) == (409, "approval_expired")
    body = (await shown(app, approval_id)).body
    assert (body["state"], body["still_needed"], body["you"]["code"]) == ("expired", 0, "approval_expired")
    assert (await app.call("list_approvals", as_=RITA)).body["items"] == []


def _later(monkeypatch: pytest.MonkeyPatch, **by: float) -> None:
    """Everything that is built reads a clock that is ahead."""
    from datetime import timedelta

    delivery = bootstrap.delivery()
    now = delivery.now
    object.__setattr__(delivery, "now", lambda: now() + timedelta(**by))
    assert after(now(), seconds=0) < after(delivery.now(), seconds=0)


async def test_an_edit_over_http_raises_the_quorum(app_with_bank: App):
    app, approval_id = app_with_bank, await ask()
    reply = await answer(app, approval_id, edited_arguments={**EDITED, "amount_minor": 150_000})
    assert (reply.body["state"], reply.body["edited"], reply.body["still_needed"]) == ("modified", True, 1)
    assert (await answer(app, approval_id, RALF)).body["state"] == "approved"


async def test_the_inbox_lists_what_waits_the_longest_first(app: App):
    ids = [await ask(number=number, amount_minor=5_000 + number) for number in range(3)]
    await answer(app, ids[1])
    reply = await app.call("list_approvals", as_=RITA)
    approval_answers.ApprovalPage.model_validate(reply.body)
    assert [one["approval_id"] for one in reply.body["items"]] == [ids[0], ids[2]]
    assert all(one["you"]["may_answer"] for one in reply.body["items"])
    settled = await app.call("list_approvals", as_=RITA, params={"state": "approved"})
    assert [one["approval_id"] for one in settled.body["items"]] == [ids[1]]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"risk": "high"}, True), ({"risk": "low"}, False), ({"role": "reviewer"}, True), ({"role": "operator"}, False),
        ({"state": "pending"}, True), ({"state": "modified"}, False), ({"state": "consumed"}, False),
        ({"older_than": "0"}, True), ({"older_than": "5"}, False),
    ],
)  # fmt: skip
async def test_the_inbox_can_be_narrowed(app: App, params: dict[str, str], found: bool):
    await ask()
    assert bool((await app.call("list_approvals", as_=RITA, params=params)).body["items"]) == found


async def test_old_cards_are_found_by_their_age(app: App, monkeypatch: pytest.MonkeyPatch):
    old = await ask()
    _later(monkeypatch, minutes=10)
    await ask(number=1)
    reply = await app.call("list_approvals", as_=RITA, params={"older_than": "5"})
    assert [one["approval_id"] for one in reply.body["items"]] == [old]


async def test_every_card_is_on_one_page(app: App):
    ids = [await ask(number=number) for number in range(7)]
    await answer(app, ids[3])
    seen, cursor = [], ""
    for _ in range(9):
        page = await app.call(
            "list_approvals", as_=RITA, params={"limit": "2", **({"cursor": cursor} if cursor else {})}
        )
        seen += [one["approval_id"] for one in page.body["items"]]
        cursor = page.body["cursor"]
        if not cursor:
            break
    assert seen == [one for one in ids if one != ids[3]]


@pytest.mark.parametrize("params", [{"state": "open"}, {"risk": "huge"}, {"role": "member"}, {"older_than": "-1"}])
async def test_a_filter_that_means_nothing_is_refused(app: App, params: dict[str, str]):
    assert code_of(await app.call("list_approvals", as_=RITA, params=params)) == (400, "parameter_invalid")


async def test_a_member_sees_the_own_requests_alone(app: App):
    own, other = await ask(), await bench.ask(bootstrap.delivery(), tenant="home", requester="dev:max", number=1)
    asker, stranger = dev("alice", roles="member"), dev("max", roles="member")
    assert [one["approval_id"] for one in (await app.call("list_approvals", as_=asker)).body["items"]] == [own]
    assert (await shown(app, own, asker)).body["you"]["code"] == "role_missing"
    assert code_of(await shown(app, own, stranger)) == (404, "not_found")
    assert (await shown(app, other, stranger)).status == 200


async def test_another_tenants_cards_are_not_there(app: App):
    approval_id = await ask()
    elsewhere = dev("rita", tenants="desk", roles="reviewer,auditor,operator")
    assert code_of(await shown(app, approval_id, elsewhere)) == (404, "not_found")
    assert (await app.call("list_approvals", as_=elsewhere)).body["items"] == []


@pytest.mark.parametrize("approval_id", ["nothing", "../run", "a" * 65])
async def test_what_is_no_card_is_not_found(app: App, approval_id: str):
    assert code_of(await shown(app, approval_id)) == (404, "not_found")
    assert code_of(await answer(app, approval_id, card_digest="0" * 64)) == (404, "not_found")


async def test_the_timer_ages_cards_of_every_tenant(app: App, monkeypatch: pytest.MonkeyPatch):
    from tests.functions.conftest import functions

    approval_id = await ask()
    _later(monkeypatch, minutes=300)
    await functions()["age_approvals"].get_user_function()(None)
    assert (await shown(app, approval_id)).body["expired_at"]


async def test_fifty_answers_from_ten_clients_at_once_are_one_decision(app: App):
    """On the store with its writer thread, as in production."""
    approval_id = await ask()
    digest = (await shown(app, approval_id)).body["card_digest"]
    people = [dev(f"reviewer-{number}", roles="reviewer") for number in range(10)]
    replies = await asyncio.gather(
        *(answer(app, approval_id, person, card_digest=digest, key="k") for _ in range(5) for person in people)
    )
    good = [reply.body for reply in replies if reply.status == 200]
    assert len(good) == 5
    assert all(body == good[0] for body in good)
    assert {code_of(reply) for reply in replies if reply.status != 200} == {(409, "approval_closed")}
    with closing(bootstrap.lanes().reader()) as reader:
        sent = reader.execute("select body from message").fetchall()
    assert [json.loads(body)["command_type"] for (body,) in sent] == ["AgentApprovalSubmitted"]
    assert len((await shown(app, approval_id)).body["signatures"]) == 1


async def test_five_clients_with_two_answers_each_fill_a_quorum_exactly(app: App):
    approval_id = await ask(amount_minor=200_000)
    digest = (await shown(app, approval_id)).body["card_digest"]
    people = [dev(f"reviewer-{number}", roles="reviewer") for number in range(5)]
    replies = await asyncio.gather(
        *(answer(app, approval_id, one, card_digest=digest, key=key) for key in "ab" for one in people)
    )
    good = [reply.body for reply in replies if reply.status == 200]
    assert sorted((body["state"], body["still_needed"]) for body in good) == [("approved", 0), ("pending", 1)]
    assert {code_of(reply)[1] for reply in replies if reply.status != 200} == {"approval_closed", "already_signed"}
    signatures = (await shown(app, approval_id)).body["signatures"]
    assert len({one["person"] for one in signatures}) == len(signatures) == 2
