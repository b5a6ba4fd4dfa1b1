"""The SQL that the Cosmos DB double understands: a small grammar, parsed strictly; anything else is refused loudly.

    SELECT * | c.path {, c.path} FROM c [WHERE term {AND term}] [ORDER BY c.path [ASC|DESC] {, ...}]
    term: c.path op @parameter | c.path IN (@parameter {, ...}) | (term {OR term}) | true

A filter or an order that the container's index does not serve is refused too: Cosmos DB would scan for the first and
answers 400 to the second.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]
Predicate = Callable[[Item], bool]

# ruff: noqa: S608 - it is parsed here and nowhere run
_TOKEN = re.compile(r"\s*(@\w+|c(?:\.\w+)+|[A-Za-z]+|<=|>=|[=<>(),*])")
_OPERATORS = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ABSENT = object()
_WRAPPED = re.compile(
    r"SELECT c\._rid, \[(?P<items>[^]]*)\] AS orderByItems, c AS payload\s+FROM c\s+(?P<rest>.*)", re.DOTALL
)


class RefusedQueryError(Exception):
    """What Cosmos DB answers with 400, or what this double does not know."""


@dataclass(frozen=True)
class Query:
    """projected: paths, or none for whole items. order: paths with `True` for descending. filtered: paths of WHERE.

    wrapped: as the SDK asks each physical partition for a share of an ordered answer.
    """

    projected: tuple[str, ...]
    matches: Predicate
    filtered: frozenset[str]
    order: tuple[tuple[str, bool], ...]
    wrapped: bool = False

    def sort_key(self, item: Item) -> tuple[Any, ...]:
        """The item's place among others in ascending order."""
        return tuple(value_at(item, path) for path, _ in self.order)

    @property
    def descending(self) -> bool:
        return bool(self.order) and self.order[0][1]

    def shown(self, item: Item) -> dict[str, Any]:
        """What is answered of an item."""
        if self.wrapped:
            return {
                "_rid": item["_rid"],
                "orderByItems": [{"item": value_at(item, path)} for path, _ in self.order],
                "payload": dict(item),
            }
        if not self.projected:
            return dict(item)
        values = {path.rpartition(".")[2]: value_at(item, path) for path in self.projected}
        return {name: value for name, value in values.items() if value is not ABSENT}


def value_at(item: Item, path: str) -> Any:
    """The value at `keys.state`, or an object that equals nothing."""
    value: Any = item
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value


def parse(sql: str, parameters: Sequence[Mapping[str, Any]]) -> Query:
    """`RefusedQueryError` for everything outside the grammar."""
    values = {parameter["name"]: parameter["value"] for parameter in parameters}
    if wrapped := _WRAPPED.fullmatch(sql.strip()):
        inner = _Parser(f"SELECT * FROM c {wrapped['rest']}", values).query()
        return Query(inner.projected, inner.matches, inner.filtered, inner.order, wrapped=True)
    return _Parser(sql, values).query()


def check_served(query: Query, policy: Mapping[str, Any]) -> None:
    """Whether the container's index serves it: `RefusedQueryError`."""
    composite = [[entry["path"] for entry in index] for index in policy.get("compositeIndexes", [])]
    order = ["/" + path.replace(".", "/") for path, _ in query.order]
    if len(order) > 1 and order not in composite:
        raise RefusedQueryError("The order by query does not have a corresponding composite index: " + str(order))
    if len({descending for _, descending in query.order}) > 1:
        raise RefusedQueryError("no composite index is declared with mixed directions")
    singles = [entry["path"] for entry in policy["includedPaths"]]
    for path in query.filtered - {"id", "_ts"}:
        slashed = "/" + path.replace(".", "/")
        if not any(slashed + "/?" == one or (one.endswith("/*") and slashed.startswith(one[:-1])) for one in singles):
            raise RefusedQueryError(f"a filter on {slashed} would read every item: it is not indexed")


