"""What the Cosmos DB double charges: request units after the published figures, not measured ones.

Reading an item of 1, 4 and 64 KB: 1, 1.3 and 10 units; creating one: 5, 7 and 48; in between in proportion. Replacing
costs about two creations' worth of bytes, deleting one. Each indexed value adds a little. Strong and bounded staleness
read from two replicas, so reads cost twice. A query pays for being asked, for each value it looks up and for what it
reads. Only an account can tell the true charge: compare before money depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.doubles.cosmos_sql import value_at

_READ = ((0.0, 1.0), (1.0, 1.0), (4.0, 1.3), (64.0, 10.0))
_WRITE = ((0.0, 5.0), (1.0, 5.0), (4.0, 7.0), (64.0, 48.0))
_TERM = 0.25
_QUERY, _LOOKED_UP, _FOUND = 2.3, 0.1, 0.04
_READ_BY_QUERY = 0.25
"""Of a point read's price: a query's items come from few pages."""


def size_kb(item: Mapping[str, Any]) -> float:
    """As UTF-8 JSON, with its system properties."""
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) / 1024


def read_units(item: Mapping[str, Any] | None) -> float:
    """A point read; what is missing costs as much as 1 KB."""
    return _between(_READ, size_kb(item) if item else 1.0)


def write_units(policy: Mapping[str, Any], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> float:
    """Creating, replacing or deleting one item."""
    units = sum(_between(_WRITE, size_kb(item)) for item in (before, after) if item)
    old, new = index_terms(policy, before), index_terms(policy, after)
    return units + _TERM * len(old ^ new)


def query_units(values: int, read: Sequence[Mapping[str, Any]]) -> float:
    """One page: `values` looked up, `read` items."""
    kilobytes = sum(size_kb(item) for item in read)
    found = len(read) * _FOUND + (_between(_READ, kilobytes) - 1.0) * _READ_BY_QUERY if read else 0.0
    return _QUERY + values * _LOOKED_UP + found


def index_terms(policy: Mapping[str, Any], item: Mapping[str, Any] | None) -> set[tuple[Any, ...]]:
    """What the index holds of an item: one term for each single value, and each composite it has all values of."""
    if item is None:
        return set()
    terms: set[tuple[Any, ...]] = set()
    for entry in policy["includedPaths"]:
        name, _, end = entry["path"].removeprefix("/").rpartition("/")
        value = value_at(item, name.replace("/", "."))
        if end == "?" and isinstance(value, str | int | float | bool):
            terms.add((entry["path"], value))
        elif end == "*" and isinstance(value, Mapping):
            terms.update((f"{name}/{key}", leaf) for key, leaf in value.items())
    for index in policy.get("compositeIndexes", []):
        values = [value_at(item, entry["path"].removeprefix("/").replace("/", ".")) for entry in index]
        if all(isinstance(value, str | int | float | bool) for value in values):
            terms.add((tuple(entry["path"] for entry in index), *values))
    return terms


def _between(prices: Sequence[tuple[float, float]], kilobytes: float) -> float:
    for (low, cheap), (high, dear) in pairwise(prices):
        if kilobytes <= high:
            return cheap + (dear - cheap) * (kilobytes - low) / (high - low)
    (low, cheap), (high, dear) = prices[-2:]
    return dear + (dear - cheap) / (high - low) * (kilobytes - high)
