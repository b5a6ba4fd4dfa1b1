"""How actions ended, counted per day, action, backend and configuration: what a rollout is judged by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.ports.document_store import Body, Document, Merge

OUTCOMES = ("done", "refused", "cancelled", "needs_review")
DIMENSIONS = ("action", "backend", "code_version", "configuration_version", "outcome")
_SEPARATOR = "|"
MAX_ROWS = 2_000
"""Rows of one day. More can only come from configurations by the hundred; what is beyond is counted as `other`."""


def tally_doc_id(day: str) -> str:
    """The document of one day."""
    return f"metric:actions:{day}"


def counted(partition: str, action: Body, *, outcome: str, at: str) -> Merge:
    """Counts how the action (the body of its document) ended, on the day of `at`."""
    day = at[:10]
    id_ = tally_doc_id(day)
    told = {**action, **action["configuration"], "backend": action["backend"] or "own", "outcome": outcome}
    key = _SEPARATOR.join(str(told.get(name, "")).replace(_SEPARATOR, "_") for name in DIMENSIONS)

    def made(known: Mapping[str, Document]) -> list[Document]:
        stored = known.get(id_)
        counts: dict[str, int] = stored.body["counts"] if stored else {}
        name = key if key in counts or len(counts) < MAX_ROWS else _SEPARATOR.join(["other"] * 4 + [outcome])
        body = {"day": day, "counts": {**counts, name: counts.get(name, 0) + 1}}
        etag = stored.etag if stored else ""
        return [Document(partition, id_, "metric", body, sort=f"actions:{day}", etag=etag)]

    return Merge((id_,), made)


def rows_of(body: Body) -> list[dict[str, Any]]:
    """The counts of one day as rows of `DIMENSIONS` and `count`."""
    return [
        {**dict(zip(DIMENSIONS, key.split(_SEPARATOR), strict=True)), "count": number}
        for key, number in sorted(body["counts"].items())
    ]
