"""Anybody's CSV as transactions: columns guessed or told, dates and amounts decided over the whole column.

The file is read twice: once to find out how it is written, once for its rows. A row that cannot be read is kept as a
`BadRow` with its line number, never dropped; what leaves the whole file open is one `InvalidInputError` that says
which option settles it.
"""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from local.statement_columns import MONEY, Columns, lacking, not_found, understood
from local.statement_rows import BadRow, RowReader, StatementRow, Wishes, Writing, cell_of
from local.statement_values import AmountEvidence, DateEvidence, digest
from shared.contracts.currencies import EXPONENTS
from shared.errors import InvalidInputError

HEADER_WITHIN = 30
"""Banks write a few lines about the account before the line that names the columns."""
DELIMITERS = (",", ";", "\t", "|")


@dataclass(slots=True)
class Statement:
    """rows: in date order, as in the file within a day. notes: what was understood, for a person to check."""

    rows: list[StatementRow] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_statement(path: Path, wishes: Wishes | None = None) -> Statement:
    """The file's transactions. `InvalidInputError` is one clear line for the person who gave the file."""
    wishes = wishes or Wishes()
    if wishes.currency and wishes.currency not in EXPONENTS:
        raise InvalidInputError(f"--currency {wishes.currency}: no such currency; write its ISO 4217 code, like EUR")
    if not path.is_file():
        raise InvalidInputError(f"there is no file {path}")
    try:
        writing = _look_through(path, wishes)
        statement = Statement(notes=_notes(writing, wishes))
        reader = RowReader(writing, wishes)
        for line, cells in _records(path, writing):
            found = reader.read(line, cells)
            (statement.bad if isinstance(found, BadRow) else statement.rows).append(found)  # type: ignore[arg-type]
    except OSError as failed:
        raise InvalidInputError(f"{path} cannot be read: {failed.strerror}") from failed
    except (csv.Error, UnicodeError) as failed:
        raise InvalidInputError(f"{path} is not a CSV file: {failed}") from failed
    if not statement.rows:
        first = f": line {statement.bad[0].line}: {statement.bad[0].why}" if statement.bad else ""
        raise InvalidInputError(f"{path} has no row that can be read as a transaction{first}")
    statement.rows.sort(key=lambda row: (row.booked_on, row.line))
    return statement


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[TextIOWrapper]:
    with path.open(encoding=encoding, newline="") as lines:
        yield lines


def _encoding_of(path: Path) -> str:
    """By its first bytes, or UTF-8 when all of it is; else what Windows and old banks write."""
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if not start:
            raise InvalidInputError(f"{path} is empty")
    try:
        with _opened(path, "utf-8-sig") as lines:
            while lines.read(1 << 20):
                continue
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _records(path: Path, writing: Writing) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each record after the header that is not blank."""
    with _opened(path, writing.encoding) as lines:
        reader = csv.reader(lines, delimiter=writing.delimiter)
        for cells in islice(reader, writing.header_record + 1, None):
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells


def _look_through(path: Path, wishes: Wishes) -> Writing:
    """The first reading. Each thing that the file leaves open asks for the option that settles it."""
    encoding = _encoding_of(path)
    delimiter, at, columns = _header(path, encoding, wishes)
    place = columns.place
    dates, amounts, ids = DateEvidence(), AmountEvidence(), _Distinct()
    money = [place[role] for role in MONEY if role in place]
    for _, cells in _records(path, Writing(encoding, delimiter, at, columns, "", "", "", ids_unique=True)):
        dates.show(cell_of(cells, place["date"]))
        for position in money:
            amounts.show(cell_of(cells, position))
        if "id" in place:
            ids.show(cell_of(cells, place["id"]))
    name = columns.header[place["date"]]
    order = columns.date_order or dates.order()
    if not order:
        raise InvalidInputError(
            f"the dates in {name!r} could be read with the day or the month first: "
            f'add --map "date={name}:dd/mm/yyyy" or --map "date={name}:mm/dd/yyyy"'
        )
    if order == "none":
        raise InvalidInputError(f'no date was recognised in the column {name!r}: name another with --map "date=COLUMN"')
    decimal = wishes.decimal or amounts.decimal()
    if not decimal:
        raise InvalidInputError("the amounts could have a decimal point or a decimal comma: add --decimal . or ,")
    if "currency" not in place and not (wishes.currency or columns.currency):
        command = f'make run DATA={shlex.quote(str(path))} ARGS="--currency GBP"'
        raise InvalidInputError(f"the file does not say its currency: add --currency with its code, as in {command}")
    spending = wishes.spending or ("positive" if amounts.mostly_positive() else "negative")
    return Writing(encoding, delimiter, at, columns, order, decimal, spending, ids.all_distinct)


def _header(path: Path, encoding: str, wishes: Wishes) -> tuple[str, int, Columns]:
    """Delimiter, number of the record that names the columns, and the columns; whatever delimiter finds the most."""
    best: tuple[int, str, int, Columns] | None = None
    first: list[str] = []
    for delimiter in DELIMITERS:
        with _opened(path, encoding) as lines:
            for at, cells in enumerate(islice(csv.reader(lines, delimiter=delimiter), HEADER_WITHIN)):
                first = max(first, cells, key=len)
                columns = understood(cells, wishes.columns) if len(cells) > 1 else None
                score = 0 if columns is None else len(columns.place) - 100 * len(columns.missing())
                if columns is not None and (best is None or score > best[0]):
                    best = score, delimiter, at, columns
    if best is None:
        raise not_found(first, wishes.columns)
    if best[3].missing():
        raise lacking(best[3])
    return best[1:]


class _Distinct:
    """Whether a column names each row once: only then it is an id."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self.all_distinct = True

    def show(self, cell: str) -> None:
        """One more cell."""
        mark = digest(cell.strip())
        self.all_distinct &= bool(cell.strip()) and mark not in self._seen
        self._seen.add(mark)


def _notes(writing: Writing, wishes: Wishes) -> list[str]:
    """What was decided without being told."""
    notes = [f"columns: {writing.columns.described()}"]
    if "amount" in writing.columns.place and not wishes.spending:
        other = "negative" if writing.spending == "positive" else "positive"
        notes.append(f"{writing.spending} amounts are read as money out (--spending-{other} turns it round)")
    if writing.columns.currency and "currency" not in writing.columns.place and not wishes.currency:
        notes.append(f"amounts are in {writing.columns.currency}, as the header says (--currency says otherwise)")
    if not writing.ids_unique and "id" in writing.columns.place and "id" not in wishes.columns:
        notes.append("the id column repeats itself or has gaps, so ids are made from each row's content")
    if writing.encoding == "cp1252":
        notes.append("the file is not UTF-8 and is read as Windows-1252")
    return notes


def categories_of(rows: Iterable[StatementRow]) -> list[str]:
    """The chart that the file brings."""
    return sorted({row.category for row in rows if row.category})
