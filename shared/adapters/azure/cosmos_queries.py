"""The four questions that are ever asked of Cosmos DB in SQL. `cosmos_index.py` has an index for each order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.adapters.azure.cosmos_items import COMMIT
from shared.adapters.document_pages import Range

# ruff: noqa: S608 - the statements below are put together from constants and names of the closed list alone


class Question(NamedTuple):
    """SQL and the values of its parameters, by name."""

    sql: str
    values: dict[str, str]

    @property
    def parameters(self) -> list[dict[str, object]]:
        """As the SDK takes them."""
        return [{"name": name, "value": value} for name, value in self.values.items()]


def by_ids(ids: Sequence[str]) -> Question:
    """The items of these ids, in no order."""
    return _of_ids("*", ids)


def standing(ids: Sequence[str]) -> Question:
    """What decides about a commit, of the items of these ids."""
    return _of_ids(f"c.id, c._etag, c.expires_at, c.{COMMIT}", ids)


def page(span: Range, cursor: str) -> Question:
    """The items of one kind after `cursor`, in order of sort, then id. `InvalidInputError("invalid_cursor")`.

    Where a page ended is told by values, not by the server: it holds after any time and on any instance.
    """
    order, where = ["kind"], ["c.kind = @kind"]
    values = {"@kind": span.kind}
    if span.key:
        name, values["@value"] = span.key
        order.append(f"keys.{name}")
        where.append(f"c.keys.{name} = @value")
    for bound, (sort, document_id), beyond in zip(("low", "high"), span.bounds(cursor), (">", "<"), strict=True):
        if isinstance(sort, bytes):  # above everything that is stored
            continue
        values[f"@{bound}"] = sort
        if document_id:
            values[f"@{bound}_id"] = document_id
            where.append(f"c.sort {beyond}= @{bound}")
            where.append(f"(c.sort {beyond} @{bound} OR c.id {beyond} @{bound}_id)")
        else:  # before every id: all of this sort are above. By kind alone, what has no sort is not listed
            open_ended = bound == "low" and (sort or span.key)
            where.append(f"c.sort {beyond}{'=' if open_ended else ''} @{bound}")
    direction = "DESC" if span.descending else "ASC"
    order_by = ", ".join(f"c.{path} {direction}" for path in (*order, "sort", "id"))
    return Question(f"SELECT * FROM c WHERE {' AND '.join(where)} ORDER BY {order_by}", values)


def due(kind: str, before: str) -> Question:
    """The items of one kind that are due, of all partitions, oldest first."""
    sql = "SELECT * FROM c WHERE c.kind = @kind AND c.due_at <= @before ORDER BY c.kind ASC, c.due_at ASC"
    return Question(sql, {"@kind": kind, "@before": before})


def _of_ids(what: str, ids: Sequence[str]) -> Question:
    names = [f"@id{place}" for place in range(len(ids))]
    return Question(f"SELECT {what} FROM c WHERE c.id IN ({', '.join(names)})", dict(zip(names, ids, strict=True)))
