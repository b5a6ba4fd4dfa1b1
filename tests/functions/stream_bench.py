"""Calls the functions of `stream_app.py` as the extension would, and reads their streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Any, NamedTuple

import pytest
from starlette.requests import Request

from functions import stream_turn
from tests.functions.conftest import dev

Script = Callable[..., Awaitable[dict[str, Any]]]
ANSWER = {"conversation_id": "c-1", "message_id": "m-1", "run_id": "r-1", "status": "answered", "text": "Hello there.", "approvals": []}  # noqa: E501  # fmt: skip


def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], list[dict[str, Any]]]:
    """Puts a script in the place of `live_turn`; gives back the list of what it was asked."""
    asked: list[dict[str, Any]] = []

    def put(script: Script) -> list[dict[str, Any]]:
        async def live_turn(delivery: Any, *, waiter: Any, said: Any, happened: Any, **told: Any) -> dict[str, Any]:
            asked.append(told)
            return {**await script(said, happened), "conversation_id": told["conversation_id"]}

        monkeypatch.setattr("shared.flows.live_turn.live_turn", live_turn)
        return asked

    return put


async def settled() -> None:
    """Until no turn runs any more."""
    while stream_turn._running:
        await asyncio.wait(stream_turn._running, timeout=5)


class Frame(NamedTuple):
    """One server-sent event; a heartbeat has neither name nor data."""

    event: str
    id: str
    data: Any


class StreamReply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any
    pieces: AsyncIterator[bytes]

    async def frames(self) -> list[Frame]:
        """All of them, to the end."""
        return [one async for one in self.each()]

    async def each(self) -> AsyncIterator[Frame]:
        rest = b""
        async for piece in self.pieces:
            *whole, rest = (rest + piece).split(b"\n\n")
            for block in whole:
                lines = [line.partition(": ") for line in block.decode().split("\n")]
                told = {name: value for name, _, value in lines if name}
                yield Frame(
                    told.get("event", ""), told.get("id", ""), json.loads(told["data"]) if "data" in told else None
                )
        assert rest == b"", rest


@cache
def functions() -> dict[str, Any]:
    import stream_app

    return {function.get_function_name(): function for function in stream_app.app.get_functions()}


async def call(
    name: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    as_: dict[str, str] | None = None,
    query: str = "",
    **route: str,
) -> StreamReply:
    function = functions()[name]
    trigger = function.get_trigger().get_dict_repr()
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    sent = {
        "Host": "localhost",
        "Content-Type": "application/json",
        **(dev() if as_ is None else as_),
        **(headers or {}),
    }
    scope = {
        "type": "http",
        "method": str(getattr(trigger["methods"][0], "value", trigger["methods"][0])),
        "path": f"/api/{trigger['route']}",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "path_params": route,
        "server": ("localhost", 80),
        "scheme": "http",
        "root_path": "",
    }
    pieces = iter([raw[n : n + 65_536] for n in range(0, len(raw), 65_536)] or [b""])
    left = [len(raw)]

    async def receive() -> dict[str, Any]:
        piece = next(pieces)
        left[0] -= len(piece)
        return {"type": "http.request", "body": piece, "more_body": left[0] > 0}

    response = await function.get_user_function()(Request(scope, receive))
    told = {name.lower(): value for name, value in response.headers.items()}
    if hasattr(response, "body_iterator"):
        return StreamReply(response.status_code, told, None, response.body_iterator)
    return StreamReply(response.status_code, told, json.loads(response.body), _nothing())


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
