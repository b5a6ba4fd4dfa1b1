"""`POST /api/v1/agui`: a conversation for any AG-UI 1.0 client. Source: docs.ag-ui.com (events, interrupts, resume).

The client's thread is our conversation. Its last message is asked, or its `resume[]` answers the open cards; who asked
for an action may not answer its card, and asks on with a `cancelled` entry beside the next message. What is wrong with
the request itself is a problem with a status; from the first event on the run always ends with RUN_FINISHED or
RUN_ERROR.
"""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import azure.functions as func
import orjson
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

from functions.bodies import REFERENCE, decoded
from functions.caller import Caller, caller_of, traceparent_of
from functions.replies import PROBLEM_TYPES
from functions.roles import WHO_MAY_STREAM
from functions.stream_requests import HEARTBEAT, answering_stream, event_stream, frame, problem_of, request_of
from functions.stream_resume import not_taken, resuming
from functions.stream_run import ClientRun, Event
from functions.stream_turn import Ended, Happened, Said, Told, Turn, Words, Work
from shared.contracts.complaints import complaints
from shared.errors import InvalidInputError

if TYPE_CHECKING:
    from ag_ui.core import RunAgentInput

    from shared.contracts.conversation_requests import MessagePost

blueprint = func.Blueprint()

HISTORY_BODY = 2 * 1024 * 1024
"""These clients send the whole conversation with every message."""


@blueprint.route(route="v1/agui", methods=["POST"])
@answering_stream
async def post_agui(req: Request) -> StreamingResponse:
    """A `RunAgentInput`, answered with the events of its run."""
    from ag_ui.core import RunAgentInput

    asked = await request_of(req, limit=HISTORY_BODY)
    caller = await caller_of(asked, needs=WHO_MAY_STREAM["post_agui"] | WHO_MAY_STREAM["resume_agui"])
    wanted = decoded(asked, RunAgentInput, limit=HISTORY_BODY)
    if not REFERENCE.fullmatch(wanted.thread_id):
        raise not_taken("/threadId", "1 to 64 of A-Z, a-z, 0-9 and ._:-")
    entries = wanted.resume or []
    answers = any(entry.status == "resolved" for entry in entries)
    if answers:
        caller = await caller_of(asked, needs=WHO_MAY_STREAM["resume_agui"])
    if answers or (entries and not _asks(wanted)):
        work = resuming(wanted.thread_id, entries, caller, traceparent=traceparent_of(asked))
    else:
        caller = await caller_of(asked, needs=WHO_MAY_STREAM["post_agui"])
        work = _asking(wanted, caller, traceparent_of(asked))
    run = ClientRun(
        thread_id=wanted.thread_id,
        run_id=wanted.run_id,
        messages=[message.model_dump(mode="json", by_alias=True) for message in wanted.messages],
        state=wanted.state,
    )
    return event_stream(_frames(run, Turn(work), req.state.correlation_id))


def _asks(wanted: "RunAgentInput") -> bool:
    """Whether there is a message to answer: a client asks on past cards that it leaves to others as `cancelled`."""
    return bool(wanted.messages) and wanted.messages[-1].role == "user"


def _asking(wanted: "RunAgentInput", caller: Caller, traceparent: str) -> Work:
    """The turn that asks the client's last message. It ends with every open card that the client does not leave."""
    post = question_in(wanted)
    leaves = {*_left_before(wanted.state), *(entry.interrupt_id for entry in wanted.resume or [])}

    async def work(said: Said, happened: Happened) -> dict[str, Any]:
        from shared import bootstrap
        from shared.conversation.stream import interrupt
        from shared.flows.live_turn import live_turn
        from shared.flows.resume_run import standing

        delivery = bootstrap.delivery()
        told = await live_turn(
            delivery,
            waiter=bootstrap.waiter(),
            principal=caller.principal,
            roles=sorted(caller.roles),
            tenant=caller.tenant,
            conversation_id=wanted.thread_id,
            message=post.message,
            client_message_id=post.client_message_id,
            traceparent=traceparent,
            said=said,
            happened=happened,
        )
        found = await standing(delivery, caller.tenant, wanted.thread_id)
        cards = [card for card in found.open_cards if card["approval_id"] not in leaves]
        left = [card["approval_id"] for card in found.open_cards if card["approval_id"] in leaves]
        return {**told, "approvals": [interrupt(card) for card in cards], "left": left}

    return work


def _left_before(state: Any) -> list[Any]:
    """The cards that this client has left to others in earlier runs: it keeps them for us."""
    match state:
        case {"countersign": {"left": list(left)}}:
            return [one for one in left if isinstance(one, str)]
    return []


def question_in(wanted: "RunAgentInput") -> "MessagePost":
    """The last message, which is the person's; its id is by which a resend is known."""
    from pydantic import ValidationError

    from shared.contracts.conversation_requests import MAX_CLIENT_MESSAGE_ID, MessagePost

    if not _asks(wanted):
        raise not_taken("/messages", "the last message is not the person's: there is nothing to answer")
    last, pointer = wanted.messages[-1], f"/messages/{len(wanted.messages) - 1}/content"
    id_ = last.id
    if len(id_) > MAX_CLIENT_MESSAGE_ID or not id_.isascii() or not id_.isprintable() or id_ != id_.strip():
        id_ = sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
    try:
        return MessagePost(message=_text_of(last.content, pointer), client_message_id=id_)
    except ValidationError as failed:
        errors = [{**error, "pointer": pointer} for error in complaints(failed)]
    raise InvalidInputError("the last message is not one that is taken here", errors)


def _text_of(content: Any, pointer: str) -> str:
    """The text, without the images and sounds beside it, as the protocol wants it."""
    if isinstance(content, str):
        return content
    texts = [part.text for part in content if part.type == "text"]
    if not texts:
        raise not_taken(pointer, "there is no text in it, and only text is read here")
    return "\n".join(texts)


async def _frames(run: ClientRun, turn: Turn, correlation_id: str) -> AsyncIterator[bytes]:
    """The run, as it happens. Whatever goes wrong, it has an end."""
    try:
        yield _encoded(run.begin())
        async for piece in turn.pieces():
            if piece is None:
                yield HEARTBEAT
            elif isinstance(piece, Words):
                yield _encoded(run.said(piece.text))
            elif isinstance(piece, Told):
                yield _encoded(run.happened(piece.event))
            else:
                yield _encoded(_end(run, piece, correlation_id))
    except Exception as failed:  # noqa: BLE001 logged where it is made a problem
        yield _encoded(_end(run, Ended({}, failed), correlation_id))


def _end(run: ClientRun, ended: Ended, correlation_id: str) -> list[Event]:
    if ended.failed is None:
        return run.finish(ended.answer)
    told = orjson.loads(problem_of(ended.failed, correlation_id).get_body())
    return run.fail(code=told["type"].removeprefix(PROBLEM_TYPES), message=told["detail"])


def _encoded(events: list[Event]) -> bytes:
    return b"".join(frame(_json(event)) for event in events)


def _json(event: Event) -> bytes:
    """What a client has sent goes back to it as it came, half a surrogate pair and a number of any size included."""
    try:
        return orjson.dumps(event)
    except TypeError:
        return json.dumps(event).encode()
