"""Five hundred malformed bodies and five hundred malformed messages: each refused or parked with its reason."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import INGESTION
from shared.errors import TerminalError
from shared.ports.command_bus import MAX_BODY_BYTES, OutgoingMessage
from tests.journeys.hostile import Body, bodies, messages, newer
from tests.journeys.hosts import LocalHost, dev, rows, wait_for

PRODUCERS = [
    {"name": "pipeline", "command_types": ["ClassifyTransaction", "IngestionCompleted"], "tenants": ["household"]}
]
SYSTEM = dev("olga", "system", "auditor,operator")
PROBLEM = re.compile(r"urn:countersign:(problem:[a-z0-9_]+|local-host:\d+)")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LocalHost]:
    with LocalHost(tmp_path / "data", OUTSIDE_PRODUCERS=json.dumps(PRODUCERS)) as started:
        yield started


def wrong_with(reply: Any) -> str:
    """What is not as a refusal should be."""
    if not 400 <= reply.status < 500:
        return f"status {reply.status}"
    if reply.headers.get("content-type") != "application/problem+json":
        return f"content type {reply.headers.get('content-type')}"
    if not PROBLEM.fullmatch(reply.body["type"]) or not reply.body["detail"] or reply.body["status"] != reply.status:
        return f"problem {reply.body}"
    return ""


def send(host: LocalHost, body: Body, over: http.client.HTTPConnection, **more: Any) -> Any:
    try:
        return host.call(body.method, body.path, body.raw, {"Content-Type": body.kind}, over=over, **more)
    except (ConnectionError, http.client.HTTPException):  # refused before the whole body was read: ask alone
        over.close()
        return host.call(body.method, body.path, body.raw, {"Content-Type": body.kind}, over=over, **more)


def test_five_hundred_malformed_bodies_are_refused_with_a_reason_and_the_good_rows_among_them_decided(host):
    bad, over, wrong = bodies(500), host.connection(), []
    for number, body in enumerate(bad):
        if number % 25 == 0:
            assert host.upload(rows(f"good-{number}", f"better-{number}"), over=over).status == 202
        told = wrong_with(send(host, body, over))
        if told:
            wrong.append((told, body.method, body.path, body.kind, body.raw[:120]))
    over.close()
    assert wrong == []
    host.settled(40)
    assert {one["facts"]["transaction_id"][:4] for one in host.items("/api/v1/transactions")} == {"good", "bett"}
    assert host.items("/api/v1/parked") == host.items("/api/v1/parked", as_=SYSTEM) == []
    host.verified()


RAW = (
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n",
    b"POST /api/v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /api/v1/counters HTTP/1.1\r\nHost: ]\r\n\r\n", b"GET /%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/transactions/%2e%2e%2f HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/transactions?limit=%ff&limit=1 HTTP/1.1\r\nHost: localhost\r\nX-Dev-Caller: a; tenants=t\r\n\r\n",
    b"GET /api/v1/transactions?cursor=%00 HTTP/1.1\r\nHost: localhost\r\nX-Dev-Caller: a; tenants=t\r\n\r\n",
    b"GET /api/v1/transactions?cursor=e30 HTTP/1.1\r\nHost: localhost\r\nX-Dev-Caller: a; tenants=t\r\n\r\n",
    b"GET /api/v1/counters HTTP/1.1\r\nHost: localhost\r\nX-Dev-Caller: \xff\xfe; tenants=t\r\n\r\n",
    b"GET /api/v1/counters HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * 20_000 + b"\r\n\r\n",
    b"GET /api/v1/runs?status=%5B HTTP/1.1\r\nHost: localhost\r\nX-Dev-Caller: a; tenants=t\r\n\r\n",
)  # fmt: skip


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: repr(raw[:40]))
def test_what_is_hardly_http_gets_a_4xx_or_a_closed_connection(shared_host: LocalHost, raw: bytes):
    name, port = shared_host.address.split(":")
    with socket.create_connection((name, int(port)), timeout=10) as sock:
        sock.sendall(raw)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65_536):
            answer += piece
    assert answer == b"" or re.match(rb"HTTP/1.1 (4\d\d|505) ", answer), answer[:200]
    assert shared_host.get("/api/health") == {"status": "alive"}


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    with LocalHost(tmp_path_factory.mktemp("hostile") / "data") as started:
        yield started


async def put(host: LocalHost, sent: Sequence[bytes], prefix: str) -> int:
    """On the lane, as somebody with the right to send could; how many were too large to be taken."""
    lanes = SqliteLanes(host.data / "lanes.db")
    bus, refused = SqliteCommandBus(lanes), 0
    for number, body in enumerate(sent):
        message = OutgoingMessage(INGESTION.queue, body, f"{prefix}-{number}", session_id=f"s-{number % 8}")
        if len(body) > MAX_BODY_BYTES:
            with pytest.raises(TerminalError, match="bytes"):
                await bus.send([message])
            refused += 1
        else:
            await bus.send([message])
    await lanes.close()
    return refused


def test_five_hundred_malformed_messages_are_parked_with_a_reason_each_and_none_is_lost(host):
    assert host.upload(rows("good-1", "good-2")).status == 202
    bad, waiting = messages(500), newer(9)
    refused = asyncio.run(put(host, bad, "bad")) + asyncio.run(put(host, waiting, "newer"))
    assert host.upload(rows("good-3", "good-4")).status == 202
    wait_for(lambda: host.on_lanes() == len(waiting), "an empty lane", 60)

    parked = host.items("/api/v1/parked", as_=SYSTEM) + host.items("/api/v1/parked")
    assert len(parked) + refused == len(bad) == 500
    assert len({one["message_id"] for one in parked}) == len(parked)
    reasons = Counter(one["reason"] for one in parked)
    assert set(reasons) == {"malformed_envelope", "unauthenticated_command"}, reasons
    assert all(one["detail"] for one in parked)
    assert host.settled(4)
    assert {one["facts"]["transaction_id"] for one in host.items("/api/v1/transactions")} == {
        f"good-{n}" for n in (1, 2, 3, 4)
    }
    host.verified()
    records = [one for one in audit(host, SYSTEM) if one["what"] == "command_parked"]
    assert len(records) == len(parked)
    assert host.call("GET", "/api/v1/counters", as_=dev(tenant="other")).body == {"by_review_state": {}}


def audit(host: LocalHost, as_: dict[str, str]) -> list[dict[str, Any]]:
    found, after = [], 0
    while True:
        page = host.get(f"/api/v1/audit?limit=200&after={after}", as_=as_)
        found += page["items"]
        after = page["next_after"]
        if not after:
            return found
