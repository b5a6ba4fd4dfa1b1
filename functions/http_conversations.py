"""Conversations over HTTP, under `agent/` and, with the same handlers, under `assistant/`.

`stream` is a bounded answer of server-sent events (HTML Standard, 9.2): what is stored after `Last-Event-ID`, or what
comes within `WAIT_SECONDS`; then it ends, and the reader comes back with the id of the last event that it has.
"""

import azure.functions as func

from functions.bodies import KEY, decoded, last_event_in, page_in, reference_in
from functions.caller import caller_of, traceparent_of
from functions.replies import accepted, answering, event_stream, json_reply
from functions.roles import WHO_MAY
from shared.errors import InvalidInputError

blueprint = func.Blueprint()

WAIT_SECONDS = 25.0
MAX_STREAMED = 500
"""Events of one answer; a reader that lags far behind comes back for the rest."""


@blueprint.route(route="v1/agent/conversations/{id}/messages", methods=["POST"])
@answering
async def post_message(req: func.HttpRequest) -> func.HttpResponse:
    """A message. 202: it is stored and will be answered; `Location` is the stream that tells the answer."""
    return await _posted(req, "agent")


@blueprint.route(route="v1/assistant/conversations/{id}/messages", methods=["POST"])
@answering
async def post_assistant_message(req: func.HttpRequest) -> func.HttpResponse:
    """A message, under the other name."""
    return await _posted(req, "assistant")


@blueprint.route(route="v1/agent/conversations/{id}", methods=["GET"])
@answering
async def get_conversation(req: func.HttpRequest) -> func.HttpResponse:
    """A conversation's history: messages, open cards, and where its stream stands."""
    return await _shown(req)


@blueprint.route(route="v1/assistant/conversations/{id}", methods=["GET"])
@answering
async def get_assistant_conversation(req: func.HttpRequest) -> func.HttpResponse:
    """A conversation's history, under the other name."""
    return await _shown(req)


@blueprint.route(route="v1/agent/conversations", methods=["GET"])
@answering
async def list_conversations(req: func.HttpRequest) -> func.HttpResponse:
    """The caller's own conversations, the newest first."""
    return await _listed(req)


@blueprint.route(route="v1/assistant/conversations", methods=["GET"])
@answering
async def list_assistant_conversations(req: func.HttpRequest) -> func.HttpResponse:
    """The caller's own conversations, under the other name."""
    return await _listed(req)


@blueprint.route(route="v1/agent/conversations/{id}/settings", methods=["PUT"])
@answering
async def put_conversation_settings(req: func.HttpRequest) -> func.HttpResponse:
    """What happens to a message that comes while an earlier one, or a card, is not done with."""
    return await _set(req)


@blueprint.route(route="v1/assistant/conversations/{id}/settings", methods=["PUT"])
@answering
async def put_assistant_conversation_settings(req: func.HttpRequest) -> func.HttpResponse:
    """The same under the other name."""
    return await _set(req)


@blueprint.route(route="v1/agent/conversations/{id}/stream", methods=["GET"])
@answering
async def stream_conversation(req: func.HttpRequest) -> func.HttpResponse:
    """The conversation's AG-UI events after `Last-Event-ID`; waits up to 25 s for the first new one."""
    return await _streamed(req)


@blueprint.route(route="v1/assistant/conversations/{id}/stream", methods=["GET"])
@answering
async def stream_assistant_conversation(req: func.HttpRequest) -> func.HttpResponse:
    """The conversation's events, under the other name."""
    return await _streamed(req)


async def _posted(req: func.HttpRequest, name: str) -> func.HttpResponse:
    from shared import bootstrap
    from shared.contracts.conversation_requests import MessagePost
    from shared.flows import post_message as use_case

    caller = await caller_of(req, needs=WHO_MAY["post_message"])
    body = decoded(req, MessagePost)
    post = use_case.Post(
        conversation_id=reference_in(req, "id"),
        principal=caller.principal,
        roles=sorted(caller.roles),
        text=body.message,
        user_note=body.user_note,
        client_message_id=body.client_message_id,
        key=f"id:{body.client_message_id}" if body.client_message_id else _key_in(req),
        traceparent=traceparent_of(req),
    )
    posted = await use_case.post_message(bootstrap.delivery(), caller.tenant, post, policy=bootstrap.action_policy())
    answer = posted.answer
    where = f"/api/v1/{name}/conversations/{post.conversation_id}/stream"
    return accepted(answer, location=f"{where}?last_event_id={answer['last_event_id']}")


def _key_in(req: func.HttpRequest) -> str:
    """The `Idempotency-Key`; a message without it or an id of its own is always a new one."""
    told: str = req.headers.get("Idempotency-Key", "")
    if told and not KEY.fullmatch(told):
        raise InvalidInputError(
            "Idempotency-Key takes 1 to 200 printable ASCII characters", code="idempotency_key_malformed"
        )
    return f"key:{told}" if told else ""


async def _shown(req: func.HttpRequest) -> func.HttpResponse:
    from shared import bootstrap
    from shared.flows.conversations import conversation

    caller = await caller_of(req, needs=WHO_MAY["get_conversation"])
    told = await conversation(
        bootstrap.delivery(),
        caller.tenant,
        reference_in(req, "id"),
        principal=caller.principal,
        roles=caller.roles,
        **page_in(req),
    )
    return json_reply(told)


async def _listed(req: func.HttpRequest) -> func.HttpResponse:
    from shared import bootstrap
    from shared.flows.conversations import conversations

    caller = await caller_of(req, needs=WHO_MAY["list_conversations"])
    told = await conversations(bootstrap.delivery(), caller.tenant, principal=caller.principal, **page_in(req))
    return json_reply(told)


async def _set(req: func.HttpRequest) -> func.HttpResponse:
    from shared import bootstrap
    from shared.contracts.conversation_requests import ConversationSettings
    from shared.flows.conversations import change_settings

    caller = await caller_of(req, needs=WHO_MAY["put_conversation_settings"])
    when_busy = decoded(req, ConversationSettings).when_busy
    changed = await change_settings(
        bootstrap.delivery(), caller.tenant, reference_in(req, "id"), principal=caller.principal, when_busy=when_busy
    )
    return json_reply(changed)


async def _streamed(req: func.HttpRequest) -> func.HttpResponse:
    from shared import bootstrap
    from shared.flows.follow_conversation import check_readable, newest

    caller = await caller_of(req, needs=WHO_MAY["stream_conversation"])
    conversation_id, after = reference_in(req, "id"), last_event_in(req)
    delivery = bootstrap.delivery()
    await check_readable(delivery, caller.tenant, conversation_id, principal=caller.principal, roles=caller.roles)
    told = await newest(
        delivery,
        bootstrap.waiter(),
        caller.tenant,
        conversation_id,
        after=after,
        seconds=WAIT_SECONDS,
        most=MAX_STREAMED,
    )
    return event_stream([(one.number, one.event) for one in told])
