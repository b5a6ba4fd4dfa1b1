"""HTTP answers: the only place that knows status codes. Errors are RFC 9457 problems with a stable `type`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any

import azure.functions as func
import orjson

from functions.observation import observed
from shared.errors import (
    ConfigurationError,
    ConflictError,
    CountersignError,
    ForbiddenError,
    IdempotencyMismatchError,
    InvalidInputError,
    NotFoundError,
    RetryableError,
    StateConflictError,
    TerminalError,
    UnauthenticatedError,
)

log = logging.getLogger("countersign.http")

RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a reader of a stream comes back."""
PROBLEM_TYPES = "urn:countersign:problem:"
STATUS_OF: tuple[tuple[type[Exception], int], ...] = (
    (UnauthenticatedError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (StateConflictError, 409),
    (ConflictError, 409),
    (IdempotencyMismatchError, 422),
    (InvalidInputError, 400),
    (TerminalError, 400),
    (RetryableError, 503),
    (ConfigurationError, 500),
)
STATUS_OF_CODE = {"body_too_large": 413, "unsupported_media_type": 415}
TITLES = {
    400: "The request is not valid",
    401: "Who is calling?",
    403: "Not allowed",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "The request contradicts an earlier one",
    500: "Something is wrong here",
    503: "Not available now",
}


def json_reply(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer that no cache may keep."""
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return func.HttpResponse(orjson.dumps(body), status_code=status, headers=sent, mimetype="application/json")


def accepted(body: Any, *, location: str) -> func.HttpResponse:
    """202: it is stored and will be done; `location` shows how far it has come."""
    return json_reply(body, status=202, headers={"Location": location})


def readiness_reply(body: dict[str, Any]) -> func.HttpResponse:
    """200, or 503 for whoever decides where to send traffic."""
    return json_reply(body, status=200 if body["ready"] else 503)


def json_lines(items: Iterable[Any], *, headers: dict[str, str]) -> func.HttpResponse:
    """One JSON object a line."""
    sent = {"Cache-Control": "no-store", **headers}
    body = b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in items)
    return func.HttpResponse(body, headers=sent, mimetype="application/x-ndjson")


def file_reply(text: str, *, mimetype: str, name: str, headers: dict[str, str]) -> func.HttpResponse:
    """A file to keep, under `name`. A browser must not take it for anything but `mimetype`."""
    sent = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        **headers,
    }
    return func.HttpResponse(text.encode(), headers=sent, mimetype=mimetype)


def event_stream(events: Iterable[tuple[int, Any]]) -> func.HttpResponse:
    """Server-sent events (HTML Standard, 9.2) as one bounded answer: number and event; the reader comes back for more.

    Nobody in between may keep or buffer it.
    """
    told = b"".join(b"id: %d\ndata: %b\n\n" % (number, orjson.dumps(event)) for number, event in events)
    headers = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}
    return func.HttpResponse(RETRY + (told or b": nothing new\n\n"), headers=headers, mimetype="text/event-stream")


def problem(failed: Exception, *, correlation_id: str) -> func.HttpResponse:
    """The RFC 9457 problem of an error; of an unknown error nothing is told but that it is ours."""
    ours = isinstance(failed, CountersignError)
    status = next((code for kind, code in STATUS_OF if isinstance(failed, kind)), 500)
    code = failed.code if isinstance(failed, CountersignError) else "unexpected_error"
    status = STATUS_OF_CODE.get(code, status)
    body: dict[str, Any] = {
        "type": PROBLEM_TYPES + code,
        "title": TITLES[status],
        "status": status,
        "detail": str(failed) if ours else "an unexpected error; it was logged",
        "correlation_id": correlation_id,
    }
    headers = {"Cache-Control": "no-store"}
    if isinstance(failed, InvalidInputError) and failed.errors:
        body["errors"] = failed.errors
    if status == 503:
        retry_after = getattr(failed, "retry_after_seconds", None) or 5
        headers["Retry-After"] = str(max(1, round(retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return func.HttpResponse(
        orjson.dumps(body), status_code=status, headers=headers, mimetype="application/problem+json"
    )


Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def answering(handler: Handler) -> Handler:
    """Maps every error of an HTTP function to a problem: the host's own answers are useless to a client."""

    @wraps(handler)
    async def answered(req: func.HttpRequest) -> func.HttpResponse:
        with observed(handler.__name__, req) as watched:
            try:
                reply = await handler(req)
            except Exception as failed:  # the last border before the host
                if not isinstance(failed, CountersignError):
                    log.exception("an HTTP function failed")
                reply = problem(failed, correlation_id=watched.correlation_id)
            reply.headers["X-Correlation-Id"] = watched.correlation_id
            watched.answered(reply.status_code)
            return reply

    return answered
