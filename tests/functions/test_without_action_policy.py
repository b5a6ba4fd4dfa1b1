"""Without a readable action policy: nothing is done or signed, and questions are answered all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shared import bootstrap
from tests.functions.conftest import App, dev
from tests.functions.test_approvals import RITA, answer, ask, code_of, shown
from tests.functions.test_conversations import answer_all, post


@pytest.fixture(params=["missing", "no YAML", "no text", "unknown field"])
def app_without(request: pytest.FixtureRequest, app: App, tmp_path: Path, settings: Callable[..., None]) -> App:
    """The app with a policy that is not there, or is none."""
    told = {"no YAML": b"actions: [", "no text": b"name: \xff\xfe", "unknown field": b"name: actions\nextra: 1\n"}
    file = tmp_path / "actions.yaml"
    if request.param in told:
        file.write_bytes(told[request.param])
    settings(COUNTERSIGN_ACTION_POLICY=str(file))
    return app


async def _reply(app: App, text: str) -> str:
    posted = await post(app, text, as_=dev(roles="member"))
    assert (posted.status, posted.body["policy_disposition"]) == (202, "advisory_only")
    await answer_all()
    messages = (await app.call("get_conversation", id="c-1", as_=dev(roles="member"))).body["messages"]
    said = [one for one in messages if one["role"] == "assistant"][-1]
    assert said["provenance"]["disposition"] == "advisory_only"
    return str(said["text"])


async def test_a_question_is_answered_and_a_wish_gets_advice_only(app_without: App):
    assert "spent on groceries" in await _reply(app_without, "how much did I spend on groceries last month?")
    assert "only advice is given" in await _reply(app_without, "set a budget of 300 EUR for groceries")
    (action,) = (await app_without.call("list_actions", as_=dev(roles="member"))).body["items"]
    assert (action["state"], action["reason_codes"]) == ("denied", ["policy_context_missing"])


async def test_ready_names_it_and_the_log_says_why_once(app_without: App, caplog: pytest.LogCaptureFixture):
    for _ in range(3):
        reply = await app_without.call("ready")
        assert reply.status == 200
        assert "COUNTERSIGN_ACTION_POLICY" in reply.body["checks"]["action_policy"]
    errors = [one for one in caplog.records if one.levelname == "ERROR"]
    assert ["there is no action policy" in one.getMessage() for one in errors] == [True]


async def test_a_card_cannot_be_signed_or_edited_and_waits_but_may_be_turned_down(app_without: App):
    app, approval_id = app_without, await ask()
    before = (await shown(app, approval_id)).body
    for more in ({}, {"edited_arguments": before["arguments"] | {"amount_minor": 1}}):
        reply = await answer(app, approval_id, **more)
        assert code_of(reply) == (409, "policy_context_missing")
        assert "the card waits" in reply.body["detail"]
    assert (await shown(app, approval_id)).body == before
    (line,) = (await app.call("list_approvals", as_=RITA)).body["items"]
    for you in (before["you"], line["you"]):
        assert (you["may_answer"], you["code"]) == (False, "policy_context_missing"), "and is told so before trying"
    assert (await answer(app, approval_id, decision="reject")).body["state"] == "rejected"


async def test_what_else_asks_for_the_policy_goes_on(app_without: App):
    assert (await app_without.call("get_preferences")).status == 200
    assert bootstrap.configuration()["configuration_version"] == "none"
    assert (await app_without.call("list_approvals")).status == 200
