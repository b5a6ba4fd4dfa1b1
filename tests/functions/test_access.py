"""Every endpoint of both apps x everybody x the own tenant and another's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from functions import stream_conversation, stream_resume
from functions.operations import OPERATIONS
from functions.roles import WHO_MAY, WHO_MAY_STREAM
from tests.functions import stream_bench
from tests.functions.access_table import CALLERS, ROWS
from tests.functions.asking import STREAMED, shape_of, told_by
from tests.functions.conftest import ALL_ROLES, App, dev, http_names
from tests.functions.two_tenants import BANK, DESK, HOME, SAID, THEIR_WORD, World, made_in

OPEN = sorted(key for key, row in ROWS.items() if row.expected["nobody"] == "200")
CLOSED = sorted(ROWS.keys() - OPEN)
ABOUT = sorted(key for key, row in ROWS.items() if row.words)
TAKING = sorted(key for key, row in ROWS.items() if row.wish.body is not None)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return tmp_path_factory.mktemp("two-tenants") / "made", {}


@pytest.fixture
async def world(
    app: App, template: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    folder, ids = template
    for name, value in BANK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stream_resume, "OUTCOME_SECONDS", 0.0)
    monkeypatch.setattr(stream_conversation, "HEARTBEAT_SECONDS", 0.01)
    if not ids:
        ids.update(await made_in(folder, monkeypatch))
    made = World(tmp_path / "data", ids, folder)
    monkeypatch.setenv("COUNTERSIGN_DATA", str(made.folder))
    await made.begin_again()
    yield made
    await stream_bench.settled()


def test_every_endpoint_of_both_apps_has_a_row():
    first, second = http_names(), STREAMED
    assert {row.name for row in ROWS.values()} == {*first, *second}
    assert sorted(WHO_MAY) == first
    assert sorted(WHO_MAY_STREAM) == sorted([*second, "resume_agui"])
    assert sorted(OPERATIONS) == sorted([*first, *(name for name in second if name.startswith("post_"))])
    assert OPEN == ["health", "openapi", "openapi_v1", "ready"]


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("key", ROWS)
async def test_everybody_gets_what_the_table_says(app: App, world: World, key: str, who: str):
    row = ROWS[key]
    before, theirs = world.stored(HOME), world.stored(DESK)
    told = await told_by(app, row, who, world.ids[HOME])
    assert told.outcome == row.expected[who], told
    assert THEIR_WORD not in told.text.lower()
    assert world.stored(DESK) == theirs
    if not told.outcome.startswith("2"):
        assert changed(before, world.stored(HOME)) <= {"audit", "audit_head"}
    assert done_by(before, world.stored(HOME)) <= {principal_of(who)}
    if told.outcome in ("404", "~404") and key not in CREATES:  # what is another person's is not there, either
        unreal = {word: NOTHING[word] for word in row.words}
        unknown = await told_by(app, row, who, world.ids[HOME] | unreal)
        real = [world.ids[HOME][word] for word in row.words]
        assert shape_of(told, *real) == shape_of(unknown, *unreal.values())
    if told.outcome == "401":
        assert (told.code, told.headers["www-authenticate"]) == ("unauthenticated", "Bearer")


@pytest.mark.parametrize("who", ["owner", "member", "reviewer", "auditor", "operator"])
async def test_what_somebody_says_is_read_by_whoever_may_read_it_and_by_nobody_else(app: App, world: World, who: str):
    """Everything that this caller can look at, and each run there is. An operator sees what is asked for, for cards
    may want an operator's signature; not how it came about."""
    ids, told = world.ids[HOME], {}
    reads = [row for row in ROWS.values() if not row.name.startswith(("post_", "put_")) and row.wish.body is None]
    for row in reads:
        told[row.name] = (await told_by(app, row, who, ids)).text
    runs = [id_.removeprefix("run:") for id_, one in world.stored(HOME).items() if one.kind == "run"]
    for run in runs:
        told["get_run"] += (await told_by(app, ROWS["get_run"], who, {**ids, "run": run})).text
    heard = {name for name, text in told.items() if SAID in text}
    readers = {"get_conversation", "get_assistant_conversation", "list_actions", "get_run"}
    may: dict[str, set[str]] = {
        "owner": {*readers, "list_drafts"},
        "member": set(),
        "reviewer": readers,
        "auditor": {*readers, "list_audit", "export_audit"},
        "operator": {"list_actions"},
    }
    assert heard == may[who]


