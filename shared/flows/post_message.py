"""A person's message comes in: stored, numbered, accepted for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from shared.audit.record import Entry, canonical
from shared.audit.trail import HEAD_ID
from shared.contracts.commands import envelope
from shared.contracts.identity import deterministic_id, partition_of, run_id_of
from shared.contracts.instants import after, text
from shared.contracts.kinds import KINDS
from shared.contracts.lanes import MESSAGES
from shared.conversation import documents as talk
from shared.conversation.stream import conversation_doc_id
from shared.delivery.handling import Delivery
from shared.delivery.intake import accept
from shared.delivery.outbox import outbox_id
from shared.delivery.tenants import register
from shared.errors import ConflictError, IdempotencyMismatchError, NotFoundError, StateConflictError
from shared.flows.supersede import NOTHING, Superseded, superseded
from shared.guard.action_policy import ActionPolicy, ConversationLimits
from shared.guard.disposition import ADVISORY_ONLY, APPROVAL_REQUIRED
from shared.ports.document_store import Body, Document

WITHOUT_POLICY = ConversationLimits("enqueue", 20)
TRIES = 12
"""Posts to one conversation that come in the same moment take turns; each try costs a read."""
COMMAND_TYPE = "AgentMessagePosted"


@dataclass(frozen=True, slots=True)
class Post:
    """What is posted. roles: the caller's, expanded. key: by which a resend is known, "" for a message that is always
    new."""

    conversation_id: str
    principal: str
    roles: Sequence[str]
    text: str
    user_note: str = ""
    client_message_id: str = ""
    key: str = ""
    traceparent: str = ""

    @property
    def fingerprint(self) -> str:
        """An equal resend has the same."""
        return sha256(canonical([self.conversation_id, self.text, self.user_note])).hexdigest()


class Posted(NamedTuple):
    """command: the envelope, None for a repeat, whose `answer` is the first one. outbox: the document that still has
    to be sent, None when it was."""

    answer: dict[str, Any]
    command: dict[str, Any] | None
    outbox: Document | None


async def post_message(
    delivery: Delivery,
    tenant: str,
    post: Post,
    *,
    policy: ActionPolicy | None,
    relay_after_seconds: float | None = None,
) -> Posted:
    """Store the message and accept its command. relay_after_seconds: as for `intake.accept`.

    policy: None while there is none; then a message leads to nothing but advice.

    Raises `NotFoundError` for somebody else's conversation, `IdempotencyMismatchError` for a key used with another
    text, `StateConflictError` "conversation_busy" or "conversation_full", and what the store raises.
    """
    await register(delivery, tenant)
    partition = partition_of(tenant)
    key = f"{post.principal}\x1f{post.conversation_id}\x1f{post.key}" if post.key else delivery.new_salt()
    command_id = deterministic_id(partition, "post-message", key)
    for turn in range(TRIES):
        documents = await delivery.store.read_many(partition, _needs(partition, post, command_id))
        _check_owner(documents.get(conversation_doc_id(post.conversation_id)), post.principal)
        known = _first_answer(documents, partition, post, command_id)
        if known is not None:
            return known
        try:
            return await _accepted(
                delivery, tenant, post, command_id, documents, policy=policy, relay_after_seconds=relay_after_seconds
            )
        except ConflictError:
            if turn == TRIES - 1:
                raise
            await asyncio.sleep(delivery.jitter() * 0.004 * 2 ** min(turn, 6))
    raise AssertionError("unreachable")


def _check_owner(stored: Document | None, principal: str) -> None:
    if stored is not None and stored.body["owner"] != principal:
        raise NotFoundError(f"there is no conversation {stored.body['conversation_id']}")


def _needs(partition: str, post: Post, command_id: str) -> list[str]:
    run_id = run_id_of(partition, command_id)
    return [conversation_doc_id(post.conversation_id), _receipt_id(command_id), f"run:{run_id}", HEAD_ID]


def _receipt_id(command_id: str) -> str:
    """The receipt of the posting; the command's own receipt follows with its answer."""
    return f"receipt:posted:{command_id}"


def _first_answer(documents: dict[str, Document], partition: str, post: Post, command_id: str) -> Posted | None:
    receipt = documents.get(_receipt_id(command_id))
    if receipt is None:
        if f"run:{run_id_of(partition, command_id)}" in documents:
            raise StateConflictError("this message was posted long ago; read the conversation", code="message_known")
        return None
    if receipt.body["fingerprint"] != post.fingerprint:
        raise IdempotencyMismatchError("another message was posted with this id or key; take a new one")
    return Posted(receipt.body["answer"], None, None)


