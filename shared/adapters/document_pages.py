"""Where a page of documents begins and ends: bounds and cursors are values, the same in every store."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import NamedTuple

import orjson

from shared.errors import InvalidInputError
from shared.ports.document_store import Document

Bound = tuple[str | bytes, str]
"""A place in the order (sort, id). `b""` is above all that is stored, as SQLite orders a blob after every text."""


class Range(NamedTuple):
    """One query's order and bounds, apart from page size."""

    kind: str
    key: tuple[str, str] | None
    low: str
    high: str
    descending: bool

    def bounds(self, cursor: str) -> tuple[Bound, Bound]:
        """Exclusive bounds of what is left after `cursor`. Ids are never empty: (low, "") is below all of `low`."""
        lower: Bound = (self.low, "")
        upper: Bound = (self.high or b"", "")
        if not cursor:
            return lower, upper
        place = self._place(cursor)
        return (lower, place) if self.descending else (place, upper)

    def cursor_after(self, document: Document) -> str:
        """Where the next page begins. Bound to this query, so that it cannot be mistaken for another's."""
        return base64.urlsafe_b64encode(orjson.dumps([document.sort, document.id, self._mark()])).decode().rstrip("=")

    def _mark(self) -> int:
        return zlib.crc32(orjson.dumps(list(self)))

    def _place(self, cursor: str) -> Bound:
        try:
            sort, document_id, mark = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        except (binascii.Error, ValueError, TypeError) as error:
            raise _bad_cursor() from error
        if mark != self._mark() or not isinstance(sort, str) or not isinstance(document_id, str):
            raise _bad_cursor()
        return sort, document_id


def _bad_cursor() -> InvalidInputError:
    return InvalidInputError("this cursor was not given by this query; begin again without one", code="invalid_cursor")
