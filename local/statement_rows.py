"""One record of a CSV file as a transaction, once it is known how the file is written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import ValidationError

from local.statement_columns import Columns
from local.statement_values import digest, read_amount, read_date, safe_id
from shared.contracts.currencies import EXPONENTS
from shared.contracts.transactions import TransactionFacts

CATEGORY_LENGTH = 120
NEEDED_CELLS = ("date", "descriptor", "amount")


class Wishes(NamedTuple):
    """What the caller said on the command line. spending: "positive", "negative" or "" to find out. decimal: "." or
    "," or ""."""

    columns: Mapping[str, str] = {}
    currency: str = ""
    spending: str = ""
    decimal: str = ""


class StatementRow(NamedTuple):
    """One transaction of the file; `line` is where it stands. category: "" when the file has none for it."""

    line: int
    transaction_id: str
    account: str
    booked_on: str
    amount_minor: int
    currency: str
    descriptor: str
    mcc: str
    group: str
    category: str

    def facts(self) -> dict[str, Any]:
        """As `TransactionFacts` travel."""
        return {name: getattr(self, name) for name in TransactionFacts.model_fields}


class BadRow(NamedTuple):
    """A line that is no transaction, and why."""

    line: int
    why: str


class Writing(NamedTuple):
    """How the file is written: everything that is decided once."""

    encoding: str
    delimiter: str
    header_record: int
    columns: Columns
    date_order: str
    decimal: str
    spending: str
    ids_unique: bool


class RowReader:
    """Turns one record after the other into a row, or says why not."""

    def __init__(self, writing: Writing, wishes: Wishes) -> None:
        self._writing = writing
        self._place = writing.columns.place
        self._currency = wishes.currency or writing.columns.currency
        self._ids = "id" in self._place and (writing.ids_unique or "id" in wishes.columns)
        self._least = max(self._place[role] for role in NEEDED_CELLS if role in self._place)
        self._occurrences: dict[str, int] = {}

    def read(self, line: int, cells: Sequence[str]) -> StatementRow | BadRow:
        """The record as a row."""
        if len(cells) <= self._least:
            return BadRow(line, f"it has {len(cells)} cells, the header names {len(self._writing.columns.header)}")
        day = read_date(self._told(cells, "date"), self._writing.date_order)
        if day is None:
            return BadRow(line, f"{self._told(cells, 'date')[:40]!r} is no date")
        currency = (self._told(cells, "currency") or self._currency).upper()
        if currency not in EXPONENTS:
            return BadRow(line, f"{currency[:10]!r} is no currency")
        amount = self._amount(cells, EXPONENTS[currency])
        if isinstance(amount, str):
            return BadRow(line, amount)
        values = {
            "account": safe_id(self._told(cells, "account") or "main"),
            "booked_on": day.isoformat(),
            "amount_minor": amount,
            "currency": currency,
            "descriptor": _plain(self._told(cells, "descriptor"), 200) or _plain(self._told(cells, "purpose"), 200),
            "mcc": _mcc(self._told(cells, "mcc")),
            "group": _plain(self._told(cells, "group"), 60),
        }
        id_ = safe_id(self._told(cells, "id")) if self._ids else self._id_of(values)
        try:
            facts = TransactionFacts.model_validate({"transaction_id": id_, **values}, strict=True)
        except ValidationError as failed:
            error = failed.errors(include_url=False, include_input=False)[0]
            return BadRow(line, f"{'.'.join(map(str, error['loc']))}: {error['msg']}")
        told = {name: _shared(value) for name, value in facts.model_dump().items()}
        return StatementRow(line, **told, category=_shared(_plain(self._told(cells, "category"), CATEGORY_LENGTH)))

    def _told(self, cells: Sequence[str], role: str) -> str:
        return cell_of(cells, self._place[role]).strip() if role in self._place else ""

    def _amount(self, cells: Sequence[str], exponent: int) -> int | str:
        """In minor units, negative when money leaves; or what is wrong with it."""
        if "amount" in self._place:
            cell = self._told(cells, "amount")
            value = read_amount(cell, self._writing.decimal)
            if value is None:
                return f"{cell[:40]!r} is no amount" if cell else "the amount is missing"
            return _minor(-value if self._writing.spending == "positive" else value, exponent)
        sides = [self._told(cells, role) for role in ("credit", "debit")]
        read = [read_amount(side, self._writing.decimal) if side else Decimal(0) for side in sides]
        for side, value in zip(sides, read, strict=True):
            if value is None:
                return f"{side[:40]!r} is no amount"
        given = [abs(value) for value in read if value is not None]
        if not any(sides) or all(given):
            return "either debit or credit must be given"
        return _minor(given[0] - given[1], exponent)

    def _id_of(self, values: Mapping[str, Any]) -> str:
        """From what the row says and how often the file has said it before: the same file gives the same ids."""
        mark = digest("\x1f".join(str(value) for value in values.values()))
        number = self._occurrences[mark] = self._occurrences.get(mark, 0) + 1
        return f"row-{mark}-{number}"


def _minor(value: Decimal, exponent: int) -> int | str:
    scaled = value.scaleb(exponent)
    whole = scaled.to_integral_value()
    return int(whole) if whole == scaled else f"{value} has more decimals than its currency"


def cell_of(cells: Sequence[str], at: int) -> str:
    return cells[at] if at < len(cells) else ""


def _plain(text: str, length: int) -> str:
    """Single-spaced, without control characters, at most `length` characters."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:length]


def _mcc(text: str) -> str:
    return text.zfill(4) if text.isascii() and text.isdigit() and len(text) <= 4 else ""


def _shared(value: Any) -> Any:
    """One object for equal texts: a file names its accounts and categories over and over."""
    return sys.intern(value) if isinstance(value, str) else value
