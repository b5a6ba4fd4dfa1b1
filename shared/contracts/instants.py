"""UTC instants as fixed-width text, `2026-01-31T23:59:59.123456Z`: text order is time order (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def text(instant: datetime) -> str:
    """The instant as text; a naive datetime is a `ValueError`: nobody may guess its zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="microseconds")[:26] + "Z"


def parse(value: str) -> datetime:
    """The datetime of a text made by `text`, or of any RFC 3339 instant with an offset."""
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return instant.astimezone(UTC)


def after(instant: datetime, *, seconds: float = 0, days: float = 0) -> str:
    """The text of a later instant."""
    return text(instant + timedelta(seconds=seconds, days=days))
