"""The rows of a labelled CSV file, and memory as it is after learning them."""

import argparse
import csv
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from shared.ledger.memory import Entry, learned, memory_keys


class Row(NamedTuple):
    """amount_minor: negative when money leaves."""

    booked_on: str
    descriptor: str
    amount_minor: int
    label: str
    account: str
    group: str
    keys: tuple[str, ...]


def rows_of(args: argparse.Namespace) -> list[Row]:
    """The file's rows in date order. Dates must be ISO (2017-01-31): text that sorts as time does."""
    scale = 10**args.exponent
    with Path(args.file).open(encoding=args.encoding, newline="") as lines:
        rows = [
            _row(line, args, int(Decimal(line[args.amount].replace(",", "")) * scale))
            for line in csv.DictReader(lines)
            if line[args.label]
        ]
    if 2 * sum(row.amount_minor > 0 for row in rows) > len(rows):  # spending is written without a sign
        rows = [row._replace(amount_minor=-row.amount_minor) for row in rows]
    return sorted(rows, key=lambda row: row.booked_on)


def _row(line: dict[str, str], args: argparse.Namespace, amount_minor: int) -> Row:
    descriptor, account, group = line[args.descriptor], line.get(args.account) or "", line.get(args.group) or ""
    keys = memory_keys(descriptor, account, group)
    return Row(line[args.date], descriptor, amount_minor, line[args.label], account, group, keys)


def taught(rows: Iterable[Row]) -> dict[str, Entry]:
    """Memory's entries by key, after these rows in their order."""
    entries: dict[str, Entry] = {}
    for row in rows:
        for key in row.keys:
            entries[key] = learned(
                entries.get(key),
                key=key,
                descriptor=row.descriptor,
                label=row.label,
                amount_minor=row.amount_minor,
                booked_on=row.booked_on,
                source="history",
            )
    return entries
