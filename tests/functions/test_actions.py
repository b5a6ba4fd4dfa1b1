"""Actions over HTTP, as their readers see them."""

from __future__ import annotations

from typing import Any

import pytest

from shared import bootstrap
from shared.actions.action import proposed
from shared.actions.change_notifications import preference_doc_id
from shared.actions.life_cycle import moved
from shared.actions.registry import valid_arguments
from shared.actions.tally import counted
from shared.contracts import action_answers
from shared.guard.disposition import judge
from shared.ledger.budgets import budget_document
from shared.ports.document_store import Document
from tests.functions.conftest import App, dev

AT = "2026-03-01T12:00:00.000000Z"
ALICE, BOB = dev("alice", roles="member"), dev("bob", roles="member")


async def _stored(action_id: str, name: str, arguments: dict[str, Any], *, by: str, state: str = "") -> Document:
    """An action of `by`, in the tenant `home`, as its wish left it or in `state`."""
    told = valid_arguments(name, arguments)
    judged = judge(name, told, policy=bootstrap.action_policy(), requester_roles=("member",))
    action = proposed(
        "home", action_id=action_id, name=name, arguments=told, schema_version=1, judged=judged, tenant="home",
        requested_by=f"dev:{by}", requester_roles=("member",), conversation_id="c-1", message_id="m-1", turn=1,
        run_id="r-1", command_id="k-1", correlation_id="x-1", configuration=bootstrap.configuration(), at=AT,
    )  # fmt: skip
    if state:
        action = moved(moved(action, "intended", at=AT, intent_at=AT), state, at=AT, code="effect_done")
    action = action._replace(body={**action.body, "records": [1]})
    await bootstrap.delivery().store.commit("home", [action])
    return action


async def test_a_member_sees_the_own_actions_and_a_reviewer_everybodys(app: App):
    await _stored("a-1", "draft_message", {"recipient": "Anna", "text": "Hello"}, by="alice", state="done")
    await _stored("a-2", "draft_message", {"recipient": "Ben", "text": "Hello"}, by="bob")
    own = await app.call("list_actions", as_=ALICE)
    assert [one["action_id"] for one in own.body["items"]] == ["a-1"]
    action_answers.ActionPage.model_validate(own.body)
    both = await app.call("list_actions", as_=dev("carol", roles="reviewer"))
    assert {one["action_id"] for one in both.body["items"]} == {"a-1", "a-2"}
    done = await app.call("list_actions", as_=dev("carol", roles="auditor"), params={"state": "done"})
    assert [one["action_id"] for one in done.body["items"]] == ["a-1"]
    assert (await app.call("list_actions", as_=ALICE, params={"state": "done"})).body["items"]
    assert (await app.call("list_actions", as_=ALICE, params={"state": "waiting"})).body["items"] == []
    assert (await app.call("list_actions", params={"state": "unheard_of"})).status == 400


async def test_another_persons_action_is_not_there_for_a_member(app: App):
    await _stored("a-1", "draft_message", {"recipient": "Anna", "text": "Hello"}, by="alice")
    found = await app.call("get_action", as_=ALICE, id="a-1")
    assert (found.status, found.body["compensation"]) == (200, "None is needed: a draft does nothing.")
    assert (await app.call("get_action", as_=BOB, id="a-1")).status == 404
    assert (await app.call("get_action", as_=dev("alice", tenants="desk"), id="a-1")).status == 404


