"""A message whose answer is heard while it is made: posted like any other, and handled at once by this process.

The message's wake-up stays in the outbox until this process has done the work: when it dies, the lane finishes the
turn. When another turn goes first, or the work does not succeed here, the lane has it, and the stream is followed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import orjson

from shared.contracts.commands import parse_envelope
from shared.contracts.identity import partition_of, run_id_of
from shared.conversation.documents import message_doc_id
from shared.conversation.stream import Event
from shared.delivery import outbox
from shared.delivery.handling import Delivery
from shared.delivery.inbox import handle_command
from shared.errors import CountersignError, EarlyError, NotFoundError, RetryableError
from shared.flows.answer_message import AnswerMessageFlow
from shared.flows.follow_conversation import follow
from shared.flows.post_message import COMMAND_TYPE, Post, Posted, post_message
from shared.flows.turn import Happened, Said, nobody_listens
from shared.ports.document_store import Document
from shared.ports.event_waiter import EventWaiter

log = logging.getLogger("countersign.live_turn")

FOLLOW_SECONDS = 90.0
"""How long a turn that somebody else works on is waited for."""
BEAT_SECONDS = 15.0
MARGIN_SECONDS = 30.0
_ENDS = ("RUN_FINISHED", "RUN_ERROR")


async def live_turn(
    delivery: Delivery,
    *,
    waiter: EventWaiter,
    principal: str,
    roles: Sequence[str],
    tenant: str,
    conversation_id: str,
    message: str,
    client_message_id: str = "",
    user_note: str = "",
    traceparent: str = "",
    said: Said = nobody_listens,
    happened: Happened = nobody_listens,
) -> dict[str, Any]:
    """Post the message, hear its answer: {conversation_id, message_id, run_id, status, text, approvals}.

    said: is given words of the reply as they come; when somebody else had to answer, the words of the stored reply.
    happened: the turn's events as the stream keeps them, in order, each once; words among them too. roles: expanded.
    status: `answered`, `failed` or `superseded`; text: of the stored reply, which is what counts. approvals: the cards
    that the turn has opened, as AG-UI interrupts.
    Raises what `post_message` raises, and `RetryableError("turn_late")` when the answer takes too long.
    """
    flow = cast(AnswerMessageFlow, delivery.flows[COMMAND_TYPE])
    post = Post(
        conversation_id=conversation_id,
        principal=principal,
        roles=roles,
        text=message,
        user_note=user_note,
        client_message_id=client_message_id,
        key=f"id:{client_message_id}" if client_message_id else "",
        traceparent=traceparent,
    )
    late = flow.limits.seconds * 2 + MARGIN_SECONDS
    posted = await post_message(delivery, tenant, post, policy=flow.policy, relay_after_seconds=late)
    heard = _Heard(said, happened)
    if posted.command is not None and posted.outbox is not None:
        live = replace(flow, said=heard.said, happened=heard.happened)
        await _handle(delivery, live, posted.command, posted.outbox)
    return await _answer(delivery, waiter, tenant, posted, heard)


class _Heard:
    """What the listener has been told. When the turn is decided again after a lost race, only what is new is told."""

    def __init__(self, said: Said, happened: Happened) -> None:
        self._said, self._happened = said, happened
        self._told = ""
        self._now = ""
        self._steps: set[tuple[str, str]] = set()

    async def said(self, words: str) -> None:
        self._now += words
        if self._now.startswith(self._told):
            fresh, self._told = self._now[len(self._told) :], self._now
            await self._said(fresh)

    async def happened(self, event: Event) -> None:
        if event["type"] == "RUN_STARTED":
            self._now = ""
        key = (event["type"], event.get("stepName", ""))
        if key[0].startswith(("RUN_STARTED", "STEP_")):
            if key in self._steps:
                return
            self._steps.add(key)
        await self._happened(event)

    async def stored(self, event: Event) -> None:
        """An event of the turn as it was committed."""
        if event["type"] == "TEXT_MESSAGE_START":
            self._now = ""
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            await self.said(event["delta"])
        await self.happened(event)


async def _handle(delivery: Delivery, live: AnswerMessageFlow, command: dict[str, Any], waiting: Document) -> None:
    """Do the work here; what cannot be done here is sent to the lane, which knows what to do about it."""
    here = replace(delivery, flows={**delivery.flows, COMMAND_TYPE: live})
    body = orjson.dumps(command)
    try:
        await handle_command(here, parse_envelope(body), body)
    except EarlyError as early:
        log.info("the lane takes turn %s: %s", command["payload"]["turn"], early)
    except CountersignError as failed:
        log.warning("the lane takes turn %s: %s", command["payload"]["turn"], failed)
    except Exception:
        log.exception("the lane takes turn %s", command["payload"]["turn"])
    else:
        await delivery.store.discard([waiting])
        return
    stored = await delivery.store.read(waiting.partition, waiting.id)
    if stored is not None:
        await outbox.relay_promptly(delivery, [stored], {stored.id: stored.etag})


async def _answer(
    delivery: Delivery, waiter: EventWaiter, tenant: str, posted: Posted, heard: _Heard
) -> dict[str, Any]:
    """Tell the turn's stored events as far as they are new, waiting for them where somebody else works on it."""
    told = posted.answer
    conversation_id, run_id = told["conversation_id"], run_id_of(partition_of(tenant), told["command_id"])
    stored = await delivery.store.read(partition_of(tenant), message_doc_id(conversation_id, told["turn"]))
    seconds = FOLLOW_SECONDS if stored is not None and stored.body["status"] == "queued" else 0.0
    mine = False
    end: Event = {}
    try:
        async with asyncio.timeout(FOLLOW_SECONDS):
            async for batch in follow(
                delivery, waiter, tenant, conversation_id,
                after=told["last_event_id"], seconds=seconds, beat_seconds=BEAT_SECONDS,
            ):  # fmt: skip
                for one in batch:
                    if one.event["type"] == "RUN_STARTED":
                        mine = one.event["runId"] == run_id
                    if mine:
                        await heard.stored(one.event)
                    if mine and one.event["type"] in _ENDS:
                        end = one.event
                if end:
                    break
    except TimeoutError:
        log.warning("turn %s of conversation %s is late", told["turn"], conversation_id)
    return await _told(delivery, tenant, told, run_id, end)


async def _told(delivery: Delivery, tenant: str, told: dict[str, Any], run_id: str, end: Event) -> dict[str, Any]:
    conversation_id, turn = told["conversation_id"], told["turn"]
    ids = [message_doc_id(conversation_id, turn), message_doc_id(conversation_id, turn, "1")]
    documents = await delivery.store.read_many(partition_of(tenant), ids)
    if ids[0] not in documents:
        raise NotFoundError("this message is not there any more")
    status = documents[ids[0]].body["status"]
    if status == "queued":
        raise RetryableError("the reply takes long; it will be in the conversation", code="turn_late")
    reply = documents.get(ids[1])
    return {
        "conversation_id": conversation_id,
        "message_id": reply.body["message_id"] if reply else documents[ids[0]].body["message_id"],
        "run_id": run_id,
        "status": status,
        "text": reply.body["text"] if reply else str(end.get("message", "")),
        "approvals": end.get("outcome", {}).get("interrupts", []),
    }
