"""Who may come in at the second app: each endpoint, each role, nobody, and another tenant."""

from __future__ import annotations

import pytest

from functions.roles import WHO_MAY_STREAM, expanded
from tests.functions.conftest import App, dev
from tests.functions.stream_bench import StreamReply, call, functions

NAMES = sorted(functions())
MAY = {name: WHO_MAY_STREAM[name] for name in NAMES} | {
    "post_agui": WHO_MAY_STREAM["post_agui"] | WHO_MAY_STREAM["resume_agui"]
}


async def knock(name: str, as_: dict[str, str], **headers: str) -> StreamReply:
    """An empty object is nobody's valid request: who may come in is told 400 or 404, never 401 or 403."""
    return await call(name, {} if name.startswith("post_") else None, as_=as_, headers=headers, id="x-1")


@pytest.mark.parametrize("name", NAMES)
async def test_roles_open_what_they_should_and_nothing_else(app: App, name: str):
    for role in ("member", "reviewer", "auditor", "operator"):
        reply = await knock(name, dev(roles=role))
        if expanded(frozenset({role})) & MAY[name]:
            assert reply.status in (400, 404), (role, reply.body)
        else:
            assert (reply.status, reply.body["type"]) == (403, "urn:countersign:problem:role_missing"), role


@pytest.mark.parametrize("name", NAMES)
async def test_nobody_gets_in_and_nobody_gets_into_another_tenant(app: App, name: str):
    assert (await knock(name, {})).status == 401
    assert (await knock(name, {}, **{"X-MS-CLIENT-PRINCIPAL": "e30=", "Authorization": "Bearer x"})).status == 401
    for wish in ("desk", "no-such-tenant", "system"):
        reply = await knock(name, dev(tenants="home"), **{"X-Tenant": wish})
        assert (reply.status, reply.body["type"]) == (403, "urn:countersign:problem:tenant_not_yours")