async def test_an_action_on_its_way_names_its_backend_and_how_the_breaker_stands(app: App):
    action = await _stored("a-1", "draft_message", {"recipient": "Anna", "text": "Hello"}, by="alice")
    await _stored("a-2", "draft_message", {"recipient": "Ben", "text": "Hello"}, by="alice")
    store = bootstrap.delivery().store
    (known,) = (await store.read_many("home", [action.id])).values()
    await store.commit("home", [known._replace(body={**known.body, "backend": "bank"})])
    found = await app.call("get_action", as_=ALICE, id="a-1")
    assert found.body["waits_for"] == {"backend": "bank", "breaker": "closed", "retry_at": ""}
    body = {"backend": "bank", "state": "open", "failures": [AT], "opened_at": AT, "retry_at": AT, "probe_until": "",
            "changed_at": AT}  # fmt: skip
    await store.commit("system", [Document("system", "breaker:bank", "breaker", body, sort="bank")])
    page = await app.call("list_actions", as_=ALICE)
    action_answers.ActionPage.model_validate(page.body)
    waits = {one["action_id"]: one["waits_for"] for one in page.body["items"]}
    assert waits == {"a-1": {"backend": "bank", "breaker": "open", "retry_at": AT}, "a-2": None}


async def test_a_done_action_says_by_which_action_it_is_undone(app: App):
    asked = {"category": "food", "limit_minor": 40_000, "currency": "EUR"}
    was = {"limit_minor": 30_000, "currency": "EUR"}
    waiting = await _stored("a-1", "set_budget", asked, by="alice")
    assert (await app.call("get_action", as_=ALICE, id="a-1")).body["undo"] is None
    done = moved(
        moved(waiting, "intended", at=AT, intent_at=AT), "done", at=AT, code="effect_done", result={"was": was}
    )
    done = done._replace(id="action:a-2", body={**done.body, "action_id": "a-2"}, etag="")
    await bootstrap.delivery().store.commit("home", [done])
    found = (await app.call("get_action", as_=ALICE, id="a-2")).body
    action_answers.Action.model_validate(found)
    assert found["undo"] == {"action": "set_budget", "arguments": {**asked, **was}}


async def test_a_statement_is_a_csv_of_its_span_that_no_spreadsheet_runs(app: App):
    await app.submit("t-1", booked_on="2026-02-01", descriptor='=HYPERLINK("http://x")')
    await app.submit("t-2", booked_on="2026-02-28")
    await app.submit("t-3", booked_on="2026-03-01")
    await _stored("a-1", "export_statement", {"since": "2026-02-01", "until": "2026-03-01"}, by="alice", state="done")
    reply = await app.call("get_statement", as_=ALICE, id="a-1")
    lines = reply.body.decode().split("\r\n")
    assert (reply.status, reply.kind, reply.headers["x-truncated"]) == (200, "text/csv", "false")
    assert lines[0].startswith("transaction_id,account,booked_on,amount_minor,currency")
    assert [line.split(",")[0] for line in lines[1:3]] == ["t-1", "t-2"]
    assert lines[3] == ""
    assert "\"'=HYPERLINK(" in lines[1]
    assert (await app.call("get_statement", as_=BOB, id="a-1")).status == 404


async def test_a_statement_downloaded_can_be_uploaded_again(app: App):
    await app.submit("t-1", amount_minor=-4320)
    await _stored("a-1", "export_statement", {}, by="alice", state="done")
    text = (await app.call("get_statement", as_=ALICE, id="a-1")).body.decode()
    header, row = text.split("\r\n")[:2]
    kept = [index for index, name in enumerate(header.split(",")) if name not in ("category", "review_state")]
    again = "\n".join(",".join(line.split(",")[index] for index in kept) for line in (header, row))
    reply = await app.call(
        "post_transactions", again.encode(), headers={"Content-Type": "text/csv", "Idempotency-Key": "again"}
    )
    assert (reply.status, reply.body["duplicate"]) == (202, 1)


async def test_there_is_no_statement_before_it_is_done_or_of_another_action(app: App):
    await _stored("a-1", "export_statement", {}, by="alice")
    await _stored("a-2", "draft_message", {"recipient": "Anna", "text": "Hello"}, by="alice", state="done")
    assert (await app.call("get_statement", as_=ALICE, id="a-1")).body["type"].endswith(":statement_not_ready")
    assert (await app.call("get_statement", as_=ALICE, id="a-2")).status == 404