def changed(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    """The kinds of documents that are new or other than before."""
    return {one.kind for id_, one in {**before, **now}.items() if before.get(id_) != now.get(id_)}


def done_by(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    """The people that new audit records name."""
    new = [json.loads(one.body) for id_, one in now.items() if one.kind == "audit" and id_ not in before]
    return {one["who"]["id"] for one in new if one["who"]["kind"] == "person"}


def principal_of(who: str) -> str:
    return f"dev:{CALLERS[who].get('X-Dev-Caller', '').partition(';')[0]}" if who != "program" else "aad:robot"


@pytest.mark.parametrize("key", ABOUT)
async def test_a_foreign_id_is_the_id_of_nothing(app: App, world: World, key: str):
    """Each id that a wish names is once another tenant's real one, and once one that nobody has."""
    row, theirs = ROWS[key], world.stored(DESK)
    for word, who in product(row.words, CALLERS):
        answers = []
        for other in (world.ids[DESK], NOTHING):
            await world.begin_again()
            ids = world.ids[HOME] | {name: other[name] for name in (word, *DIGESTS.get(word, ()))}
            answers.append((await told_by(app, row, who, ids), other[word]))
        (foreign, told), (missing, unknown) = answers
        assert foreign.outcome == missing.outcome, (word, who, foreign, missing)
        assert shape_of(foreign, told) == shape_of(missing, unknown), (word, who)
        assert THEIR_WORD not in foreign.text.lower()
        assert world.stored(DESK) == theirs
        if foreign.code in ("role_missing", "unauthenticated"):
            assert row.expected[who] in ("401", "403", "~403"), (word, who)
        else:
            found = ("200", "202") if word in CREATES.get(key, ()) else ("404", "~404")
            assert foreign.outcome in found, (word, who, foreign)


DIGESTS = {"approval": ("card_digest",), "second": ("second_digest",)}
"""Whoever guesses a card may as well know what stands on it."""
NOTHING = {
    **{name: f"no-such-{name}" for name in ("transaction", "conversation", "parked", "finding")},
    **{name: f"00000000-0000-5000-8000-{n:012d}" for n, name in enumerate(
        ("ingestion", "approval", "second", "action", "statement", "run", "erasure"))},
    "card_digest": "0" * 64, "second_digest": "0" * 64,
}  # fmt: skip
CREATES = {
    "post_message": ("conversation",), "post_assistant_message": ("conversation",), "post_chat/on": ("conversation",),
    "post_agui/ask": ("conversation",), "post_erasure": ("transaction",),
}  # fmt: skip
"""A conversation begins with its first message, in the tenant of whoever writes it; there is nothing to erase of a
transaction that is not there."""


FORGED = {
    "tenant": DESK, "tenant_id": DESK, "role": "operator", "roles": "reviewer,operator", "approver": "dev:rita",
    "approved_by": "dev:rita", "requested_by": "dev:mia", "person": "dev:rita", "reviewer": "dev:rita",
    "operator": "dev:olga", "by": "dev:rita", "user": "dev:rita", "owner": "dev:mia", "caller": "dev:rita",
}  # fmt: skip
"""What somebody might hope to be believed."""
HEADERS = {
    **{f"X-{name.title().replace('_', '-')}": value for name, value in FORGED.items() if name != "tenant"},
    "X-MS-CLIENT-PRINCIPAL-ID": "rita", "X-MS-CLIENT-PRINCIPAL-NAME": "rita", "X-Forwarded-User": "rita",
    "X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/api/health", "X-HTTP-Method-Override": "GET",
    "Authorization": "Bearer e30.e30.e30", "X-Functions-Key": "key", "X-ARR-ClientCert": "e30=",
}  # fmt: skip


@pytest.mark.parametrize("key", CLOSED)
async def test_headers_and_query_cannot_say_who_calls(app: App, world: World, key: str):
    row, theirs = ROWS[key], world.stored(DESK)
    for who in CALLERS:
        await world.begin_again()
        more = {} if who == "program" else {"X-MS-CLIENT-PRINCIPAL": CALLERS["program"]["X-MS-CLIENT-PRINCIPAL"]}
        before = world.stored(HOME)
        told = await told_by(app, row, who, world.ids[HOME], headers=HEADERS | more, query=FORGED)
        assert told.outcome == row.expected[who], (who, told)
        assert THEIR_WORD not in told.text.lower()
        assert done_by(before, world.stored(HOME)) <= {principal_of(who)}, who
        assert world.stored(DESK) == theirs


@pytest.mark.parametrize("key", TAKING)
async def test_a_body_cannot_say_who_calls(app: App, world: World, key: str):
    row, ids = ROWS[key], world.ids[HOME]
    before, theirs = world.stored(HOME), world.stored(DESK)
    who = next(who for who, outcome in row.expected.items() if outcome.startswith("2"))
    for name, value in FORGED.items():
        for told in {json.dumps(value), json.dumps([value]), json.dumps({"id": value})}:
            reply = await told_by(app, row, who, ids, body={**row.wish.body, name: json.loads(told)})
            if row.name == "post_agui":
                assert done_by(before, world.stored(HOME)) <= {principal_of(who)}
                continue
            assert (reply.outcome, reply.code) == ("400", "invalid_input"), (name, reply)
            assert world.stored(HOME) == before
    assert world.stored(DESK) == theirs


@pytest.mark.parametrize("key", CLOSED)
async def test_nobody_gets_into_another_tenant(app: App, world: World, key: str):
    row, before, theirs = ROWS[key], world.stored(HOME), world.stored(DESK)
    answers = {}
    for who in [who for who in CALLERS if who != "nobody"]:
        for wish in (DESK, "no-such-tenant", "system"):
            told = await told_by(app, row, who, world.ids[DESK], headers={"X-Tenant": wish})
            assert (told.outcome, told.code) == ("403", "tenant_not_yours"), (who, wish)
            answers[wish] = shape_of(told, wish)
    assert answers[DESK] == answers["no-such-tenant"] == answers["system"]
    assert (world.stored(HOME), world.stored(DESK)) == (before, theirs)


@pytest.mark.parametrize("key", CLOSED)
async def test_a_role_in_one_tenant_is_none_in_another(app: App, world: World, key: str, monkeypatch: Any):
    """Whoever may everything in the other tenant comes here with a role that opens nothing here."""
    row = ROWS[key]
    for role in ("member", "auditor", "operator"):
        if row.expected[role] != "403":
            continue
        both = {
            "X-Dev-Caller": f"eve; tenants={HOME}:{role},{DESK}:member,{DESK}:reviewer,{DESK}:auditor,{DESK}:operator"
        }
        monkeypatch.setitem(CALLERS, "both", both)
        there = await told_by(app, row, "both", world.ids[DESK], headers={"X-Tenant": DESK})
        assert there.code != "role_missing", role
        here = await told_by(app, row, "both", world.ids[HOME], headers={"X-Tenant": HOME})
        assert here.outcome == "403", (role, here)
        which = await told_by(app, row, "both", world.ids[HOME])
        assert (which.outcome, which.code) == ("400", "tenant_ambiguous")


@pytest.mark.parametrize("key", CLOSED)
async def test_what_easy_auth_or_a_token_says_counts_for_nothing_where_people_sign_in_otherwise(
    app: App, world: World, key: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(CALLERS, "forged", CALLERS["program"] | {"Authorization": "Bearer e30.e30.e30"})
    told = await told_by(app, ROWS[key], "forged", world.ids[HOME])
    assert (told.outcome, told.code) == ("401", "unauthenticated")


@pytest.mark.parametrize("key", ABOUT)
async def test_whoever_runs_the_system_has_nothing_in_a_tenant(app: App, world: World, key: str, monkeypatch: Any):
    monkeypatch.setitem(CALLERS, "system", dev("sys", "system", ALL_ROLES))
    before = world.stored(HOME)
    told = await told_by(app, ROWS[key], "system", world.ids[HOME])
    assert told.outcome in ("403", "404", "~403", "~404") or told.code == "not_confirmed", told
    assert world.stored(HOME) == before
