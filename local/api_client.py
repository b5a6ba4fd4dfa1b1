"""The HTTP interface as one caller sees it: JSON, kept connections, time-outs, and retries where they are safe."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import orjson

from local.job import Deadline, JobFailedError

CALL_SECONDS = 60.0
TRIES = 6


class Reply(NamedTuple):
    """A JSON answer; header names in lower case."""

    status: int
    body: Any
    headers: dict[str, str]


class ApiClient:
    """One connection of one caller; not for use by two threads at once.

    caller: the `X-Dev-Caller` header. What changes something is sent with an idempotency key, or once only.
    """

    def __init__(self, url: str, caller: str, deadline: Deadline) -> None:
        self._authority = urlsplit(url).netloc
        self._caller = caller
        self._deadline = deadline
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, **query: Any) -> Any:
        """The body of a 200."""
        asked = {name: value for name, value in query.items() if value != ""}
        return self.call("GET", f"{path}?{urlencode(asked)}" if asked else path).body

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a paged list."""
        cursor = ""
        while True:
            page = self.get(path, **query, limit=200, cursor=cursor)
            yield from page["items"]
            cursor = page["cursor"]
            if not cursor:
                return

    def post(self, path: str, body: Any, *, key: str = "") -> Any:
        """The body of a 2xx. key: the idempotency key; without one a broken connection is not tried again."""
        return self.call("POST", path, body, headers={"Idempotency-Key": key} if key else {}).body

    def call(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Reply:
        """`JobFailedError` with the problem's own words for any answer but a 2xx."""
        sent = {"X-Dev-Caller": self._caller, "Content-Type": "application/json", **(headers or {})}
        data = None if body is None else orjson.dumps(body)
        safe = method in ("GET", "PUT") or "Idempotency-Key" in sent
        for turn in range(TRIES):
            last = turn == TRIES - 1
            try:
                reply = self._exchange(method, path, data, sent)
            except (OSError, http.client.HTTPException) as failed:
                self.close()
                if last or not safe:
                    raise JobFailedError(f"{method} {path}: the host does not answer ({failed})") from failed
            else:
                if reply.status < 300:
                    return reply
                if last or not safe or reply.status != 503:
                    raise JobFailedError(f"{method} {path} answered {_told(reply)}")
            time.sleep(min(0.1 * 2**turn, self._deadline.left()))
        raise AssertionError("unreachable")

    def attempt(self, method: str, path: str, body: Any, *, headers: dict[str, str]) -> Reply:
        """Whatever is answered, also a refusal; sent once."""
        sent = {"X-Dev-Caller": self._caller, "Content-Type": "application/json", **headers}
        return self._exchange(method, path, orjson.dumps(body), sent)

    def close(self) -> None:
        """The next call opens a new connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Reply:
        seconds = min(CALL_SECONDS, self._deadline.left())
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._authority, timeout=seconds)
        self._connection.request(method, path, body=data, headers=headers)
        response = self._connection.getresponse()
        content = response.read()
        told = {name.lower(): value for name, value in response.getheaders()}
        try:
            body = orjson.loads(content) if content else None
        except ValueError:
            body = None
        return Reply(response.status, body, told)


def segment(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def _told(reply: Reply) -> str:
    if not isinstance(reply.body, dict):
        return str(reply.status)
    errors = reply.body.get("errors") or []
    first = f" ({errors[0].get('pointer')}: {errors[0].get('message')})" if errors else ""
    return f"{reply.status}: {reply.body.get('detail') or reply.body.get('title')}{first}"