async def test_budgets_preferences_and_drafts_are_shown(app: App):
    store = bootstrap.delivery().store
    budget = budget_document(
        "home", category="food", currency="EUR", limit_minor=40_000, at=AT, set_by="dev:alice", action_id="a-1",
        stored=None,
    )  # fmt: skip
    topics = {"budgets": {"enabled": True, "channel": "email"}}
    body = {"person": "dev:alice", "topics": topics, "changed_at": AT}
    preference = Document("home", preference_doc_id("dev:alice"), "preference", body, sort="dev:alice")
    text = {"draft_id": "a-1", "recipient": "Anna", "text": "Hello", "person": "dev:alice", "at": AT}
    draft = Document("home", "draft:a-1", "draft", text, sort=AT, keys={"subject": "dev:alice"})
    await store.commit("home", [budget, preference, draft])
    found = await app.call("list_budgets", as_=ALICE)
    assert found.body["items"][0]["limit_minor"] == 40_000
    told = (await app.call("get_preferences", as_=ALICE)).body["topics"]
    assert told["budgets"] == {"enabled": True, "channel": "email"}
    assert told["weekly_summary"] == {"enabled": False, "channel": "app"}
    assert (await app.call("list_drafts", as_=ALICE)).body["items"][0]["text"] == "Hello"
    assert (await app.call("list_drafts", as_=BOB)).body["items"] == []
    assert (await app.call("get_preferences", as_=BOB)).body["changed_at"] == ""


@pytest.mark.parametrize("outcome", ["done", "refused"])
async def test_outcomes_are_counted_by_action_backend_and_configuration(app: App, outcome: str):
    action = await _stored("a-1", "draft_message", {"recipient": "Anna", "text": "Hello"}, by="alice", state="done")
    merge = counted("home", action.body, outcome=outcome, at=AT)
    await bootstrap.delivery().store.commit("home", list(merge.made({})))
    found = await app.call("get_action_metrics", as_=dev("olga", roles="operator"))
    action_answers.ActionMetrics.model_validate(found.body)
    row = {
        "action": "draft_message",
        "backend": "own",
        **bootstrap.configuration(),
        "outcome": outcome,
        "count": 1,
    }
    assert found.body == {"days": [{"day": "2026-03-01", "rows": [row]}], "cursor": ""}


@pytest.mark.parametrize("rows", [3, 400, 500, 1_000, 1_700])
async def test_many_counts_come_in_pages_each_once(app: App, rows: int):
    store = bootstrap.delivery().store
    for day in range(1, 10):
        counts = {f"draft_message|own|v|c-{number:04d}|done": number for number in range(rows if day % 3 else 1)}
        body = {"day": f"2026-03-{day:02d}", "counts": counts}
        sort = f"actions:{body['day']}"
        await store.commit("home", [Document("home", f"metric:{sort}", "metric", body, sort=sort)])
    seen, cursor = [], ""
    for _ in range(30):
        page = await app.call("get_action_metrics", params={"days": "8", **({"cursor": cursor} if cursor else {})})
        action_answers.ActionMetrics.model_validate(page.body)
        assert sum(len(day["rows"]) for day in page.body["days"]) <= 1_000
        seen += [(day["day"], row["configuration_version"]) for day in page.body["days"] for row in day["rows"]]
        cursor = page.body["cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 5 * rows + 3
    assert [day for day, _ in seen] == sorted([day for day, _ in seen], reverse=True)
    assert {day for day, _ in seen} == {f"2026-03-{day:02d}" for day in range(2, 10)}


@pytest.mark.parametrize("cursor", ["x", "7.0", "7.0.actions:2026-03-01;", "-1.0.actions:2026-03-01", "7.0.turns:x"])
async def test_a_cursor_of_another_making_is_refused(app: App, cursor: str):
    reply = await app.call("get_action_metrics", params={"cursor": cursor})
    assert (reply.status, reply.body["type"]) == (400, "urn:countersign:problem:invalid_cursor")
