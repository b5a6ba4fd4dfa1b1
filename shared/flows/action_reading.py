"""What people look at of actions: the list, one of them, what they left in our store, and how they ended.

A member sees what the own wishes came to; whoever reviews, audits or operates sees the tenant's.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from shared.actions.breaker_store import standing
from shared.actions.change_notifications import DEFAULT, preference_doc_id
from shared.actions.export_statement import EXPORT_STATEMENT, MAX_ROWS, as_csv
from shared.actions.life_cycle import action_doc_id
from shared.actions.registry import ACTIONS
from shared.actions.tally import rows_of
from shared.contracts.identity import partition_of
from shared.delivery.handling import Delivery
from shared.errors import InvalidInputError, NotFoundError, StateConflictError
from shared.flows import reading
from shared.flows.stored_action import ON_THE_WAY
from shared.guard.action_policy import ActionPolicy
from shared.ports.document_store import MAX_PAGE, Body, Document

MOST_ROWS = 1_000
"""Counts of one answer."""
DAYS_AT_ONCE = 5
CURSOR = re.compile(r"(\d{1,2})\.(\d{1,4})\.(actions:\d{4}-\d{2}-\d{2}~?)", re.ASCII)
SEE_ALL = frozenset({"reviewer", "auditor", "operator"})


class Reader(NamedTuple):
    """Who looks. roles: in the tenant."""

    person: str
    roles: frozenset[str]

    @property
    def sees_all(self) -> bool:
        """Whether others' actions are there for this reader."""
        return not SEE_ALL.isdisjoint(self.roles)


async def actions(
    delivery: Delivery, tenant: str, reader: Reader, *, state: str, limit: int, cursor: str
) -> dict[str, Any]:
    """One page, newest first; {"items", "cursor"}. A page of the own ones in one state may hold fewer than `limit`."""
    if reader.sees_all:
        key = ("state", state)
        found = await reading.page(delivery, tenant, "action", view=_shown, key=key, limit=limit, cursor=cursor)
        return {**found, "items": await _with_breakers(delivery, found["items"])}
    own = ("subject", reader.person)
    found = await reading.page(delivery, tenant, "action", view=_shown, key=own, limit=limit, cursor=cursor)
    kept = [one for one in found["items"] if state in ("", one["state"])]
    return {**found, "items": await _with_breakers(delivery, kept)}


async def one_action(delivery: Delivery, tenant: str, reader: Reader, action_id: str) -> dict[str, Any]:
    """One action with how it can be undone; another person's is not there for a member."""
    (shown,) = await _with_breakers(delivery, [_shown(await _visible(delivery, tenant, reader, action_id))])
    return shown


async def statement(delivery: Delivery, tenant: str, reader: Reader, action_id: str) -> tuple[str, bool]:
    """The CSV that an `export_statement` grants, and whether there was more than `MAX_ROWS`.

    `StateConflictError("statement_not_ready")` before the action is done.
    """
    document = await _visible(delivery, tenant, reader, action_id)
    body = document.body
    if body["action"] != EXPORT_STATEMENT.name or "erased_at" in body:
        raise NotFoundError(f"action {action_id} has no statement")
    if body["state"] != "done":
        raise StateConflictError(f"the action is {body['state']}: there is no statement", code="statement_not_ready")
    rows: list[Body] = []
    cursor, span = "", {"low": body["arguments"]["since"], "high": body["arguments"]["until"]}
    while len(rows) < MAX_ROWS:
        page = await delivery.store.query(
            document.partition, "transaction", limit=min(MAX_PAGE, MAX_ROWS - len(rows)), cursor=cursor, **span
        )
        rows += [one.body for one in page.documents]
        cursor = page.cursor
        if not cursor:
            break
    return as_csv(rows), bool(cursor)


