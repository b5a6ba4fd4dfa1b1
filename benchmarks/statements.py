"""Bank statements of any length for the measurements: the sample's rows over and over, months and amounts moving on.

Both legs of a transfer move alike, so they still match; an amount seldom repeats exactly, so few look like duplicates.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any

from benchmarks.measure import ROOT

SAMPLE = ROOT / "samples" / "statement.csv"
DAYS_A_ROUND = 62
ROUNDS = 18
"""After three years it starts over: a tenant with more rows has more of them on a day."""


@cache
def _sample() -> tuple[dict[str, str], ...]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def rows(start: int = 0) -> Iterator[dict[str, Any]]:
    """Facts without end, from row `start` on, as JSON objects; the transaction ids are `b-0`, `b-1` ..."""
    sample = _sample()
    for number in count(start):
        turn, place = divmod(number, len(sample))
        row = sample[place]
        minor = int(Decimal(row["amount"]) * 100)
        day = date.fromisoformat(row["booked_on"]) + timedelta(days=DAYS_A_ROUND * (turn % ROUNDS))
        yield {
            "transaction_id": f"b-{number}",
            "account": row["account"],
            "booked_on": day.isoformat(),
            "amount_minor": minor * (1000 + (turn * 37 + 30) % 61 - 30) // 1000,
            "currency": row["currency"],
            "descriptor": row["descriptor"],
            "mcc": row["mcc"],
            "group": "",
        }
