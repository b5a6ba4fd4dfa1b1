"""What the local host answers: the app's HTTP functions under `/api`, and the host's own few addresses.

As the real host has them: `GET /admin/host/status`, `GET /admin/functions`, `POST /admin/functions/{name}`, and
`/runtime/webhooks/EventGrid?functionName=`. They need no key here, so a page in a browser must not reach them: only
requests that name this machine as their host, and no foreign origin, are served.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from local.http_answers import Answer, Problem, Response
from local.http_parser import Request
from local.routes import Match, Router
from local.runtime import Function, Outcome, Runtime, new_invocation_id
from local.stream_proxy import StreamProxy

logger = logging.getLogger("countersign.local.http")

_HERE = frozenset({"localhost", "127.0.0.1", "[::1]", ""})
type Run = Callable[[Function, str], None]


class HttpApp:
    """`handle` answers one request. `run(function, input)` starts a function that is not HTTP in the background.
    stream: the second app, which answers what the first one has no route for, and what is asked for `live=true`."""

    def __init__(self, *, runtime: Runtime, route_prefix: str, run: Run, stream: StreamProxy | None = None) -> None:
        self._runtime = runtime
        self._stream = stream
        self._run = run
        self._started = time.monotonic()
        functions = runtime.of_kind("http")
        self._router = Router(
            [(f.name, f.binding.get("route") or f.name, f.binding.get("methods") or ()) for f in functions],
            prefix=route_prefix,
        )

    async def handle(self, request: Request) -> Answer:
        """Route, invoke, answer."""
        if not is_here(request.headers.get("host", "")):
            return Problem(421, "this server answers only to the name of this machine (see COUNTERSIGN_ALLOWED_HOSTS)")
        path, _, query = request.target.partition("?")
        if not path.startswith("/"):
            try:
                path = urlsplit(path).path or "/"
            except ValueError:
                return Problem(400, "the request's target is no address")
        if path.startswith(("/admin/", "/runtime/")):
            return await self._own(request, path, query)
        match = self._router.find(request.method, path)
        if self._stream is not None and (not isinstance(match, Match) or "live=true" in query.split("&")):
            streamed = await self._stream.answer(request, path, query, needed=match is None)
            if streamed is not None:
                return streamed
        if match is None:
            return Problem(404, f"no function has the route {path}")
        if isinstance(match, list):
            return Problem(405, f"{request.method} is not among this route's methods", [("Allow", ", ".join(match))])
        function = self._runtime.functions[match.name]
        outcome = await self._runtime.http(
            function,
            new_invocation_id(),
            method=request.method,
            url=f"http://{request.headers.get('host', 'localhost')}{request.target}",
            headers=request.headers,
            query=_query(query) if query else {},
            route=match.parameters,
            body=request.body,
        )
        if not outcome.ok:
            return Problem(500, "the function failed; the host's log says why")
        return Response(*self._runtime.reply_of(outcome))

    async def _own(self, request: Request, path: str, query: str) -> Answer:
        origin = request.headers.get("origin", "")
        if origin and not _is_own(origin):
            return Problem(403, "the host's own addresses are not for other origins")
        parts = path.strip("/").split("/")
        match request.method, [part.lower() for part in parts]:
            case "GET", ["admin", "host", "status"]:
                return self._status()
            case "GET", ["admin", "functions"]:
                return _json(200, [_described(f) for f in self._runtime.functions.values()])
            case "POST", ["admin", "functions", _]:
                return self._fire(parts[2], request.body)
            case _, ["runtime", "webhooks", "eventgrid"]:
                return await self._event_grid(request, _query(query).get("functionName", ""))
        return Problem(404, f"the host has no address {request.method} {path}")

    def _status(self) -> Response:
        uptime = int((time.monotonic() - self._started) * 1000)
        told = {"id": "local", "state": "Running", "version": "local", "processUptime": uptime, "errors": None}
        return _json(200, {**told, "streamApp": self._stream.status()} if self._stream is not None else told)

    def _fire(self, name: str, body: bytes) -> Answer:
        function = self._runtime.functions.get(name)
        if function is None:
            return Problem(404, f"there is no function {name}")
        if function.kind == "http":
            return Problem(400, "call an HTTP function at its route")
        given = _parsed(body) if body.strip() else {}
        if not isinstance(given, dict) or not isinstance(given.get("input", ""), str):
            return Problem(400, 'the body is JSON, {"input": "..."}')
        if function.kind == "event_grid" and _events(given.get("input", "").encode()) is None:
            return Problem(400, "the input of an Event Grid function is an event as JSON")
        self._run(function, given.get("input", ""))
        return Response(202, (), b"")

    async def _event_grid(self, request: Request, name: str) -> Answer:
        function = self._runtime.functions.get(name)
        if function is None or function.kind != "event_grid":
            return Problem(404, f"there is no Event Grid function {name!r}")
        if request.method == "OPTIONS":  # the CloudEvents handshake
            if not (origin := request.headers.get("webhook-request-origin", "")):
                return Problem(400, "WebHook-Request-Origin is missing")
            return Response(200, [("WebHook-Allowed-Origin", origin), ("WebHook-Allowed-Rate", "*")], b"")
        if request.method != "POST":
            return Problem(405, "events are posted", [("Allow", "OPTIONS, POST")])
        events = _events(request.body)
        if events is None:
            return Problem(400, "the body is neither an event nor a list of events")
        kind = request.headers.get("aeg-event-type", "Notification").lower()
        if kind == "subscriptionvalidation":
            data = events[0].get("data") if events else None
            code = data.get("validationCode") if isinstance(data, dict) else None
            return _json(200, {"validationResponse": code}) if code else Problem(400, "there is no validationCode")
        if kind == "unsubscribe":
            return Response(202, (), b"")
        return await self._notify(function, events)

    async def _notify(self, function: Function, events: list[dict[str, object]]) -> Answer:
        outcomes: list[Outcome] = [
            await self._runtime.event_grid(function, new_invocation_id(), json.dumps(event)) for event in events
        ]
        if all(outcome.ok for outcome in outcomes):
            return Response(202, (), b"")
        return Problem(500, "the function failed; the host's log says why")


@functools.lru_cache(maxsize=256)
def is_here(host: str) -> bool:
    """Whether a Host header, or an origin's authority, names this machine (or one the setting allows)."""
    name = host.lower()
    name = name[: name.rindex("]") + 1] if "]" in name else name.partition(":")[0]
    return name in _HERE or name in os.environ.get("COUNTERSIGN_ALLOWED_HOSTS", "").lower().split(",")


def _is_own(origin: str) -> bool:
    """Whether a page of this origin may use the host's own addresses. `null` (a sandboxed page) has no authority."""
    try:
        authority = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(authority) and is_here(authority)


def _query(query: str) -> dict[str, str]:
    """Repeated names are joined by a comma, as the real host does."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _parsed(body: bytes) -> Any:
    """None for what is no JSON, is nested too deep, or holds half a character (a lone surrogate)."""
    try:
        orjson.loads(body)  # judges all of that; json keeps numbers of any size
        return json.loads(body)
    except ValueError:
        return None


def _events(body: bytes) -> list[dict[str, object]] | None:
    parsed = _parsed(body)
    events = parsed if isinstance(parsed, list) else [parsed]
    return events if all(isinstance(event, dict) for event in events) else None


def _described(function: Function) -> dict[str, object]:
    return {"name": function.name, "kind": function.kind, "trigger": function.binding}


def _json(status: int, content: object) -> Response:
    return Response(status, [("Content-Type", "application/json")], json.dumps(content).encode())