def plan(sql: str, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The partitioned query execution info of a cross-partition query."""
    query = parse(sql, parameters)
    text = " ".join(sql.split())
    rewritten = ""
    if query.order:
        items = ", ".join(f'{{"item": c.{path}}}' for path, _ in query.order)
        head, _, order = text.partition(" ORDER BY ")
        where = head.partition(" WHERE ")[2]
        rewritten = (
            f"SELECT c._rid, [{items}] AS orderByItems, c AS payload FROM c"
            f" WHERE {where} AND {{documentdb-formattableorderbyquery-filter}} ORDER BY {order}"
        )
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": {
            "distinctType": "None", "top": None, "offset": None, "limit": None,
            "orderBy": ["Descending" if descending else "Ascending" for _, descending in query.order],
            "orderByExpressions": [f"c.{path}" for path, _ in query.order],
            "groupByExpressions": [], "groupByAliases": [], "aggregates": [], "groupByAliasToAggregateType": {},
            "rewrittenQuery": rewritten, "hasSelectValue": False, "hasNonStreamingOrderBy": False,
        },
        "queryRanges": [{"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}],
    }  # fmt: skip


@dataclass
class _Parser:
    sql: str
    values: Mapping[str, Any]
    filtered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tokens: list[str] = []
        place = 0
        while self.sql[place:].strip():
            found = _TOKEN.match(self.sql, place)
            if found is None:
                raise RefusedQueryError(f"the double does not know: {self.sql[place : place + 60]}")
            self.tokens.append(found[1])
            place = found.end()

    def query(self) -> Query:
        self._take("SELECT")
        projected = () if self._next_is("*") else self._paths()
        self._take("FROM")
        self._take("c")
        matches = self._all() if self._next_is("WHERE") else (lambda _item: True)
        order: list[tuple[str, bool]] = []
        if self._next_is("ORDER"):
            self._take("BY")
            order.append(self._ordered())
            while self._next_is(","):
                order.append(self._ordered())
        if self.tokens:
            raise RefusedQueryError(f"the double does not know: {' '.join(self.tokens)}")
        return Query(projected, matches, frozenset(self.filtered), tuple(order))

    def _all(self) -> Predicate:
        terms = [self._term()]
        while self._next_is("AND"):
            terms.append(self._term())
        return lambda item: all(term(item) for term in terms)

    def _any(self) -> Predicate:
        terms = [self._term()]
        while self._next_is("OR"):
            terms.append(self._term())
        self._take(")")
        return lambda item: any(term(item) for term in terms)

    def _term(self) -> Predicate:
        if self._next_is("("):
            return self._any()
        if self._next_is("true"):
            return lambda _item: True
        path = self._path()
        self.filtered.add(path)
        if self._next_is("IN"):
            self._take("(")
            allowed = [self._value()]
            while self._next_is(","):
                allowed.append(self._value())
            self._take(")")
            return lambda item: value_at(item, path) in allowed
        compare, value = _OPERATORS[self._take(*_OPERATORS)], self._value()
        return lambda item: type(value_at(item, path)) is type(value) and bool(compare(value_at(item, path), value))

    def _ordered(self) -> tuple[str, bool]:
        path = self._path()
        descending = self._next_is("DESC")
        if not descending:
            self._next_is("ASC")
        return path, descending

    def _paths(self) -> tuple[str, ...]:
        paths = [self._path()]
        while self._next_is(","):
            paths.append(self._path())
        return tuple(paths)

    def _path(self) -> str:
        if not self.tokens or not self.tokens[0].startswith("c."):
            raise RefusedQueryError(f"a path was expected: {' '.join(self.tokens)}")
        return self.tokens.pop(0).removeprefix("c.")

    def _value(self) -> Any:
        name = self.tokens.pop(0) if self.tokens else ""
        if name not in self.values:
            raise RefusedQueryError(f"a declared parameter was expected, not {name!r}")
        return self.values[name]

    def _take(self, *expected: str) -> str:
        if not self.tokens or self.tokens[0] not in expected:
            raise RefusedQueryError(f"{' or '.join(expected)} was expected: {' '.join(self.tokens)}")
        return self.tokens.pop(0)

    def _next_is(self, token: str) -> bool:
        if self.tokens[:1] == [token]:
            self.tokens.pop(0)
            return True
        return False
