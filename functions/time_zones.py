"""IANA time zones, as far as this machine's database knows them."""

from __future__ import annotations

from functools import cache

from shared.errors import InvalidInputError


def check_time_zone(name: str) -> None:
    """`InvalidInputError` for a name that is not in the database; a machine without one knows UTC alone."""
    if name != "UTC" and name not in _known():
        raise InvalidInputError(
            "the body does not have the shape that this endpoint takes",
            [{"pointer": "/time_zone", "message": "is not a time zone of the IANA database"}],
        )


@cache
def _known() -> frozenset[str]:
    import zoneinfo

    return frozenset(zoneinfo.available_timezones())
