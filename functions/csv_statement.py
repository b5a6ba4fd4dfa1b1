"""A statement as CSV (RFC 4180, UTF-8, comma): rows to the same facts that the JSON batch takes, all or nothing.

Columns by name in any order: transaction_id, account, booked_on, amount (decimal, `-12.50`) or amount_minor (integer),
currency, descriptor, and if there is one mcc and group. Amounts are text until they are integers: no float is involved.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.contracts.complaints import complaints
from shared.contracts.currencies import EXPONENTS
from shared.errors import InvalidInputError

if TYPE_CHECKING:
    from shared.contracts.transactions import TransactionFacts

REQUIRED = ("transaction_id", "account", "booked_on", "currency", "descriptor")
AMOUNTS = ("amount", "amount_minor")
OPTIONAL = ("mcc", "group")
DECIMAL = re.compile(r"([+-]?)([0-9]{1,15})(?:\.([0-9]{1,6}))?")
INTEGER = re.compile(r"[+-]?[0-9]{1,16}")
MAX_ERRORS = 20

Row = dict[str, str]
Problem = dict[str, str]


def facts_in(text: str, *, max_rows: int) -> list[TransactionFacts]:
    """The statement's rows; `InvalidInputError` names up to 20 places by line and column."""
    facts: list[TransactionFacts] = []
    problems: list[Problem] = []
    for number, line, row in _rows(text.removeprefix("\ufeff")):
        if number >= max_rows:
            raise InvalidInputError(f"at most {max_rows} rows; send the rest apart", code="too_many_rows")
        one, wrong = _facts(row, number, line)
        problems += wrong
        if len(problems) >= MAX_ERRORS:
            break
        if one is not None:
            facts.append(one)
    if problems:
        raise InvalidInputError("nothing was taken: some rows are not valid", problems, code="rows_invalid")
    if not facts:
        raise InvalidInputError("the statement has no rows", code="rows_missing")
    return facts


def _rows(text: str) -> Iterator[tuple[int, int, Row]]:
    """(row number from 0, line in the file, row) for each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        number = 0
        for values in reader:
            if not any(values):
                continue
            if len(values) != len(header):
                message = f"line {reader.line_num} has {len(values)} fields, the header has {len(header)}"
                raise InvalidInputError(message, code="rows_invalid")
            yield number, reader.line_num, dict(zip(header, values, strict=True))
            number += 1
    except csv.Error as failed:
        raise InvalidInputError(f"line {reader.line_num} is not CSV: {failed}", code="not_csv") from None


def _check_header(header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        message = f"the header lacks {', '.join(missing)}; columns are separated by commas"
        raise InvalidInputError(message, code="header_invalid")
    if sum(name in header for name in AMOUNTS) != 1:
        raise InvalidInputError("the header needs either amount or amount_minor", code="header_invalid")
    if len(set(header)) != len(header) or not set(header) <= {*REQUIRED, *AMOUNTS, *OPTIONAL}:
        known = ", ".join([*REQUIRED, *AMOUNTS, *OPTIONAL])
        raise InvalidInputError(f"the header has a column twice or one beyond {known}", code="header_invalid")


def _facts(row: Row, number: int, line: int) -> tuple[TransactionFacts | None, list[Problem]]:
    from pydantic import ValidationError

    from shared.contracts.transactions import TransactionFacts

    column = "amount" if "amount" in row else "amount_minor"
    amount, wrong = _minor_units(row)
    told = {name: value for name, value in row.items() if name not in AMOUNTS}
    problems = [_problem(number, line, column, wrong)] if wrong else []
    try:
        facts = TransactionFacts.model_validate({**told, "amount_minor": amount})
    except ValidationError as failed:
        found = complaints(failed)
        problems += [_problem(number, line, one["pointer"].removeprefix("/"), one["message"]) for one in found]
        return None, problems
    return (None, problems) if problems else (facts, [])


def _minor_units(row: Row) -> tuple[int, str]:
    """The row's amount in minor units, and what is wrong with it."""
    told = row.get("amount_minor", "").strip()
    if "amount_minor" in row:
        return (int(told), "") if INTEGER.fullmatch(told) else (0, "is not an integer")
    parts = DECIMAL.fullmatch(row["amount"].strip())
    if parts is None:
        return 0, "is not a decimal like -1234.50, with a point and without separators of thousands"
    exponent = EXPONENTS.get(row["currency"])
    if exponent is None:
        return 0, "has a currency that ISO 4217 does not list with decimals: use amount_minor"
    sign, whole, fraction = parts.group(1), parts.group(2), (parts.group(3) or "").rstrip("0")
    if len(fraction) > exponent:
        return 0, f"has more decimals than its currency ({exponent})"
    amount = int(whole + fraction.ljust(exponent, "0"))
    return (-amount if sign == "-" else amount), ""


def _problem(number: int, line: int, column: str, message: str) -> Problem:
    return {"pointer": f"/rows/{number}/{column}", "message": f"line {line}: {message}"}
