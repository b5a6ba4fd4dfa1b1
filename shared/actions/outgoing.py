"""What a tenant has asked for lately of one action, so that several small amounts count like one large one. Pure.

One document per action lists the wishes of the policy's window: {"action", "asked": [{"action_id", "at"}]}, the oldest
first; what each is about and what came of it, the actions themselves say. It is changed in the commit that asks: who
asks at the same moment loses it, and is judged anew. It expires with its newest entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.actions.registry import money_of
from shared.contracts.instants import after, text
from shared.ports.document_store import Document

MAX_ASKED = 200
"""Entries of one document. The oldest of more make way, and then nobody can tell the sum: `UNTOLD`."""
NOTHING_CAME_OF_IT = frozenset({"denied", "refused", "cancelled"})
"""States of an action that counts no more."""
UNTOLD = ""
"""The currency of an amount that nobody can tell (any more): no policy has a limit for it, so it is above any."""


class Asked(NamedTuple):
    """One wish of the window. action_id: `UNTOLD` for more than are kept."""

    action_id: str
    at: str


def outgoing_doc_id(action: str) -> str:
    """The document of one action."""
    return f"outgoing:{action}"


def asked_since(stored: Document | None, *, hours: int, now: datetime) -> tuple[Asked, ...]:
    """The entries of the last `hours`."""
    since = text(now - timedelta(hours=hours))
    return tuple(Asked(**one) for one in stored.body["asked"] if one["at"] > since) if stored else ()


def with_asked(asked: Sequence[Asked], action_id: str, *, at: str) -> tuple[Asked, ...]:
    """The entries with this one, in place of an earlier one for the same action."""
    every = [*(one for one in asked if one.action_id != action_id), Asked(action_id, at)]
    if len(every) <= MAX_ASKED:
        return tuple(every)
    gone, kept = every[: 1 - MAX_ASKED], every[1 - MAX_ASKED :]
    return (Asked(UNTOLD, max(one.at for one in gone)), *kept)


def outgoing_document(
    partition: str, action: str, asked: Sequence[Asked], *, hours: int, now: datetime, stored: Document | None
) -> Document:
    """What to write; it replaces `stored`, or must not exist yet."""
    body = {"action": action, "asked": [one._asdict() for one in asked]}
    etag = stored.etag if stored else ""
    expires_at = after(now, seconds=hours * 3600)
    return Document(partition, outgoing_doc_id(action), "outgoing", body, sort=action, expires_at=expires_at, etag=etag)


def sums(actions: Iterable[Document], *, missing: bool) -> dict[str, int]:
    """Minor units by currency of the actions that something has come of, or still may. missing: whether there are more
    that nobody can tell; an erased one is such."""
    found: dict[str, int] = {UNTOLD: 1} if missing else {}
    for body in (one.body for one in actions):
        if body["state"] in NOTHING_CAME_OF_IT:
            continue
        money = None if "erased_at" in body else money_of(body["action"], body["arguments"])
        amount, currency = (abs(money.amount_minor), money.currency) if money else (1, UNTOLD)
        found[currency] = found.get(currency, 0) + amount
    return found
