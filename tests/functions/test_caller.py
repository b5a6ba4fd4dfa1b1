"""Who is calling: one way in per deployment, fail closed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from functions.caller import MEMBERSHIP_SECONDS, Caller, caller_of, correlation_of, forget, traceparent_of
from functions.claims import identity_of
from functions.roles import READS_MONEY
from shared.errors import ConfigurationError, ForbiddenError, InvalidInputError, UnauthenticatedError
from shared.settings import settings_from
from tests.functions.conftest import App, dev

Settings = Callable[..., None]
ANY = frozenset({"member", "reviewer", "auditor", "operator"})


def request(headers: dict[str, str]) -> func.HttpRequest:
    return func.HttpRequest("GET", "/api/v1/runs", headers=headers, body=b"")


async def who(headers: dict[str, str], *, needs: frozenset[str] = ANY) -> Caller:
    return await caller_of(request(headers), needs=needs)


def easyauth(*claims: tuple[str, str], role_type: str = "roles") -> dict[str, str]:
    told = {"auth_typ": "aad", "role_typ": role_type, "claims": [{"typ": typ, "val": val} for typ, val in claims]}
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(told).encode()).decode()}


async def test_dev_takes_the_header_and_shows_how_to_write_it(app: App):
    caller = await who({"X-Dev-Caller": "alice; tenants=home; roles=reviewer"})
    assert (caller.principal, caller.tenant, caller.roles) == ("dev:alice", "home", {"member", "reviewer"})
    with pytest.raises(UnauthenticatedError, match="X-Dev-Caller: alice; tenants=household"):
        await who({})
    twice = "alice; tenants=home; roles=member,bob; tenants=home; roles=operator"  # two headers, as the host joins them
    for wrong in ("", "  ; tenants=home", "alice; tenant=home", "al ice; tenants=home", twice):
        with pytest.raises(UnauthenticatedError):
            await who({"X-Dev-Caller": wrong})


async def test_several_tenants_need_a_choice(app: App):
    many = dev(tenants="home,desk:auditor", roles="")
    with pytest.raises(InvalidInputError, match="X-Tenant") as told:
        await who(many)
    assert told.value.code == "tenant_ambiguous"
    caller = await who(many | {"X-Tenant": "desk"})
    assert (caller.tenant, caller.roles, caller.tenants) == ("desk", {"auditor"}, ("desk", "home"))
    with pytest.raises(InvalidInputError):
        await who(many | {"X-Tenant": "../home"})
    with pytest.raises(ForbiddenError):
        await who(dev(tenants=""))


async def test_the_system_tenant_is_for_operators_and_auditors_who_name_it(app: App):
    caller = await who(dev(tenants="system", roles="member,reviewer,operator"))
    assert caller.roles == {"operator"}
    with pytest.raises(ForbiddenError):
        await who(dev(tenants="system", roles="member"))
    assert (await who(dev(tenants="home", roles="operator"))).tenants == ("home",)


async def test_easyauth_reads_remapped_claims(app: App, settings: Settings):
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
    microsoft = "http://schemas.microsoft.com/identity/claims/"
    caller = await who(
        easyauth(
            (microsoft + "objectidentifier", "oid-1"), (microsoft + "tenantid", "tid-1"), ("name", "Alice"),
            ("tenants", "home"), ("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "Reviewer"),
            role_type="http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
        )
    )  # fmt: skip
    assert (caller.principal, caller.name, caller.roles) == ("tid-1:oid-1", "Alice", {"member", "reviewer"})
    google = await who(
        easyauth(("sub", "108"), ("tenants", '{"home": ["auditor"], "desk": "member"}')) | {"X-Tenant": "home"}
    )
    assert (google.principal, google.roles, google.tenants) == ("aad:108", {"auditor"}, ("desk", "home"))


@pytest.mark.parametrize(
    "header", ["", "%", "e30=", "W10=", "bnVsbA==", base64.b64encode(b'{"claims":[1]}').decode(), "A" * 40_000]
)
async def test_easyauth_refuses_what_is_not_its_header(app: App, settings: Settings, header: str):
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
    with pytest.raises(UnauthenticatedError):
        await who({"X-MS-CLIENT-PRINCIPAL": header, **dev()})


@pytest.mark.parametrize("mode", ["dev", "jwt"])
async def test_the_easyauth_header_counts_in_no_other_mode(app: App, settings: Settings, mode: str):
    settings(
        AUTH_MODE=mode,
        WEBSITE_AUTH_ENABLED="True",
        JWT_ISSUER="https://i",
        JWT_AUDIENCE="a",
        JWT_JWKS_URI="https://i/keys",
    )
    with pytest.raises(UnauthenticatedError):
        await who(easyauth(("sub", "alice"), ("tenants", "home"), ("roles", "operator")))


@pytest.mark.parametrize("mode", ["easyauth", "jwt"])
async def test_the_dev_header_counts_in_no_other_mode(app: App, settings: Settings, mode: str):
    settings(
        AUTH_MODE=mode,
        WEBSITE_AUTH_ENABLED="True",
        JWT_ISSUER="https://i",
        JWT_AUDIENCE="a",
        JWT_JWKS_URI="https://i/keys",
    )
    with pytest.raises(UnauthenticatedError):
        await who(dev())


@pytest.mark.parametrize(
    "claims",
    [
        {"idtyp": "app", "tid": "t", "oid": "o", "sub": "o"},
        {"tid": "t", "oid": "o", "sub": "o", "azp": "client"},
        {"sub": "client", "azp": "client"},
        {"sub": "abc@clients", "gty": "client-credentials"},
    ],
)
async def test_a_program_may_submit_and_read_but_not_sign_or_operate(
    app: App, settings: Settings, claims: dict[str, str]
):
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
    told = [*claims.items(), ("tenants", "home"), *(("roles", role) for role in ("reviewer", "operator", "auditor"))]
    assert (await who(easyauth(*told))).roles == {"member", "auditor"}
    person = [*told, ("scp", "user_impersonation")]
    if "idtyp" not in claims and "gty" not in claims:
        assert (await who(easyauth(*person))).roles == ANY


async def test_an_identity_that_names_nobody_is_nobody(app: App, settings: Settings):
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
    with pytest.raises(UnauthenticatedError):
        await who(easyauth(("preferred_username", "alice@example.com"), ("tenants", "home")))


async def test_ids_that_are_no_texts_name_nobody(app: App):
    with pytest.raises(UnauthenticatedError):
        identity_of({"tid": 1, "oid": 2, "sub": ["x"]})


async def test_unknown_roles_and_malformed_tenants_mean_nothing(app: App):
    caller = await who({"X-Dev-Caller": "alice; tenants=home:admin,BAD,home/..:operator; roles=root"})
    assert (caller.tenants, caller.roles) == (("home",), {"member"})


async def test_long_or_unprintable_principals_become_digests(app: App, settings: Settings):
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
    for subject in ("x" * 300, "é", "a\nb"):
        caller = await who(easyauth(("sub", subject), ("tenants", "home")))
        assert caller.principal.startswith("sha256:")
        assert len(caller.principal) == 71


async def test_first_operators_begin_and_memberships_go_on(
    app: App, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    settings(
        AUTH_MODE="easyauth",
        WEBSITE_AUTH_ENABLED="True",
        TENANT_CLAIM="",
        FIRST_OPERATORS="aad:root=home, aad:root=desk",
    )
    root = easyauth(("sub", "root"), ("tenants", "elsewhere")) | {"X-Tenant": "home"}
    alice = easyauth(("sub", "alice"), ("tenants", "home"), ("roles", "operator"))
    with pytest.raises(ForbiddenError):
        await who(alice)
    forget()
    reply = await app.call("put_member", {"principal": "aad:alice", "roles": ["reviewer"]}, as_=root)
    assert reply.status == 200
    assert (await who(alice)).roles == {"member", "reviewer"}
    listed = await app.call("list_members", as_=root)
    assert [(one["principal"], one["roles"]) for one in listed.body["items"]] == [("aad:alice", ["reviewer"])]
    assert (await app.call("list_members", as_=root | {"X-Tenant": "desk"})).body["items"] == []
    await app.call("put_member", {"principal": "aad:alice", "roles": []}, as_=root)
    with pytest.raises(ForbiddenError):
        await who(alice)
    assert (await app.call("list_members", as_=root)).body["items"] == []


async def test_memberships_are_remembered_for_a_minute_at_most(
    app: App, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    settings(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True", TENANT_CLAIM="", FIRST_OPERATORS="aad:root=home")
    root, alice = easyauth(("sub", "root")), easyauth(("sub", "alice"))
    await app.call("put_member", {"principal": "aad:alice", "roles": ["member"]}, as_=root)
    assert (await who(alice)).roles == {"member"}
    now = 10.0**9
    monkeypatch.setattr("functions.caller.time.monotonic", lambda: now)
    monkeypatch.setattr("functions.http_tenant.forget", lambda _: None)  # another instance takes the role back
    await who(alice)
    await app.call("put_member", {"principal": "aad:alice", "roles": []}, as_=root)
    assert (await who(alice)).roles == {"member"}
    now += MEMBERSHIP_SECONDS
    with pytest.raises(ForbiddenError):
        await who(alice)


@pytest.mark.parametrize("value", ["alice", "=home", "alice=", "alice=HOME", "alice=home;bob"])
def test_a_malformed_first_operator_is_named(value: str):
    with pytest.raises(ConfigurationError, match="FIRST_OPERATORS"):
        settings_from({"AUTH_MODE": "dev", "FIRST_OPERATORS": value})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Correlation-Id": "req_1:a.b-c"}, "req_1:a.b-c"),
        ({"X-Correlation-Id": "bad id", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "a" * 32),
        ({"X-Correlation-Id": "x" * 65}, None),
        ({"traceparent": f"00-{'0' * 32}-{'b' * 16}-01"}, None),
        ({"X-Correlation-Id": "x\n"}, None),
    ],
)
def test_the_correlation_id_is_the_clients_the_traces_or_new(headers: dict[str, str], expected: Any):
    found = correlation_of(request(headers))
    assert found == expected if expected else len(found) == 32
    assert traceparent_of(request({"traceparent": "nonsense"})) == ""


async def test_every_answer_carries_the_correlation_id(app: App):
    sent = {"X-Correlation-Id": "req_7"}
    good = await app.call("list_runs", headers=sent)
    bad = await app.call("get_run", headers=sent, run_id="nope")
    assert good.headers["x-correlation-id"] == bad.headers["x-correlation-id"] == bad.body["correlation_id"] == "req_7"
    assert (await who(dev(), needs=READS_MONEY)).principal == "dev:alice"


def test_easyauth_is_refused_while_nothing_keeps_clients_from_sending_its_header():
    with pytest.raises(ConfigurationError, match="WEBSITE_AUTH_ENABLED"):
        settings_from({"AUTH_MODE": "easyauth"})


@pytest.mark.parametrize(
    "line",
    ['{"name": "p", "command_types": "ClassifyTransaction", "tenants": []}',
     '{"name": "p", "command_types": ["DropTables"], "tenants": ["home"]}',
     '{"name": "p", "command_types": [], "tenants": ["A B"]}', '{"name": 1, "command_types": [], "tenants": []}', "3"],
)  # fmt: skip
def test_a_producer_line_that_makes_no_sense_is_refused(line: str):
    with pytest.raises(ConfigurationError, match="OUTSIDE_PRODUCERS"):
        settings_from({"OUTSIDE_PRODUCERS": f"[{line}]"})
