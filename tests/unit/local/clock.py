"""A clock in seconds since the epoch that a test moves."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def datetime(self, seconds_from_now: float = 0.0) -> datetime:
        return datetime.fromtimestamp(self.now + seconds_from_now, UTC)
