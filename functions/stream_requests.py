"""HTTP v2 requests and answers, so that everything that reads requests and makes replies is used unchanged.

The extension hands out a Starlette `Request`; callers, bodies and problems are decided on a `func.HttpRequest`.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import cast

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse

from functions.bodies import SMALL_BODY
from functions.observation import observed
from functions.replies import problem

log = logging.getLogger("countersign.http")

type Handler = Callable[[Request], Awaitable[Response]]
STREAM_HEADERS = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}


async def request_of(req: Request, *, limit: int = SMALL_BODY) -> func.HttpRequest:
    """The request with its body, of which no more is read than it takes to see that it is too large.

    Read before the answer begins: from then on the connection is only watched for the caller's leaving.
    """
    body = bytearray()
    async for piece in req.stream():
        body += piece
        if len(body) > limit:
            break
    params: dict[str, str] = {}
    for name, value in req.query_params.multi_items():  # repeated names as the host joins them for the other app
        params[name] = f"{params[name]},{value}" if name in params else value
    return func.HttpRequest(
        req.method,
        str(req.url),
        headers=dict(req.headers),
        params=params,
        route_params={name: str(value) for name, value in req.path_params.items()},
        body=bytes(body),
    )


def response_of(reply: func.HttpResponse) -> Response:
    """The same reply as the extension takes it."""
    return Response(
        reply.get_body(), status_code=reply.status_code, headers=dict(reply.headers), media_type=reply.mimetype
    )


def event_stream(frames: AsyncIterator[bytes]) -> StreamingResponse:
    """Server-sent events (HTML Standard, 9.2), passed on unbuffered by whoever stands in between."""
    return StreamingResponse(frames, media_type="text/event-stream", headers=STREAM_HEADERS)


def frame(data: bytes, *, event: str = "", id_: str = "") -> bytes:
    """One server-sent event. data: one line."""
    named = f"event: {event}\n".encode() if event else b""
    numbered = f"id: {id_}\n".encode() if id_ else b""
    return b"%b%bdata: %b\n\n" % (numbered, named, data)


HEARTBEAT = b": waiting\n\n"


def answering_stream(handler: Handler) -> Handler:
    """Maps every error before the answer begins to a problem, as `replies.answering` does for the other app."""

    @wraps(handler)
    async def answered(req: Request) -> Response:
        with observed(handler.__name__, cast(func.HttpRequest, req)) as watched:
            req.state.correlation_id = watched.correlation_id
            try:
                reply = await handler(req)
            except Exception as failed:  # the last border before the host
                log.debug("a streaming HTTP function did not answer", exc_info=True)
                reply = response_of(problem_of(failed, watched.correlation_id))
            reply.headers["X-Correlation-Id"] = watched.correlation_id
            watched.answered(reply.status_code)
            return reply

    return answered


def problem_of(failed: Exception, correlation_id: str) -> func.HttpResponse:
    """The problem of an error, which is logged when it is none of ours."""
    from shared.errors import CountersignError

    if not isinstance(failed, CountersignError):
        log.error("a streaming HTTP function failed", exc_info=failed)
    return problem(failed, correlation_id=correlation_id)
