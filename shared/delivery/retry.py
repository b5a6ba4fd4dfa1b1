"""All retry rules, as one pure function."""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import ConflictError, RetryableError, TerminalError

MAX_ATTEMPTS = 8
MAX_UNEXPECTED_ATTEMPTS = 3
"""A fault of our own code seldom heals: three tries, then a person looks."""
LONGEST_DELAY_SECONDS = 900.0
OUTAGES = frozenset(
    {"schema_too_new", "store_unavailable", "document_unreadable", "bus_unavailable", "publisher_unavailable"}
    | {"breaker_open"}
)
"""Waiting for these spends no attempt: the command is innocent, and nothing could be recorded anyway."""
OUTAGE_DELAY_SECONDS = 15.0


class RetryLater(NamedTuple):
    """Complete the message and send a scheduled copy. `counts`: whether the copy is a further attempt."""

    delay_seconds: float
    counts: bool


class Park(NamedTuple):
    """The command cannot succeed: keep it whole, for a person to look at."""

    reason: str
    detail: str


def after_failure(error: Exception, attempt: int, *, jitter: float) -> RetryLater | Park:
    """What to do with a command whose attempt number `attempt` (from 1) failed.

    jitter: a random number in [0, 1), so that commands which failed together do not come back together.
    """
    if isinstance(error, TerminalError):
        return Park(error.code, str(error))
    if isinstance(error, ConflictError):
        return RetryLater(0.2 + jitter, counts=False)
    if isinstance(error, RetryableError):
        if error.code in OUTAGES:
            return RetryLater((error.retry_after_seconds or OUTAGE_DELAY_SECONDS) * (1 + jitter), counts=False)
        if attempt >= MAX_ATTEMPTS:
            return Park("retries_exhausted", f"attempt {attempt}: {error}")
        return RetryLater(_backoff(attempt, jitter, error.retry_after_seconds), counts=True)
    if attempt >= MAX_UNEXPECTED_ATTEMPTS:
        return Park("unexpected_error", f"attempt {attempt}: {type(error).__name__}")
    return RetryLater(_backoff(attempt, jitter, None), counts=True)


def _backoff(attempt: int, jitter: float, wished: float | None) -> float:
    """2, 4, 8 ... seconds with up to half as much again, never above the longest, never below what was asked for."""
    return max(min(2.0**attempt, LONGEST_DELAY_SECONDS) * (1 + jitter / 2), wished or 0.0)
