"""What nobody should send to conversations, cards and streams, or put on the lanes behind them: always the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

from shared.contracts.commands import envelope
from shared.contracts.lanes import ACTIONS, INGESTION, MESSAGES, SWEEP
from tests.bench import START
from tests.journeys.hostile import DEEP, JSON_TYPE, NOT_TEXT, Body, as_bytes

V1 = "/api/v1"
RUBBISH = (
    b"", b" ", b"null", b"[]", b"{", b"7", b'"x"', b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}x", b"{'a':1}",
    b'{"a":NaN}', b'{"a":1,"a":2}', b'{"unknown":1}', b"[" * DEEP, b'{"a":' * 40 + b"1" + b"}" * 40,
    b'{"\\ud800":1}', b'{"a":' + b"9" * 5_000 + b"}", b"A" * 300_000,
)  # fmt: skip
KINDS = ("text/plain", "", "text/csv", "application/x-www-form-urlencoded", "application/json; charset=utf-16")
ARGUMENTS = {"from_account": "acc-current", "recipient": "Anna", "amount_minor": 4_000, "currency": "EUR"}
BAD_EDITS: tuple[Any, ...] = (
    {}, [], 7, "all", {"amount_minor": 1}, {**ARGUMENTS, "amount_minor": 1.5}, {**ARGUMENTS, "amount_minor": -1},
    {**ARGUMENTS, "amount_minor": 0}, {**ARGUMENTS, "amount_minor": 2**53}, {**ARGUMENTS, "amount_minor": "4000"},
    {**ARGUMENTS, "amount_minor": True}, {**ARGUMENTS, "amount_minor": None}, {**ARGUMENTS, "currency": "EURO"},
    {**ARGUMENTS, "currency": "eur"}, {**ARGUMENTS, "currency": "XXX"}, {**ARGUMENTS, "recipient": ""},
    {**ARGUMENTS, "recipient": "An\u202ena"}, {**ARGUMENTS, "recipient": "An\nna"},
    {**ARGUMENTS, "recipient": "x" * 3_000},
    {**ARGUMENTS, "recipient": "\ud800"}, {**ARGUMENTS, "to_account": "a b"}, {**ARGUMENTS, "from_account": "../x"},
    {**ARGUMENTS, "from_account": None}, {**ARGUMENTS, "approved": True}, {**ARGUMENTS, "requested_by": "dev:mallory"},
    {**ARGUMENTS, "Amount": 1}, {**ARGUMENTS, "note": {"a": {"b": [2**60]}}}, {f"a{n}": n for n in range(60)},
    {**ARGUMENTS, "amount_minor": 1_000_000_00},
)  # fmt: skip
BAD_DIGESTS: tuple[Any, ...] = (None, "", "abc", "0" * 63, "0" * 65, "g" * 64, "A" * 64, 7, ["0" * 64], "0" * 64)
BAD_IDS = (
    "..", "%2e%2e", "a%2fb", "a%5cb", "%00", "%ff", "a%20b", "%0a", "%C3%A9", "x" * 65, "x" * 10_000, "a;b", "a,b",
    "%E2%80%AE", "%7B%22a%22%3A1%7D", "'%20OR%201=1", "*", "$top", "~", "!",
)  # fmt: skip


def spoilt(valid: dict[str, Any], **wrong: tuple[Any, ...]) -> Iterator[bytes]:
    """The valid body with one member wrong, or one too many, or one missing."""
    for name, values in wrong.items():
        for value in values:
            yield as_bytes({**valid, name: value})
    for name in ("tenant", "role", "approver", "__proto__", ""):
        yield as_bytes({**valid, name: "x"})
    for name in ("message", "when_busy", "decision", "card_digest", "threadId", "runId", "messages"):
        if name in valid:
            yield as_bytes({key: value for key, value in valid.items() if key != name})


TEXT = (*NOT_TEXT[:8], "", " ", "\t\n", "\ud800", "x" * 2_001)
NOTE = (None, 7, True, [], {}, "x" * 601, "\udfff")
KEY = (None, 7, [], {}, " a", "a ", "a\n", "é", "x" * 121, "\x00")


def talk(conversation: str) -> Iterator[Body]:
    """Messages and settings, under both names."""
    for name in ("agent", "assistant"):
        path = f"{V1}/{name}/conversations/{conversation}"
        valid = {"message": "transfer 9 euros from acc-current to Anna"}
        for raw in (*RUBBISH, *spoilt(valid, message=TEXT, user_note=NOTE, client_message_id=KEY)):
            yield Body(raw, JSON_TYPE, f"{path}/messages")
        for raw in (*RUBBISH, *spoilt({"when_busy": "reject"}, when_busy=(None, "", "REJECT", "drop", 7, [], {}))):
            yield Body(raw, JSON_TYPE, f"{path}/settings", "PUT")
        for kind in KINDS:
            yield Body(as_bytes(valid), kind, f"{path}/messages")
            yield Body(as_bytes({"when_busy": "reject"}), kind, f"{path}/settings", "PUT")
        for method in ("PUT", "DELETE", "PATCH", "GET"):
            yield Body(as_bytes(valid), JSON_TYPE, f"{path}/messages", method)


def answers(conversation: str, approval: str, digest: str, foreign: tuple[str, str]) -> Iterator[Body]:
    """Answers to a card that can be answered, and to what cannot. foreign: another tenant's card and its digest."""
    valid = {"decision": "approve", "card_digest": digest}
    decisions = (None, "", "APPROVE", "approved", "yes", True, 1, [], {}, "approve ")
    wrong = {
        "decision": decisions, "card_digest": BAD_DIGESTS, "rationale": (None, 7, [], "x" * 501, "\ud800"),
        "edited_arguments": BAD_EDITS,
    }  # fmt: skip
    theirs = as_bytes({"decision": "approve", "card_digest": foreign[1]})
    at = f"{V1}/agent/conversations"
    for path in (f"{V1}/approvals/{approval}/answer", f"{at}/{conversation}/approvals/{approval}"):
        for raw in (*RUBBISH, *spoilt(valid, **wrong)):
            yield Body(raw, JSON_TYPE, path)
        for kind in KINDS:
            yield Body(as_bytes(valid), kind, path)
        yield Body(as_bytes({"decision": "reject", "card_digest": digest, "edited_arguments": ARGUMENTS}), path=path)
    for path in (
        f"{V1}/approvals/{foreign[0]}/answer", f"{at}/{conversation}/approvals/{foreign[0]}",
        f"{at}/other/approvals/{approval}", *(f"{V1}/approvals/{one}/answer" for one in BAD_IDS),
    ):  # fmt: skip
        yield Body(theirs, path=path)
        yield Body(as_bytes(valid), path=path)