async def _accepted(
    delivery: Delivery,
    tenant: str,
    post: Post,
    command_id: str,
    documents: dict[str, Document],
    *,
    policy: ActionPolicy | None,
    relay_after_seconds: float | None,
) -> Posted:
    partition, now = partition_of(tenant), delivery.now()
    at = text(now)
    limits = policy.conversation if policy else WITHOUT_POLICY
    stored = documents.get(conversation_doc_id(post.conversation_id)) or talk.conversation(
        partition, post.conversation_id, owner=post.principal, at=at, when_busy=limits.when_busy
    )
    command = _command(tenant, post, command_id, stored.body["next_turn"], now)
    gone = await _made_way(delivery, stored, command, by=post.principal, max_queued=limits.max_queued)
    body = talk.enqueued(gone.conversation, command, nonce=f"wake-{delivery.new_salt()[:8]}")
    answer = _answer(command, at, disposition_of(policy), stored.body["last_sequence"])
    message = talk.user_message(
        partition, command, author=post.principal, roles=post.roles, text=post.text, user_note=post.user_note,
        client_message_id=post.client_message_id, run_id=run_id_of(partition, command_id), at=at,
    )  # fmt: skip
    receipt = {"fingerprint": post.fingerprint, "answer": answer}
    expires_at = after(now, days=KINDS["receipt"].days_to_live)
    etags = await accept(
        delivery,
        tenant,
        [command],
        key=_outbox_key(command_id),
        documents=[
            stored._replace(body=body),
            message,
            Document(partition, _receipt_id(command_id), "receipt", receipt, expires_at=expires_at),
            *gone.writes,
        ],
        entries=[_entry(partition, post, command, gone), *gone.entries],
        subjects=[post.conversation_id],
        head=documents.get(HEAD_ID),
        relay_after_seconds=relay_after_seconds,
    )
    left = None if relay_after_seconds is None else _outbox(partition, command_id, etags)
    return Posted(answer, command, left)


async def _made_way(
    delivery: Delivery, stored: Document, command: dict[str, Any], *, by: str, max_queued: int
) -> Superseded:
    """What the conversation's policy makes of what is still going on: nothing, a refusal, or an end to it."""
    body = stored.body
    when_busy = body["when_busy"]
    if not body["queue"] and not body["open_approvals"]:
        return NOTHING._replace(conversation=body)
    if when_busy == "reject":
        raise StateConflictError(
            "an earlier message or a card is not done with; wait for it, or change the conversation's settings",
            code="conversation_busy",
        )
    if when_busy == "supersede":
        return await superseded(delivery, stored, by=by, command=command)
    if len(body["queue"]) >= max_queued:
        raise StateConflictError(f"{max_queued} messages wait for an answer already", code="conversation_full")
    return NOTHING._replace(conversation=body)


def _command(tenant: str, post: Post, command_id: str, turn: int, now: Any) -> dict[str, Any]:
    payload = {
        "conversation_id": post.conversation_id,
        "message_id": talk.message_id_of(partition_of(tenant), post.conversation_id, turn),
        "turn": turn,
    }
    return envelope(
        COMMAND_TYPE,
        payload,
        command_id=command_id,
        tenant=tenant,
        source=post.conversation_id,
        issued_at=now,
        traceparent=post.traceparent,
    )


def disposition_of(policy: ActionPolicy | None) -> str:
    """What a message may lead to at most: an incomplete policy context leaves nothing but advice."""
    return ADVISORY_ONLY if policy is None else APPROVAL_REQUIRED


def _answer(command: dict[str, Any], at: str, disposition: str, last_sequence: int) -> dict[str, Any]:
    return {
        "command_id": command["command_id"],
        "correlation_id": command["correlation_id"],
        **command["payload"],
        "command_type": COMMAND_TYPE,
        "queue": MESSAGES.queue,
        "policy_disposition": disposition,
        "queued_at": at,
        "status": "queued",
        "last_event_id": last_sequence,
    }


def _entry(partition: str, post: Post, command: dict[str, Any], gone: Superseded) -> Entry:
    told = command["payload"]
    ids = {
        "run": run_id_of(partition, command["command_id"]),
        "command": command["command_id"],
        "correlation": command["correlation_id"],
        "conversation": post.conversation_id,
        "message": told["message_id"],
    }
    payload = {
        "turn": told["turn"],
        "text_sha256": sha256(post.text.encode()).hexdigest(),
        "roles": sorted(post.roles),
        "superseded_turns": list(gone.turns),
    }
    return Entry("message_posted", {"kind": "person", "id": post.principal}, ids, payload)


def _outbox_key(command_id: str) -> str:
    """Not the command's own, which is for what its handling sends."""
    return f"posted:{command_id}"


def _outbox(partition: str, command_id: str, etags: dict[str, str]) -> Document:
    """What `intake.accept` has left unsent: enough of it to read or discard."""
    id_ = outbox_id(_outbox_key(command_id))
    return Document(partition, id_, "outbox", Body(), etag=etags[id_])
