"""How turns go, counted by day and configuration: what the rollout of a configuration is judged by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from shared.ports.document_store import Body, Document, Merge

BUCKETS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
"""Upper bounds in milliseconds; what took longer is in `more`."""


class Measured(NamedTuple):
    """One turn. failed: it was not answered. degraded: answered without the model that should have answered it."""

    configuration_version: str
    milliseconds: int
    failed: bool = False
    degraded: bool = False
    input_tokens: int = 0
    output_tokens: int = 0


def counted(partition: str, day: str, measured: Measured) -> Merge:
    """Adds one turn to its day. day: ISO."""
    id_ = f"metric:turns:{day}"

    def made(known: Mapping[str, Document]) -> list[Document]:
        stored = known.get(id_) or Document(partition, id_, "metric", {"day": day, "turns": {}}, sort=f"turns:{day}")
        turns = stored.body["turns"]
        version = measured.configuration_version
        return [
            stored._replace(body={**stored.body, "turns": {**turns, version: _added(turns.get(version), measured)}})
        ]

    return Merge((id_,), made)


def _added(before: Body | None, one: Measured) -> Body:
    body = before or {
        "answered": 0, "failed": 0, "degraded": 0, "input_tokens": 0, "output_tokens": 0, "milliseconds": {},
    }  # fmt: skip
    bucket = next((str(bound) for bound in BUCKETS if one.milliseconds <= bound), "more")
    return {
        "answered": body["answered"] + (not one.failed),
        "failed": body["failed"] + one.failed,
        "degraded": body["degraded"] + one.degraded,
        "input_tokens": body["input_tokens"] + one.input_tokens,
        "output_tokens": body["output_tokens"] + one.output_tokens,
        "milliseconds": {**body["milliseconds"], bucket: body["milliseconds"].get(bucket, 0) + 1},
    }
