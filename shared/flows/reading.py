"""What people look at: point reads and pages of a tenant's documents. Another tenant's thing is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.actions.life_cycle import action_doc_id
from shared.audit.record import START, Head
from shared.audit.trail import audit_id
from shared.audit.verification import Verification, verify
from shared.contracts.identity import partition_of
from shared.conversation.stream import conversation_doc_id
from shared.delivery.handling import Delivery
from shared.errors import NotFoundError
from shared.flows.follow_conversation import READS_ALL
from shared.ledger.transactions import ERASED, PROFILE_ID
from shared.ports.document_store import MAX_PAGE, Body, Document

MAX_VERIFIED = 5_000
"""Records that one call verifies; a caller with a longer chain goes on from where it ended."""

OF_A_CONVERSATION = frozenset(
    {"AgentMessagePosted", "AgentApprovalSubmitted", "AnswerApproval", "AgeApproval", "RequestAction", "PerformAction"}
)
"""Commands whose runs tell what people said. The subject of the first is the conversation, of the others the action."""
View = Callable[[Document], dict[str, Any]]


async def one(delivery: Delivery, tenant: str, kind: str, key: str, *, view: View) -> dict[str, Any]:
    """The document `kind:key` of the tenant as `view` shows it; `NotFoundError`."""
    document = await delivery.store.read(partition_of(tenant), f"{kind}:{key}")
    if document is None or document.body.get("review_state") == ERASED:
        raise NotFoundError(f"there is no {kind} {key}")
    return view(document)


async def page(
    delivery: Delivery,
    tenant: str,
    kind: str,
    *,
    view: View,
    limit: int,
    cursor: str,
    key: tuple[str, str] | None = None,
    descending: bool = True,
) -> dict[str, Any]:
    """One page, newest first: {"items", "cursor"}; `cursor` is "" at the end."""
    wanted = key if key and key[1] else None
    found = await delivery.store.query(
        partition_of(tenant), kind, key=wanted, descending=descending, limit=limit, cursor=cursor
    )
    return {"items": [view(document) for document in found.documents], "cursor": found.cursor}


def transaction(document: Document) -> dict[str, Any]:
    """A transaction without what merchant memory and counters note on it for themselves."""
    return {name: value for name, value in document.body.items() if name not in ("learned", "counted")}


async def one_run(
    delivery: Delivery, tenant: str, run_id: str, *, person: str, roles: frozenset[str]
) -> dict[str, Any]:
    """The run with its stages and signals; `NotFoundError`. Of a conversation that this reader may not read they come
    without words: how it was handled, and nothing of what was said."""
    told = await one(delivery, tenant, "run", run_id, view=_run)
    if told["command_type"] not in OF_A_CONVERSATION or not READS_ALL.isdisjoint(roles):
        return told
    is_message = told["command_type"] == "AgentMessagePosted"
    about = conversation_doc_id(told["subject"]) if is_message else action_doc_id(told["subject"])
    document = await delivery.store.read(partition_of(tenant), about)
    whose = document.body["owner" if is_message else "requested_by"] if document else ""
    return told if whose == person else _wordless(told)


def _run(document: Document) -> dict[str, Any]:
    return {name: value for name, value in document.body.items() if name != "vouches_for"}


def _wordless(told: dict[str, Any]) -> dict[str, Any]:
    stages = [{**one, "outcome_rationale": "", "details": {}} for one in told["stages"]]
    return {**told, "stages": stages, "signals": [{**one, "summary": ""} for one in told["signals"]]}


def run_line(document: Document) -> dict[str, Any]:
    """A run in a list: its stages and signals only counted."""
    body = _run(document)
    return {**body, "stages": len(body["stages"]), "signals": len(body["signals"])}


def as_stored(document: Document) -> dict[str, Any]:
    """The body as it is."""
    return document.body


def parked_line(document: Document) -> dict[str, Any]:
    """A parked command in a list: without the message itself."""
    return {name: value for name, value in document.body.items() if name not in ("message", "message_encoding")}


def finding(document: Document) -> dict[str, Any]:
    """A finding with the id that closes it."""
    closed = {"closed_at": "", "closed_by": "", "note": ""}
    return {"finding_id": document.id.removeprefix("finding:"), **closed, **document.body}


async def records_after(delivery: Delivery, tenant: str, *, after: int, limit: int) -> list[Body]:
    """Audit records with a sequence above `after`, in order; at most `limit`."""
    records: list[Body] = []
    cursor = ""
    while len(records) < limit:
        found = await delivery.store.query(
            partition_of(tenant),
            "audit",
            low=f"{after + 1:012d}",
            limit=min(MAX_PAGE, limit - len(records)),
            cursor=cursor,
        )
        records += [document.body for document in found.documents]
        cursor = found.cursor
        if not cursor:
            break
    return records


async def verified(delivery: Delivery, tenant: str, *, start: int, start_hash: str) -> dict[str, Any]:
    """The chain after record `start`, at most `MAX_VERIFIED` records. `next_from` goes on where this ended."""
    partition = partition_of(tenant)
    head = START
    if start:
        known = await delivery.store.read(partition, audit_id(start))
        if known is None:
            raise NotFoundError(f"there is no audit record {start}")
        head = Head(start, start_hash or known.body["hash"])
    found: Verification = await verify(
        partition, store=delivery.store, checkpoints=delivery.checkpoints, start=head, limit=MAX_VERIFIED
    )
    more = found.records == MAX_VERIFIED and not found.problem
    return {**found._asdict(), "ok": not found.problem, "next_from": found.verified_to if more else 0}


async def checkpoints(delivery: Delivery, tenant: str, *, limit: int) -> list[dict[str, Any]]:
    """The newest checkpoints of the tenant's chain, oldest first."""
    points = await delivery.checkpoints.all(partition_of(tenant), limit=limit)
    return [point._asdict() for point in points]


async def profile(delivery: Delivery, tenant: str) -> tuple[Body, str]:
    """The tenant's profile and its etag; an empty profile with etag "" when nothing is known yet."""
    stored = await delivery.store.read(partition_of(tenant), PROFILE_ID)
    if stored is None:
        return {"chart": [], "base_currency": "", "time_zone": "UTC", "accounts": [], "review_limit_minor": {}}, ""
    return stored.body, stored.etag
