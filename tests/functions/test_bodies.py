"""Whatever is sent, what is wrong with it is the client's answer: always 4xx, never 500, and never an echo."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.openapi import SECOND_APP
from functions.operations import OPERATIONS
from tests.functions import stream_bench
from tests.functions.conftest import App, dev

STREAMED = sorted(one.name for one in SECOND_APP)
TAKES = sorted(name for name, operation in OPERATIONS.items() if operation.takes and name not in STREAMED)
LISTS = sorted(name for name, operation in OPERATIONS.items() if operation.query)
WITH_ID = {
    "get_ingestion", "get_transaction", "review_transaction", "get_run", "list_run_audit", "get_parked", "get_erasure",
    "replay_parked", "discard_parked", "close_finding", "answer_approval", "answer_conversation_approval",
    "answer_assistant_approval",
}  # fmt: skip
MARKER = "hunter2-do-not-echo"
DEEP = b"[" * 100_000
NESTED = b'{"a":' * 40 + b"1" + b"}" * 40
HOSTILE: list[tuple[bytes, str, int, str]] = [
    (b"", "application/json", 400, "body_missing"),
    (b"{}", "", 415, "unsupported_media_type"),
    (b"{}", "text/plain", 415, "unsupported_media_type"),
    (b"{}", "application/xml", 415, "unsupported_media_type"),
    (b"{}", "application/json; charset=utf-16", 415, "unsupported_media_type"),
    (b"{}", "multipart/form-data; boundary=x", 415, "unsupported_media_type"),
    (b"\xff\xfe{\x00}\x00", "application/json", 400, "not_utf8"),
    (b'{"a":"\xc3\x28"}', "application/json", 400, "not_utf8"),
    (b"\xef\xbb\xbf{}", "application/json", 400, "not_json"),
    (b"{", "application/json", 400, "not_json"),
    (b"{}{}", "application/json", 400, "not_json"),
    (b"{'a':1}", "application/json", 400, "not_json"),
    (b'{"a":1,}', "application/json", 400, "not_json"),
    (b'{"a":NaN}', "application/json", 400, "not_json"),
    (b'{"a":-Infinity}', "application/json", 400, "not_json"),
    (b'{"a":' + b"9" * 5_000 + b"}", "application/json", 400, "not_json"),
    (b'{"a":1,"a":2}', "application/json", 400, "duplicate_member"),
    (b'{"b":{"a":1,"\\u0061":2}}', "application/json", 400, "duplicate_member"),
    (b'{"a":"\x00"}', "application/json", 400, "not_json"),
    (NESTED, "application/json", 400, "too_deep"),
    (DEEP, "application/json", 400, "too_deep"),
    (b"[" * 33 + b"]" * 33, "application/json", 400, "too_deep"),
    (b"null", "application/json", 400, "invalid_input"),
    (b"[]", "application/json", 400, "invalid_input"),
    (b'"x"', "application/json", 400, "invalid_input"),
    (b"0", "application/json", 400, "invalid_input"),
    (b'{"\\ud800":1}', "application/json", 400, "invalid_input"),
    (b'{"' + MARKER.encode() * 20 + b'":1}', "application/json", 400, "invalid_input"),
    (b'{"a":"\\ud800"}', "application/json", 400, "invalid_input"),
    (b" " * (6 * 1024 * 1024), "application/json", 413, "body_too_large"),
]


async def send(app: App, name: str, body: bytes, kind: str = "application/json", **more: Any) -> Any:
    route = {"id": "x-1", "conversation": "x-1"} if name in WITH_ID else {}
    return await app.call(name, body, headers={"Content-Type": kind} | more.pop("headers", {}), **route, **more)


@pytest.mark.parametrize("name", STREAMED)
async def test_hostile_bodies_are_refused_by_the_second_app_too(app: App, name: str):
    for body, kind, status, code in HOSTILE:
        reply = await stream_bench.call(name, body, headers={"Content-Type": kind})
        assert (reply.status, reply.body["type"]) == (status, f"urn:countersign:problem:{code}"), body[:60]
        assert MARKER * 5 not in json.dumps(reply.body)
        assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", TAKES)
async def test_hostile_bodies_are_refused_in_words(app: App, name: str):
    for body, kind, status, code in HOSTILE:
        if not body and OPERATIONS[name].may_be_empty:
            continue
        reply = await send(app, name, body, kind)
        assert (reply.status, reply.body["type"]) == (status, f"urn:countersign:problem:{code}"), body[:60]
        assert MARKER * 5 not in json.dumps(reply.body)
        assert reply.kind == "application/problem+json"


ANSWER = {"decision": "approve", "card_digest": "0" * 64, "rationale": "", "edited_arguments": {"note": "n"}}
MESSAGE = {"message": "m", "user_note": "", "client_message_id": ""}
VALID: dict[str, dict[str, Any]] = {
    "post_message": MESSAGE,
    "post_assistant_message": MESSAGE,
    "put_conversation_settings": {"when_busy": "reject"},
    "put_assistant_conversation_settings": {"when_busy": "reject"},
    "answer_approval": ANSWER,
    "answer_assistant_approval": ANSWER,
    "answer_conversation_approval": ANSWER,
    "post_transactions": {
        "transactions": [{
            "transaction_id": "t", "account": "a", "booked_on": "2026-01-01", "amount_minor": 1, "currency": "EUR",
            "descriptor": "d", "mcc": "", "group": "",
        }]
    },
    "post_history": {"rows": []},
    "review_transaction": {"action": "approve", "decision_version": 1, "category": "", "note": ""},
    "verify_audit": {"from": 0, "from_hash": ""},
    "replay_parked": {"note": ""},
    "discard_parked": {"note": ""},
    "close_finding": {"note": "n"},
    "put_profile": {"chart": ["a"], "base_currency": "EUR", "time_zone": "UTC", "accounts": []},
    "put_member": {"principal": "bob", "roles": ["member"]},
    "post_erasure": {"account": "a", "confirm": "home"},
}  # fmt: skip
WRONG_VALUES = (
    None,
    True,
    1.5,
    -1,
    2**70,
    MARKER + "\x00",
    "\ud800",
    "\u202e" + MARKER,
    "x" * 3_000,
    [],
    [MARKER],
    {},
    {"a": {}},
)


def test_every_body_has_a_valid_example_to_spoil():
    assert sorted(VALID) == TAKES


@pytest.mark.parametrize("name", TAKES)
async def test_each_field_spoilt_in_each_way_is_4xx_with_a_pointer(app: App, name: str):
    spoilt = 0
    for place, value in ((place, value) for place in places(VALID[name]) for value in WRONG_VALUES):
        body = json.dumps(with_value(VALID[name], place, value)).encode()
        reply = await send(app, name, body)
        assert reply.status in (200, 202, 400, 404, 409), (place, value, reply.body)
        if reply.status >= 400:
            spoilt += 1
            assert MARKER not in json.dumps(reply.body), (place, reply.body)
    unknown = await send(app, name, json.dumps(VALID[name] | {"unknown": MARKER}).encode())
    assert unknown.status == 400
    assert {"pointer": "/unknown", "message": "Extra inputs are not permitted"} in unknown.body["errors"]
    assert spoilt > 5


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here for key, inner in items for here in ((*at, key), *places(inner, (*at, key)))]


def with_value(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[place[0]] = with_value(copy[place[0]], place[1:], new)
    return copy


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
async def test_noise_is_never_our_fault(app: App, raw: bytes):
    for name in TAKES:
        reply = await send(app, name, raw)
        assert 400 <= reply.status < 500 or (raw.strip() in (b"", b"{}") and name == "verify_audit"), (
            name,
            raw,
            reply.body,
        )


BAD_IDS = ("", "..", "../x", "a/b", "a\\b", "a?b", "a#b", "x" * 65, "x" * 300, "é", "\x00", "a b", "%2e%2e", "t-1\n")


@pytest.mark.parametrize("name", sorted(WITH_ID))
async def test_an_impossible_id_is_the_id_of_nothing(app: App, name: str):
    for bad in BAD_IDS:
        route = {"run_id": bad} if name in ("get_run", "list_run_audit") else {"id": bad}
        body = json.dumps(VALID[name]).encode() if name in VALID else None
        reply = await app.call(name, body, headers={"Content-Type": "application/json"}, **route)
        assert reply.status == 404, bad


BAD_PARAMETERS = (
    "-1", "0x1", "1e3", "201" * 6, "\u0661", "x" * 2_000, "\x00", "' OR 1=1", "bm9wZQ", "W10", "WyIiLCAiIiwgIiJd",
)  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_has_a_limit_and_refuses_bad_parameters(app: App, name: str):
    await app.submit("t-1")
    run = (await app.call("list_runs")).body["items"][0]
    route = {"run_id": run["run_id"]} if name == "list_run_audit" else {}
    if name.endswith("_conversation"):
        await app.call("post_message", MESSAGE, id="x-1")
        route = {"id": "x-1"}
    for query in OPERATIONS[name].query:
        for bad in BAD_PARAMETERS:
            reply = await app.call(name, params={query.name: bad}, **route)
            assert reply.status == 400, (query.name, bad, reply.body)
    if any(query.name == "limit" for query in OPERATIONS[name].query):
        for bad in ("0", "201"):
            assert (await app.call(name, params={"limit": bad}, **route)).status == 400
        assert (await app.call(name, params={"limit": "200"}, **route)).status == 200


@pytest.mark.parametrize("key", ["x" * 201, "é", "a\tb", " a", "a "])
async def test_a_malformed_idempotency_key_is_refused(app: App, key: str):
    body = json.dumps(VALID["post_transactions"]).encode()
    reply = await send(app, "post_transactions", body, headers={"Idempotency-Key": key})
    assert (reply.status, reply.body["type"]) == (400, "urn:countersign:problem:idempotency_key_malformed")


async def test_hostile_headers_are_never_our_fault(app: App):
    for name in ("X-Dev-Caller", "X-Tenant", "X-Correlation-Id", "traceparent", "If-Match", "Idempotency-Key"):
        for value in ("", ";;;", "=", "\x00", "é" * 10, "x" * 10_000, "a; tenants=" + ",".join(map(str, range(3_000)))):
            reply = await app.call("put_profile", VALID["put_profile"], headers={name: value}, as_=dev())
            assert reply.status < 500, (name, value[:20], reply.body)


RUN = {
    "threadId": "t-1",
    "runId": "r-1",
    "protocolVersion": "1.0",
    "state": {"countersign": {"left": ["a"]}},
    "messages": [{"id": "u", "role": "user", "content": [{"type": "text", "text": "help"}]}],
    "tools": [{"name": "n", "description": "d", "parameters": {}}],
    "context": [{"description": "d", "value": "v"}],
    "forwardedProps": {},
    "resume": [{"interruptId": "i", "status": "cancelled", "payload": {"approved": False, "cardDigest": "0" * 64}}],
}


async def test_each_field_of_a_run_spoilt_in_each_way_is_an_answer_and_never_our_fault(app: App):
    for place, value in ((place, value) for place in places(RUN) for value in WRONG_VALUES):
        reply = await stream_bench.call("post_agui", with_value(RUN, place, value))
        assert reply.status in (200, 400), (place, value, reply.body)
        told = [frame.data for frame in await reply.frames() if frame.data]
        assert "unexpected_error" not in json.dumps([reply.body, told[-1:]]), (place, value)
        assert MARKER not in json.dumps(reply.body)
    await stream_bench.settled()
