"""What of a document is indexed in Cosmos DB: only what is queried. Infrastructure and tests read it from here.

Every list is served by one composite index: the equalities first, then the order, so that a page costs what it holds.
A query must order by these very paths, all ascending or all descending. `id` is always indexed; a body never is.
The single paths are what a filter looks up; the documentation does not promise that a composite index alone serves it.
Time to live needs the indexing mode "consistent" and a container whose default is -1: only a document's own counts.
"""

from __future__ import annotations

from typing import Any

from shared.ports.document_store import LOOKUPS

PARTITION_KEY_PATH = "/partition"
DEFAULT_TIME_TO_LIVE = -1

ORDERS: tuple[tuple[str, ...], ...] = (
    ("kind", "sort", "id"),
    *(("kind", f"keys.{name}", "sort", "id") for name in LOOKUPS),
    ("kind", "due_at"),
)
"""The property paths that a query may order by."""

_FILTERED = ("/kind/?", "/sort/?", "/due_at/?", "/keys/*")


def _path(name: str) -> str:
    return "/" + name.replace(".", "/")


def indexing_policy() -> dict[str, Any]:
    """The container's `indexingPolicy`, as Bicep and the REST protocol write it."""
    return {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": path} for path in _FILTERED],
        "excludedPaths": [{"path": "/*"}, {"path": '/"_etag"/?'}],
        "compositeIndexes": [[{"path": _path(name), "order": "ascending"} for name in order] for order in ORDERS],
    }