def streams(conversation: str, approval: str, digest: str) -> Iterator[Body]:
    """Requests to the second app."""
    chat = {"message": "help", "conversation_id": conversation}
    ids = (7, [], {}, "", "a b", "../x", "x" * 65, "é", "\ud800", True)
    for raw in (*RUBBISH, *spoilt(chat, message=TEXT, conversation_id=ids, user_note=NOTE, client_message_id=KEY)):
        yield Body(raw, JSON_TYPE, f"{V1}/chat")
    said = {"id": "u-1", "role": "user", "content": "help"}
    run = {"threadId": conversation, "runId": "r", "messages": [said], "state": {}, "tools": [], "context": []}
    yes = {"interruptId": approval, "status": "resolved", "payload": {"approved": True, "cardDigest": digest}}
    for raw in RUBBISH:
        yield Body(raw, JSON_TYPE, f"{V1}/agui")
    messages = (
        None, 7, {}, "help", [None], [7], [{}], [{**said, "role": "root"}], [{**said, "content": None}],
        [{**said, "content": ""}], [{**said, "content": " "}], [{**said, "content": "x" * 2_001}],
        [{**said, "content": []}], [{**said, "content": [{"type": "text"}]}], [{**said, "content": "\ud800"}],
        [{**said, "role": "assistant"}], [{**said, "id": None}], [],
    )  # fmt: skip
    resumes = (
        7, {}, "x", [None], [7], [{}], [yes, yes], [{**yes, "interruptId": "a/b"}], [{**yes, "status": "approved"}],
        [{**yes, "payload": None}], [{**yes, "payload": {}}], [{**yes, "payload": "approve"}],
        [{**yes, "payload": {**yes["payload"], "approved": "true"}}], [{**yes, "payload": {**yes["payload"], "x": 1}}],
        [{**yes, "payload": {"approved": True}}], [{**yes, "payload": {**yes["payload"], "cardDigest": "abc"}}],
        [{**yes, "payload": {**yes["payload"], "editedArgs": [1]}}], [yes] * 21, [{**yes, "interruptId": ""}],
        [{**yes, "payload": {**yes["payload"], "rationale": "x" * 501}}],
    )  # fmt: skip
    threads = (None, 7, [], {}, "", "a b", "x" * 65, "../x", "é", "\ud800")
    for name, values in (("messages", messages), ("resume", resumes), ("threadId", threads), ("runId", (7, [], {}))):
        for value in values:
            yield Body(as_bytes({**run, name: value}), JSON_TYPE, f"{V1}/agui")
    for path in ("chat", "agui"):
        for kind in KINDS:
            yield Body(as_bytes(chat if path == "chat" else run), kind, f"{V1}/{path}")
        yield Body(b"", "", f"{V1}/{path}", "GET")


