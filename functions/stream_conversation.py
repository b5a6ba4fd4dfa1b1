"""`GET .../conversations/{id}/stream`, live: what is stored since `Last-Event-ID`, then what comes, as it comes.

The same events with the same ids as the other app's bounded stream, so that a reader may go from one to the other.
The local host leads here what asks for `live=true`.
"""

import logging
from collections.abc import AsyncIterator

import azure.functions as func
import orjson
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

from functions.bodies import last_event_in, reference_in
from functions.caller import Caller, caller_of
from functions.roles import WHO_MAY_STREAM
from functions.stream_requests import HEARTBEAT, answering_stream, event_stream, frame, request_of
from functions.stream_turn import HEARTBEAT_SECONDS
from shared.errors import CountersignError

log = logging.getLogger("countersign.http")

blueprint = func.Blueprint()

FOLLOW_SECONDS = 600.0
"""Then the stream ends, and a reader that wants more comes back by itself: its rights are looked at anew."""
RETRY = b"retry: 1000\n\n"


@blueprint.route(route="v1/agent/conversations/{id}/stream", methods=["GET"])
@answering_stream
async def follow_conversation(req: Request) -> StreamingResponse:
    """A conversation's events, until the reader leaves."""
    return await _followed(req, "follow_conversation")


@blueprint.route(route="v1/assistant/conversations/{id}/stream", methods=["GET"])
@answering_stream
async def follow_assistant_conversation(req: Request) -> StreamingResponse:
    """The same under its other name."""
    return await _followed(req, "follow_assistant_conversation")


async def _followed(req: Request, name: str) -> StreamingResponse:
    from shared import bootstrap
    from shared.flows.follow_conversation import check_readable

    asked = await request_of(req)
    caller = await caller_of(asked, needs=WHO_MAY_STREAM[name])
    conversation_id, after = reference_in(asked, "id"), last_event_in(asked)
    await check_readable(
        bootstrap.delivery(), caller.tenant, conversation_id, principal=caller.principal, roles=caller.roles
    )
    return event_stream(_frames(caller, conversation_id, after))


async def _frames(caller: Caller, conversation_id: str, after: int) -> AsyncIterator[bytes]:
    from shared import bootstrap
    from shared.flows.follow_conversation import follow

    batches = follow(
        bootstrap.delivery(),
        bootstrap.waiter(),
        caller.tenant,
        conversation_id,
        after=after,
        seconds=FOLLOW_SECONDS,
        beat_seconds=HEARTBEAT_SECONDS,
    )
    yield RETRY
    try:
        async for batch in batches:
            yield b"".join(frame(orjson.dumps(one.event), id_=str(one.number)) for one in batch) or HEARTBEAT
    except CountersignError as failed:  # the store is down: the reader comes back with what it has
        log.warning("a stream of a conversation ended early: %s", failed)
