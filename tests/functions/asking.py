"""Asks a row of the table of either app, and tells the answers of both alike."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from shared import bootstrap
from tests.functions import stream_bench
from tests.functions.access_table import CALLERS, Row, filled
from tests.functions.conftest import App
from tests.functions.two_tenants import EASYAUTH

STREAMED = sorted(stream_bench.functions())
STATUS_OF = {"not_found": 404, "role_missing": 403, "requester_may_not_sign": 403}


class Told(NamedTuple):
    """An answer of either app. outcome: as the table writes it. text: everything in it, headers too."""

    outcome: str
    code: str
    body: Any
    headers: dict[str, str]
    text: str


async def told_by(
    app: App, row: Row, who: str, ids: dict[str, str], *, headers: Any = None, query: Any = None, body: Any = None
) -> Told:
    """The row's wish of that caller, about `ids`; with more in headers and query, or another body."""
    sent, query = filled(row.wish.headers or {}, ids) | (headers or {}), query or {}
    told, route = filled(row.wish.body if body is None else body, ids), filled(row.wish.route or {}, ids)
    with pytest.MonkeyPatch.context() as here:
        if who == "program":
            for name, value in EASYAUTH.items():
                here.setenv(name, value)
            bootstrap.settings.cache_clear()
        if row.name in STREAMED:
            found = await _streamed(
                await stream_bench.call(row.name, told, as_=CALLERS[who], headers=sent, query=urlencode(query), **route)
            )
        else:
            reply = await app.call(row.name, told, as_=CALLERS[who], headers=sent, params=query, **route)
            found = _told(reply.status, reply.body, reply.headers)
    bootstrap.settings.cache_clear()
    return found


async def _streamed(reply: stream_bench.StreamReply) -> Told:
    """The stream to its end, or to the first heartbeat: then everything in it has been told."""
    if reply.status != 200:
        return _told(reply.status, reply.body, reply.headers)
    events = []
    async for frame in reply.each():
        if frame.data is not None:
            events.append(frame.data)
        elif events:
            break
    await stream_bench.settled()
    told, last = _told(200, events, reply.headers), events[-1]
    if last.get("type") != "RUN_ERROR":
        return told
    return told._replace(outcome=f"~{STATUS_OF[last['code']]}", code=last["code"])


def _told(status: int, body: Any, headers: dict[str, str]) -> Told:
    code = body["type"].removeprefix("urn:countersign:problem:") if status >= 400 else ""
    words = body.decode() if isinstance(body, bytes) else json.dumps(body)
    return Told(str(status), code, body, headers, words + json.dumps(headers))


APART = ("x-correlation-id", "content-length")


def shape_of(told: Told, *ids: str) -> Any:
    """What can be told from an answer: a problem's every word, else what has which form; without the ids themselves."""
    headers = {name: _hidden(value, ids) for name, value in told.headers.items() if name not in APART}
    return headers, _shape(told.body, ids, words=bool(told.code))


def _shape(value: Any, ids: tuple[str, ...], *, words: bool) -> Any:
    if isinstance(value, dict):
        return {name: _shape(one, ids, words=words) for name, one in value.items() if name != "correlation_id"}
    if isinstance(value, list):
        return [_shape(one, ids, words=words) for one in value]
    return _hidden(value, ids) if words else type(value)


def _hidden(value: Any, ids: tuple[str, ...]) -> Any:
    for id_ in ids if isinstance(value, str) else ():
        value = value.replace(id_, "<id>")
    return value
