"""What people see of cards: the inbox and one card, each with whether the reader may answer it. Reads alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from shared.actions.dispatcher import NO_POLICY
from shared.approvals.card import OPEN, approval_doc_id, has_expired
from shared.approvals.life_cycle import Signer, explained, refusal
from shared.approvals.record import needed
from shared.contracts.identity import partition_of
from shared.contracts.instants import text
from shared.delivery.handling import Delivery
from shared.errors import NotFoundError
from shared.guard.approvers import APPROVE
from shared.ports.document_store import Body

READS_ALL = frozenset({"reviewer", "auditor", "operator"})
"""Roles that see every card of the tenant; anybody else sees the own requests."""
MAX_PAGES = 5
"""Pages that one call looks through for cards that pass the filter."""
LINE = (
    "approval_id", "action_id", "conversation_id", "action", "version", "risk", "role", "quorum", "requested_by",
    "requested_at", "expires_at", "warned_at", "escalated_at", "card_digest",
)  # fmt: skip
NOT_SHOWN = frozenset({"tenant", "turn", "warn_at", "escalate_at", "records"})


class Filter(NamedTuple):
    """state: "" for cards that wait for people. older_than_minutes: 0 for any age. "" elsewhere: any."""

    state: str = ""
    risk: str = ""
    role: str = ""
    older_than_minutes: int = 0


async def inbox(
    delivery: Delivery, tenant: str, reader: Signer, wanted: Filter, *, limit: int, cursor: str, can_sign: bool = True
) -> dict[str, Any]:
    """One page of the cards that `reader` may see, the oldest first: {"items", "cursor"}. can_sign: whether there is a
    policy, without which nobody can."""
    now = delivery.now()
    at, before = text(now), text(now - timedelta(minutes=wanted.older_than_minutes))
    items: list[Body] = []
    for _ in range(MAX_PAGES):
        found = await delivery.store.query(
            partition_of(tenant), "approval", key=_key(reader, wanted), limit=limit - len(items), cursor=cursor
        )
        young = [one for one in found.documents if one.body["requested_at"] > before]
        items += [one.body for one in found.documents if one not in young and _passes(one.body, wanted, at)]
        cursor = "" if young else found.cursor  # the oldest come first: after a young one there are only younger
        if not cursor or len(items) >= limit:
            break
    return {"items": [_line(body, reader, at, can_sign=can_sign) for body in items], "cursor": cursor}


async def one_card(
    delivery: Delivery,
    tenant: str,
    approval_id: str,
    *,
    reader: Signer,
    conversation_id: str = "",
    can_sign: bool = True,
) -> dict[str, Any]:
    """The whole card; `NotFoundError` for another tenant's, for one of another conversation than `conversation_id`,
    and for one that `reader` may not see."""
    stored = await delivery.store.read(partition_of(tenant), approval_doc_id(approval_id))
    if (
        stored is None
        or not _may_read(stored.body, reader)
        or conversation_id not in ("", stored.body["conversation_id"])
    ):
        raise NotFoundError(f"there is no approval {approval_id}")
    at, body = text(delivery.now()), stored.body
    shown = {name: value for name, value in body.items() if name not in NOT_SHOWN}
    you = _you(body, reader, at, can_sign=can_sign)
    return {**shown, "state": _state(body, at), "still_needed": _needed(body, at), "you": you}


def _key(reader: Signer, wanted: Filter) -> tuple[str, str]:
    if not READS_ALL & set(reader.roles):
        return ("subject", reader.person)
    return ("state", "open" if wanted.state in ("", *OPEN) else wanted.state)


def _may_read(body: Body, reader: Signer) -> bool:
    return bool(READS_ALL & set(reader.roles)) or body["requested_by"] == reader.person


def _passes(body: Body, wanted: Filter, at: str) -> bool:
    state = _state(body, at)
    return (
        (state == wanted.state if wanted.state else state in OPEN)
        and wanted.risk in ("", body["risk"])
        and wanted.role in ("", body["role"])
    )


def _state(body: Body, at: str) -> str:
    """As it is now: a card whose time is over is expired, also before the timer has marked it."""
    return "expired" if body["state"] in OPEN and has_expired(body, at=at) else str(body["state"])


def _needed(body: Body, at: str) -> int:
    return needed(body) if _state(body, at) in OPEN else 0


def _line(body: Body, reader: Signer, at: str, *, can_sign: bool) -> Body:
    return {
        **{name: body[name] for name in LINE},
        "title": body["card"]["title"],
        "state": _state(body, at),
        "signatures": len(body["signatures"]),
        "still_needed": _needed(body, at),
        "you": _you(body, reader, at, can_sign=can_sign),
    }


def _you(body: Body, reader: Signer, at: str, *, can_sign: bool) -> Body:
    code = refusal(body, reader, decision=APPROVE, at=at) or ("" if can_sign else NO_POLICY)
    return {"may_answer": not code, "code": code, "why": explained(code, body) if code else ""}
