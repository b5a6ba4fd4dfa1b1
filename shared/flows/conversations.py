"""Conversations as people look at them, and their settings. One is its owner's; reviewers and auditors may read it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shared.audit.record import Entry
from shared.audit.trail import HEAD_ID
from shared.contracts.identity import partition_of
from shared.conversation.stream import conversation_doc_id
from shared.delivery.handling import Delivery
from shared.delivery.one_commit import commit
from shared.errors import ConflictError, NotFoundError
from shared.flows.follow_conversation import check_readable
from shared.ports.document_store import Body, Document

TRIES = 5


async def conversation(
    delivery: Delivery, tenant: str, conversation_id: str, *, principal: str, roles: Collection[str], **page: Any
) -> dict[str, Any]:
    """The conversation with a page of its messages: the newest first by page, oldest first within it."""
    stored = await check_readable(delivery, tenant, conversation_id, principal=principal, roles=roles)
    found = await delivery.store.query(
        stored.partition, "message", key=("conversation", conversation_id), descending=True, **page
    )
    messages = [message(document) for document in reversed(found.documents)]
    return {**line(stored), "messages": messages, "cursor": found.cursor}


async def conversations(delivery: Delivery, tenant: str, *, principal: str, **page: Any) -> dict[str, Any]:
    """The caller's own conversations, the newest first."""
    found = await delivery.store.query(
        partition_of(tenant), "conversation", key=("subject", principal), descending=True, **page
    )
    return {"items": [line(document) for document in found.documents], "cursor": found.cursor}


async def change_settings(
    delivery: Delivery, tenant: str, conversation_id: str, *, principal: str, when_busy: str
) -> dict[str, Any]:
    """What happens to a message while an earlier one or a card is not done with. `NotFoundError` for anybody else's."""
    partition, id_ = partition_of(tenant), conversation_doc_id(conversation_id)
    for turn in range(TRIES):
        documents = await delivery.store.read_many(partition, [id_, HEAD_ID])
        stored = documents.get(id_)
        if stored is None or stored.body["owner"] != principal:
            raise NotFoundError(f"there is no conversation {conversation_id}")
        if stored.body["when_busy"] == when_busy:
            return line(stored)
        changed = stored._replace(body={**stored.body, "when_busy": when_busy})
        payload = {"was": stored.body["when_busy"], "is": when_busy}
        entry = Entry("conversation_settings_changed", {"kind": "person", "id": principal},
                      {"conversation": conversation_id}, payload)  # fmt: skip
        try:
            await commit(delivery, partition, [changed], [entry], head=documents.get(HEAD_ID))
        except ConflictError:
            if turn == TRIES - 1:
                raise
        else:
            return line(changed)
    raise AssertionError("unreachable")


def line(document: Document) -> dict[str, Any]:
    """A conversation in a list."""
    body = document.body
    return {
        **{name: body[name] for name in ("conversation_id", "owner", "started_at", "when_busy", "open_approvals")},
        "turns": body["next_turn"] - 1,
        "waiting": len(body["queue"]),
        "last_event_id": body["last_sequence"],
    }


def message(document: Document) -> Body:
    """A message without what the conversation keeps for itself."""
    return {name: value for name, value in document.body.items() if name not in ("conversation_id", "roles")}