async def budgets(delivery: Delivery, tenant: str, *, limit: int, cursor: str) -> dict[str, Any]:
    """The tenant's budgets, by category."""
    return await reading.page(
        delivery, tenant, "budget", view=reading.as_stored, limit=limit, cursor=cursor, descending=False
    )


async def preferences(delivery: Delivery, tenant: str, person: str, *, policy: ActionPolicy | None) -> dict[str, Any]:
    """The person's notification settings, with every topic that policy lists."""
    stored = await delivery.store.read(partition_of(tenant), preference_doc_id(person))
    told = stored.body["topics"] if stored else {}
    rule = policy.actions.get("change_notifications") if policy else None
    listed = rule.allowed.get("topic", frozenset()) if rule else frozenset()
    topics = {topic: told.get(topic, DEFAULT) for topic in sorted(listed)}
    return {"person": person, "topics": topics, "changed_at": stored.body["changed_at"] if stored else ""}


async def drafts(delivery: Delivery, tenant: str, person: str, *, limit: int, cursor: str) -> dict[str, Any]:
    """The person's drafts, newest first."""
    key = ("subject", person)
    return await reading.page(delivery, tenant, "draft", view=reading.as_stored, key=key, limit=limit, cursor=cursor)


async def action_metrics(delivery: Delivery, tenant: str, *, days: int, cursor: str) -> dict[str, Any]:
    """How actions ended on the last `days` days that had any, newest first; {"days", "cursor"}, at most `MOST_ROWS`
    rows, so that a day may begin on one page and end on the next. `days` counts from the first page."""
    left, row, before = _place_in(cursor) if cursor else (days, 0, "actions;")
    told: list[dict[str, Any]] = []
    room = MOST_ROWS
    while left and room:
        some = min(left, DAYS_AT_ONCE)
        found = await delivery.store.query(
            partition_of(tenant), "metric", low="actions:", high=before, descending=True, limit=some
        )
        for document in found.documents:
            rows = rows_of(document.body)[row:]
            told.append({"day": document.body["day"], "rows": rows[:room]})
            if len(rows) > room:
                return {"days": told, "cursor": f"{left}.{row + room}.{document.sort}~"}
            room, left, row, before = room - len(rows), left - 1, 0, document.sort
            if not room:
                break
        if room and len(found.documents) < some:
            left = 0
    return {"days": told, "cursor": f"{left}.0.{before}" if left else ""}


def _place_in(cursor: str) -> tuple[int, int, str]:
    """How many days are left, which row of the next one comes first, and what its sort is below."""
    given = CURSOR.fullmatch(cursor)
    if given is None:
        raise InvalidInputError("this cursor was not given by us; begin again without one", code="invalid_cursor")
    return int(given[1]), int(given[2]), given[3]


async def _visible(delivery: Delivery, tenant: str, reader: Reader, action_id: str) -> Document:
    document = await delivery.store.read(partition_of(tenant), action_doc_id(action_id))
    if document is None or not (reader.sees_all or document.body["requested_by"] == reader.person):
        raise NotFoundError(f"there is no action {action_id}")
    return document


async def _with_breakers(delivery: Delivery, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The actions, those on their way to a backend with how its circuit breaker stands: one read more, if any are."""
    backends = {one["backend"] for one in shown if one["state"] in ON_THE_WAY and one["backend"]}
    if not backends:
        return shown
    stands = await standing(backends, store=delivery.store)
    return [
        {**one, "waits_for": stands[one["backend"]]} if one["state"] in ON_THE_WAY and one["backend"] else one
        for one in shown
    ]


def _shown(document: Document) -> dict[str, Any]:
    body = document.body
    kind = ACTIONS.get(body["action"])
    told = {**body, "compensation": kind.compensation if kind else "", "undo": None, "waits_for": None}
    if kind and body["state"] == "done" and "erased_at" not in body:
        undoing = kind.compensating(body["arguments"], body["result"])
        told["undo"] = undoing and {"action": undoing[0], "arguments": undoing[1]}
    return told
