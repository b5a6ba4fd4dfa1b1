"""`POST /api/v1/chat`: a message, and its reply word by word as server-sent events.

`token` {"text"}: words as they come. `done`: the answer {conversation_id, message_id, run_id, status, text,
approvals}, whose `text` is what counts. `error`: an RFC 9457 problem; words said before it are no reply. The last
event is one of these two.
"""

import uuid
from collections.abc import AsyncIterator

import azure.functions as func
import orjson
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

from functions.bodies import decoded
from functions.caller import Caller, caller_of, traceparent_of
from functions.roles import WHO_MAY_STREAM
from functions.stream_requests import HEARTBEAT, answering_stream, event_stream, frame, problem_of, request_of
from functions.stream_turn import Ended, Piece, Turn, Words

blueprint = func.Blueprint()


@blueprint.route(route="v1/chat", methods=["POST"])
@answering_stream
async def post_chat(req: Request) -> StreamingResponse:
    """Ask, and hear the reply while it is made. Actions it leads to are queued, never run here."""
    from shared import bootstrap
    from shared.contracts.chat_requests import ChatPost
    from shared.flows.live_turn import live_turn

    asked = await request_of(req)
    caller = await caller_of(asked, needs=WHO_MAY_STREAM["post_chat"])
    post = decoded(asked, ChatPost)
    delivery = bootstrap.delivery()
    conversation_id = post.conversation_id or _new_conversation(caller, post.client_message_id)
    turn = Turn(
        lambda said, happened: live_turn(
            delivery,
            waiter=bootstrap.waiter(),
            principal=caller.principal,
            roles=sorted(caller.roles),
            tenant=caller.tenant,
            conversation_id=conversation_id,
            message=post.message,
            client_message_id=post.client_message_id,
            user_note=post.user_note,
            traceparent=traceparent_of(asked),
            said=said,
            happened=happened,
        )
    )
    pieces = turn.pieces()
    first = await anext(pieces)
    if isinstance(first, Ended) and first.failed is not None:  # nothing is said yet: it has a status of its own
        raise first.failed
    return event_stream(_frames(first, pieces, req.state.correlation_id))


def _new_conversation(caller: Caller, client_message_id: str) -> str:
    """The id of a conversation that begins; the same for a resend of its first message."""
    from shared.contracts.identity import deterministic_id, partition_of

    if not client_message_id:
        return str(uuid.uuid4())
    return deterministic_id(partition_of(caller.tenant), "chat", f"{caller.principal}\x1f{client_message_id}")


async def _frames(first: Piece | None, rest: AsyncIterator[Piece | None], correlation_id: str) -> AsyncIterator[bytes]:
    spoken = False
    piece: Piece | None = first
    while not isinstance(piece, Ended):
        if piece is None:
            yield HEARTBEAT
        elif isinstance(piece, Words):
            spoken = True
            yield frame(orjson.dumps({"text": piece.text}), event="token")
        piece = await anext(rest)
    if piece.failed is not None:
        yield frame(problem_of(piece.failed, correlation_id).get_body(), event="error")
        return
    if not spoken and piece.answer.get("text"):  # a resend: its reply is known already
        yield frame(orjson.dumps({"text": piece.answer["text"]}), event="token")
    yield frame(orjson.dumps(piece.answer), event="done")
