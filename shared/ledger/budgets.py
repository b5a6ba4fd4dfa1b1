"""Budgets: what a category, or a whole group of categories, may cost in a calendar month. One document each. Pure."""

from __future__ import annotations

import re
from hashlib import blake2b

from shared.ports.document_store import Body, Document

_PLAIN = re.compile(r"[a-z0-9_.]{1,80}")


def budget_doc_id(category: str) -> str:
    """The document id of a category's budget. A tenant's own words need not fit into an id, so they are hashed."""
    plain = _PLAIN.fullmatch(category)
    return f"budget:{category if plain else blake2b(category.encode(), digest_size=12).hexdigest()}"


def budget_document(
    partition: str,
    *,
    category: str,
    currency: str,
    limit_minor: int,
    at: str,
    set_by: str,
    action_id: str,
    stored: Document | None,
) -> Document:
    """The budget from now on; it replaces `stored`. limit_minor: per calendar month, in minor units of `currency`."""
    body: Body = {
        "category": category,
        "currency": currency,
        "limit_minor": limit_minor,
        "since": at[:10],
        "set_by": set_by,
        "set_at": at,
        "action_id": action_id,
    }
    etag = stored.etag if stored else ""
    return Document(partition, budget_doc_id(category), "budget", body, sort=category, etag=etag)


def is_budgeted(category: str, chart: frozenset[str]) -> bool:
    """Whether a budget can be set for it: a category of the chart, or a group (`food`) of several."""
    return category in chart or any(known.startswith(f"{category}.") for known in chart)
