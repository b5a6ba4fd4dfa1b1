"""Every HTTP function x every role x nobody x another tenant."""

from __future__ import annotations

from typing import Any

import pytest

from functions.openapi import SECOND_APP
from functions.operations import OPERATIONS
from functions.roles import WHO_MAY
from tests.functions.conftest import App, dev, http_names

OPEN = ("health", "openapi", "openapi_v1", "ready")
READERS_OF_MONEY = {"member", "reviewer", "auditor"}
WITH_ROLE: dict[str, set[str]] = {
    "answer_approval": {"reviewer", "operator"},
    "answer_assistant_approval": {"reviewer", "operator"},
    "answer_conversation_approval": {"reviewer", "operator"},
    "get_approval": READERS_OF_MONEY | {"operator"},
    "list_approvals": READERS_OF_MONEY | {"operator"},
    "get_conversation": READERS_OF_MONEY,
    "get_assistant_conversation": READERS_OF_MONEY,
    "list_conversations": READERS_OF_MONEY,
    "list_assistant_conversations": READERS_OF_MONEY,
    "post_message": {"member", "reviewer"},
    "post_assistant_message": {"member", "reviewer"},
    "put_conversation_settings": {"member", "reviewer"},
    "put_assistant_conversation_settings": {"member", "reviewer"},
    "stream_conversation": READERS_OF_MONEY,
    "stream_assistant_conversation": READERS_OF_MONEY,
    "close_finding": {"reviewer"},
    "get_action": READERS_OF_MONEY | {"operator"},
    "get_action_metrics": READERS_OF_MONEY | {"operator"},
    "get_preferences": {"member", "reviewer"},
    "get_statement": READERS_OF_MONEY,
    "list_actions": READERS_OF_MONEY | {"operator"},
    "list_budgets": READERS_OF_MONEY,
    "list_drafts": {"member", "reviewer"},
    "discard_parked": {"operator"},
    "export_audit": {"auditor"},
    "get_counters": READERS_OF_MONEY | {"operator"},
    "get_erasure": {"auditor", "operator"},
    "get_ingestion": READERS_OF_MONEY | {"operator"},
    "get_parked": {"auditor", "operator"},
    "get_profile": READERS_OF_MONEY | {"operator"},
    "get_run": READERS_OF_MONEY | {"operator"},
    "get_transaction": READERS_OF_MONEY,
    "list_audit": {"auditor"},
    "list_categories": READERS_OF_MONEY | {"operator"},
    "list_checkpoints": {"auditor"},
    "list_findings": READERS_OF_MONEY | {"operator"},
    "list_members": {"auditor", "operator"},
    "list_parked": {"auditor", "operator"},
    "list_run_audit": {"auditor"},
    "list_runs": READERS_OF_MONEY | {"operator"},
    "list_transactions": READERS_OF_MONEY,
    "post_erasure": {"operator"},
    "post_history": {"operator"},
    "post_transactions": {"member", "reviewer"},
    "put_member": {"operator"},
    "put_profile": {"operator"},
    "replay_parked": {"operator"},
    "review_transaction": {"reviewer"},
    "verify_audit": {"auditor"},
}
CLOSED = sorted(WITH_ROLE)


async def knock(app: App, name: str, as_: dict[str, str], headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """An empty object is nobody's valid request: who may come in is told 200, 400 or 404, never 401 or 403."""
    route = {"id": "x-1", "run_id": "x-1", "conversation": "x-1"}
    body = {} if OPERATIONS[name].takes else None
    reply = await app.call(name, body, as_=as_, headers=headers, **route)
    return reply.status, reply.body


def test_every_endpoint_has_its_row():
    second_app = {one.name for one in SECOND_APP}
    assert sorted([*CLOSED, *OPEN]) == http_names() == sorted(WHO_MAY) == sorted(OPERATIONS.keys() - second_app)


@pytest.mark.parametrize("name", CLOSED)
async def test_roles_open_what_they_should_and_nothing_else(app: App, name: str):
    for role in ("member", "reviewer", "auditor", "operator"):
        status, body = await knock(app, name, dev(roles=role))
        if role in WITH_ROLE[name]:
            assert status in (200, 202, 400, 404), (role, body)
        else:
            assert (status, body["type"]) == (403, "urn:countersign:problem:role_missing"), role


@pytest.mark.parametrize("name", CLOSED)
async def test_nobody_gets_in(app: App, name: str):
    status, body = await knock(app, name, {})
    assert (status, body["type"]) == (401, "urn:countersign:problem:unauthenticated")
    status, _ = await knock(app, name, {"X-MS-CLIENT-PRINCIPAL": "e30=", "Authorization": "Bearer x"})
    assert status == 401


@pytest.mark.parametrize("name", CLOSED)
async def test_nobody_gets_into_another_tenant(app: App, name: str):
    for wish in ("desk", "no-such-tenant", "system"):
        status, body = await knock(app, name, dev(tenants="home"), {"X-Tenant": wish})
        assert (status, body["type"]) == (403, "urn:countersign:problem:tenant_not_yours")


@pytest.mark.parametrize("name", CLOSED)
async def test_a_role_in_one_tenant_is_none_in_another(app: App, name: str):
    roles = sorted(WITH_ROLE[name])
    others = sorted({"member", "auditor", "operator"} - WITH_ROLE[name])
    if not others:
        return
    caller = {"X-Dev-Caller": f"alice; tenants=home:{others[0]},desk:{roles[0]}"}
    assert (await knock(app, name, caller, {"X-Tenant": "home"}))[0] == 403
    assert (await knock(app, name, caller, {"X-Tenant": "desk"}))[0] != 403


@pytest.mark.parametrize("name", OPEN)
async def test_anyone_may_ask_whether_it_works_and_how(app: App, name: str):
    assert (await knock(app, name, {}))[0] == 200