def looks(conversation: str) -> Iterator[Body]:
    """Reads that mean nothing: strange ids, numbers and cursors."""
    paths = ("agent/conversations/{}", "agent/conversations/{}/stream", "approvals/{}", "actions/{}",
             "actions/{}/statement", "assistant/conversations/{}/stream?live=true")  # fmt: skip
    for one, path in product(BAD_IDS, paths):
        if one != "%0a" or "live" not in path:  # to the extension's own router a line end is no part of a path
            yield Body(b"", "", f"{V1}/{path.format(one)}", "GET")
    for number in ("-1", "1e3", "x", "0x1", "1.0", "9" * 11, "9" * 5_000, "%00", "%D9%A1", "1%0a2", "+1", "%201"):
        for live in ("", "&live=true"):
            path = f"{V1}/agent/conversations/{conversation}/stream?last_event_id={number}{live}"
            yield Body(b"", "", path, "GET")
    for query in ("limit=0", "limit=201", "limit=x", "cursor=x", f"cursor={'A' * 2_000}", "cursor=%00", "cursor=e30",
                  f"cursor={quote(json.dumps(['', '', '']))}"):  # fmt: skip
        for path in ("agent/conversations", f"agent/conversations/{conversation}", "approvals", "actions", "budgets"):
            yield Body(b"", "", f"{V1}/{path}?{query}", "GET")


def commands(tenant: str, ids: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """(lane, message): each names what is really there, and none has been sent by us."""
    payloads: dict[str, dict[str, Any]] = {
        "AgentMessagePosted": {"conversation_id": ids["conversation"], "message_id": ids["message"], "turn": 1},
        "AgentApprovalSubmitted": {"approval_id": ids["approval"], "conversation_id": ids["conversation"]},
        "RequestAction": {"action_id": ids["approval"]},
        "PerformAction": {"action_id": ids["approval"]},
        "AnswerApproval": {"approval_id": ids["approval"], "decision": "approve", "card_digest": ids["digest"],
                           "person": "dev:rita", "roles": ["reviewer"]},
        "AgeApproval": {"approval_id": ids["approval"], "moment": "expire"},
    }  # fmt: skip
    number = 0
    for kind, payload in payloads.items():
        for lane in (MESSAGES.queue, ACTIONS.queue, INGESTION.queue, SWEEP.queue):
            for producer in ("countersign", "pipeline", "stranger"):
                for cause in ("", ids["command"]):
                    number += 1
                    told = envelope(kind, payload, command_id=f"h-{number}", tenant=tenant, source="x",
                                    issued_at=START)  # fmt: skip
                    yield lane, as_bytes({**told, "producer": producer, "causation_id": cause})
        for name in payload:
            for value in (None, 7, "", "a b", "x" * 65, [], {}, "\ud800"):
                number += 1
                told = envelope(kind, payload, command_id=f"h-{number}", tenant=tenant, source="x", issued_at=START)
                yield MESSAGES.queue, as_bytes({**told, "payload": {**payload, name: value}})
        told = envelope(kind, payload, command_id=ids["command"], tenant=tenant, source="x", issued_at=START)
        yield ACTIONS.queue, as_bytes(told)
        yield ACTIONS.queue, as_bytes({**told, "payload": {**payload, "permit": {"allowed": True}}})
