"""An Event Grid custom topic with the CloudEvents input schema, over HTTP: as strict as the documentation.

One request is one JSON array of at most 1 MB, taken as a whole or not at all; 200 with an empty body; 400 for what is
no CloudEvent, 401 for a wrong key or token, 413 for too much. Sources: "Publish events to custom topics",
"CloudEvents v1.0 schema with Azure Event Grid" (learn.microsoft.com); CloudEvents 1.0 JSON event format, batch mode.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.doubles.credentials import TOKEN
from tests.doubles.web_server import WebServer

KEY = "ZG91YmxlLWtleQ=="
SCOPE = "https://eventgrid.azure.net/.default"
BATCH_TYPE = "application/cloudevents-batch+json; charset=utf-8"
MAX_BYTES = 1_048_576
_NAME = re.compile(r"[a-z0-9]{1,20}")


class EventGridTopic:
    """`delivered` holds, for each subscriber, every event that was taken."""

    def __init__(self, *subscribers: str, certificate: Path | None = None) -> None:
        self.server = WebServer(self._answer, certificate=certificate)
        self.delivered: dict[str, list[dict[str, Any]]] = {name: [] for name in subscribers or ("only",)}
        self.batches: list[int] = []

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    @property
    def endpoint(self) -> str:
        return f"{self.server.url}/api/events"

    async def _answer(self, request: web.Request) -> web.Response:
        status, why = await self._taken(request)
        if status == 200:
            return web.Response(status=200)
        return web.json_response({"error": {"code": str(status), "message": why}}, status=status)

    async def _taken(self, request: web.Request) -> tuple[int, str]:
        if request.path != "/api/events" or request.method != "POST":
            return 404, "not the endpoint of the topic"
        if request.query.get("api-version") != "2018-01-01":
            return 400, "api-version"
        if request.headers.get("aeg-sas-key") != KEY and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, "neither key nor token"
        if request.headers.get("Content-Type") != BATCH_TYPE:
            return 400, "content type"
        body = await request.read()
        if len(body) > MAX_BYTES:
            return 413, "the array may take 1 MB"
        try:
            events = json.loads(body, parse_constant=_no_json)
        except ValueError:
            return 400, "no JSON"
        if not (isinstance(events, list) and events and all(_is_cloud_event(event) for event in events)):
            return 400, "no batch of CloudEvents"
        for got in self.delivered.values():
            got.extend(events)
        self.batches.append(len(events))
        return 200, ""


def _no_json(name: str) -> Any:
    raise ValueError(name)


def _is_cloud_event(event: Any) -> bool:
    if not (isinstance(event, dict) and event.get("specversion") == "1.0"):
        return False
    texts = [event.get(name) for name in ("id", "source", "type")]
    if not all(isinstance(text, str) and text for text in texts):
        return False
    names = [name for name in event if name != "data_base64"]
    if not all(_NAME.fullmatch(name) for name in names) or {"data", "data_base64"} <= event.keys():
        return False
    try:
        datetime.fromisoformat(event.get("time", "2026-01-01T00:00:00Z"))
    except (TypeError, ValueError):
        return False
    return True
