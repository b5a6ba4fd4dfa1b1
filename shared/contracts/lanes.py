"""The one list of lanes: one Service Bus queue each. Bindings, the local host and infrastructure read it here.

`sessions`: every message needs a session id (the tenant), and a session's messages are handled one at a time.
"""

from __future__ import annotations

from typing import NamedTuple


class Lane(NamedTuple):
    """Durations in seconds; `max_delivery_count` is the platform's, before a message is dead-lettered."""

    queue: str
    sessions: bool
    lock_seconds: int = 60
    max_delivery_count: int = 10
    duplicate_window_seconds: int = 600


INGESTION = Lane("runtime-ingestion-completed", sessions=True)
SWEEP = Lane("runtime-nightly-anomaly-sweep", sessions=True)

LANES: dict[str, Lane] = {lane.queue: lane for lane in (INGESTION, SWEEP)}

LANE_OF_COMMAND: dict[str, str] = {
    "ClassifyTransaction": INGESTION.queue,
    "IngestionCompleted": INGESTION.queue,
    "SweepTenant": SWEEP.queue,
}

DEAD_LETTER_SUFFIX = "/$deadletterqueue"
