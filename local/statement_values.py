"""The texts of a statement's cells as values: dates, amounts, ids. Pure; what cannot be read is None, never a guess.

What one cell leaves open (is 03/04 in March or in April? is 1,234 a thousand or one and a bit?) is decided over the
whole column: `DateEvidence` and `AmountEvidence` are shown every cell first.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Final

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME: Final = re.compile(r"[T\s]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(am|pm)?\s*(Z|[+-]\d{2}:?\d{2})?$", re.IGNORECASE)
_EIGHT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_PARTS: Final = re.compile(r"[\s/.,-]+")
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_AMOUNT: Final = re.compile(r"[^\d.,]*(\d[\d.,]*|[.,]\d+)[^\d.,]*")
_OPEN_SHARE: Final = 50
"""One cell in so many may contradict the rest of its column; it is then a bad row and no reason to ask."""


@lru_cache(maxsize=4096)
def read_date(cell: str, order: str) -> date | None:
    """The day in `cell`. order: "dmy" or "mdy", for numbers that leave it open; "ymd" also takes two-digit years."""
    text = _TIME.sub("", cell.strip())
    if whole := _EIGHT.fullmatch(text):
        return _day(*map(int, whole.groups()))
    parts = [part for part in _PARTS.split(text) if part]
    if len(parts) != 3:
        return None
    named = [at for at, part in enumerate(parts) if part[:3].casefold() in MONTHS and part.isalpha()]
    if named:
        order = {0: "mdy", 1: "ymd" if len(parts[0]) == 4 else "dmy"}.get(named[0], "")
        parts[named[0]] = str(MONTHS.index(parts[named[0]][:3].casefold()) + 1)
    elif len(parts[0]) == 4:
        order = "ymd"
    elif "." in text and order == "mdy":
        order = "dmy"  # nobody writes the month first with dots
    if not order or not all(part.isascii() and part.isdigit() and len(part) in (1, 2, 4) for part in parts):
        return None
    value = dict(zip(order, map(int, parts), strict=True))
    if len(parts[order.index("y")]) != 4:
        value["y"] += 2000 if value["y"] < 70 else 1900
    return _day(value["y"], value["m"], value["d"])


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day) if 1950 <= year <= 2100 else None
    except ValueError:
        return None


def order_of(date_format: str) -> str:
    """ "dd/mm/yyyy" → "dmy"; "" for what is no date format."""
    letters = re.sub(r"[^dmy]", "", date_format.casefold())
    order = "".join(dict.fromkeys(letters))
    whole = re.fullmatch(r"[dmy]{1,4}([/. -]?)[dmy]{1,4}\1[dmy]{1,4}", date_format.casefold())
    return order if whole and order in ("dmy", "mdy", "ymd") else ""


class DateEvidence:
    """Which order of day and month a column is written in."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._fits = {"dmy": 0, "mdy": 0}
        self._differ = False

    def show(self, cell: str) -> None:
        """One more cell of the column."""
        if cell in self._seen:
            return
        if len(self._seen) < 20_000:
            self._seen.add(cell)
        days = {order: read_date(cell, order) for order in self._fits}
        for order, day in days.items():
            self._fits[order] += day is not None
        self._differ |= None not in days.values() and len(set(days.values())) > 1

    def order(self) -> str:
        """ "dmy" or "mdy"; "" when the column could be either; "none" when no cell is a date."""
        if not any(self._fits.values()):
            return "none"
        if self._fits["dmy"] == self._fits["mdy"]:
            return "" if self._differ else "dmy"
        return max(self._fits, key=lambda order: self._fits[order])


def read_amount(cell: str, decimal: str) -> Decimal | None:
    """The number in `cell`, exactly. decimal: "." or ",", the other one groups thousands, and only in threes.

    Minus before or after, U+2212, brackets and a trailing DR mean negative; a currency sign or code is read past.
    """
    text = _bare(cell)
    found = _AMOUNT.fullmatch(text)
    if found is None or text.count("(") != text.count(")"):
        return None
    digits = found[1]
    whole, point, fraction = digits.partition(decimal)
    group = "," if decimal == "." else "."
    if group in fraction or decimal in fraction or (point and not fraction and not whole):
        return None
    if group in whole and not re.fullmatch(rf"\d{{1,3}}(\{group}\d{{3}})+", whole):
        return None
    value = Decimal(f"{whole.replace(group, '') or '0'}.{fraction or '0'}")
    around = text.replace(digits, "", 1)
    negative = "-" in around or "(" in around or around.casefold().endswith("dr")
    return -value if negative else value


def _bare(cell: str) -> str:
    """Without spaces of any kind and apostrophes, which group thousands in some countries; with a plain minus."""
    return re.sub(r"[\s'\u2019\u00a0\u202f]", "", cell).replace("\u2212", "-")


class AmountEvidence:
    """Whether a column's decimal mark is the point or the comma, and on which side of zero most of it lies."""

    def __init__(self) -> None:
        self._votes = {".": 0, ",": 0}
        self._open = 0
        self.positive = 0
        self.negative = 0

    def show(self, cell: str) -> None:
        """One more cell of the column; an empty one says nothing."""
        text = _bare(cell)
        found = _AMOUNT.fullmatch(text)
        if found is None:
            return
        vote = _decimal_of(found[1])
        if vote:
            self._votes[vote] += 1
        self._open += vote is None
        if found[1].strip("0.,"):
            around = text.replace(found[1], "", 1)
            negative = "-" in around or "(" in around or around.casefold().endswith("dr")
            self.negative += negative
            self.positive += not negative

    def decimal(self) -> str:
        """ "." or ","; "" when the column could be either."""
        most, least = sorted(self._votes.values(), reverse=True)
        if least * _OPEN_SHARE > most or (most == 0 and self._open):
            return ""
        return max(self._votes, key=lambda mark: self._votes[mark])

    def mostly_positive(self) -> bool:
        """Whether fewer than one in five amounts are negative."""
        return self.negative * 4 < self.positive


def _decimal_of(digits: str) -> str | None:
    """The decimal mark that `digits` proves, "" when there is nothing to prove, None when it could be either."""
    marks = [char for char in digits if char in ".,"]
    if not marks:
        return ""
    other = "," if marks[-1] == "." else "."
    if len(set(marks)) == 2:
        return marks[-1]
    if len(marks) > 1:
        return other
    before, _, behind = digits.partition(marks[0])
    if len(behind) != 3 or len(before) > 3 or before in ("", "0"):
        return marks[0]
    return None


def safe_id(text: str) -> str:
    """`text` where it may be an id, else its plain characters with a digest: two texts never become one id."""
    if _ID.fullmatch(text):
        return text
    plain = re.sub(r"[^A-Za-z0-9._:-]+", "-", text).strip("-")[:40]
    return f"{plain or 'x'}-{digest(text)}"


def digest(text: str) -> str:
    """16 hex digits of `text`: the same text, the same digits, on every machine."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
