"""How much would merchant memory decide alone on your own file, and how often would people agree?

    python evals/tune_memory.py transactions.csv --from 2017-01 --account card --group department --label category

Reads a CSV of transactions with labels that people gave, learns every row before the month `--from` in date order, and
judges the rest without learning any of it: harder than real life, where memory goes on learning. `--fit` proposes
weights for `MemoryThresholds`, looking only at rows before `--from`; `--set name=value` tries a threshold by hand.
"""

import argparse
import csv
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.ledger.memory import (
    DEFAULT_THRESHOLDS,
    Entry,
    MemoryThresholds,
    candidate,
    learned,
    memory_keys,
    recalled,
    signals,
)
from shared.ledger.memory_entries import bucket_of

FOLD_MONTHS = 3


class Row(NamedTuple):
    booked_on: str
    descriptor: str
    amount_minor: int
    label: str
    keys: tuple[str, ...]


def rows_of(args: argparse.Namespace) -> list[Row]:
    """The file's rows in date order. Dates must be ISO (2017-01-31): text that sorts as time does."""
    scale = 10**args.exponent
    with Path(args.file).open(encoding=args.encoding, newline="") as lines:
        rows = [
            Row(
                line[args.date],
                line[args.descriptor],
                int(Decimal(line[args.amount].replace(",", "")) * scale),
                line[args.label],
                memory_keys(line[args.descriptor], line.get(args.account) or "", line.get(args.group) or ""),
            )
            for line in csv.DictReader(lines)
            if line[args.label]
        ]
    return sorted(rows, key=lambda row: row.booked_on)


def taught(rows: Iterable[Row]) -> dict[str, Entry]:
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


def table(entries: dict[str, Entry], rows: Sequence[Row], thresholds: MemoryThresholds, auto: int, margin: int) -> None:
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for row in rows:
        said = recalled(
            entries, keys=row.keys, descriptor=row.descriptor, amount_minor=row.amount_minor, thresholds=thresholds
        )
        right = said is not None and said.label == row.label
        alone = said is not None and said.confidence_bp >= auto and said.confidence_bp - said.runner_up_bp >= margin
        months = [row.booked_on[:7], "total"] + ([f"  {said.rule}"] if said and alone else [])
        for month in months:
            counts = (1, said is not None, right, alone, alone and right)
            tally[month] = [old + new for old, new in zip(tally[month], counts, strict=True)]
    print(f"{'':20} {'rows':>6} {'spoke %':>8} {'right %':>8} {'decided alone %':>16} {'agreement %':>12}")
    for month, counted in sorted(tally.items(), key=lambda item: (item[0] == "total", item[0])):
        seen, spoke, agreed, decided, decided_well = counted
        heard, alone_share = 100 * agreed / max(1, spoke), 100 * decided / seen
        shares = (100 * spoke / seen, heard, alone_share, 100 * decided_well / max(1, decided))
        print("{:20} {:6} {:8.1f} {:8.1f} {:16.1f} {:12.1f}".format(month, seen, *shares))


def folds(rows: Sequence[Row]) -> Iterable[tuple[list[Row], list[Row]]]:
    """Rolling: learn up to a month, judge the months after it."""
    months = sorted({row.booked_on[:7] for row in rows})
    for start in range(len(months) // 3, len(months) - 1, 2):
        judged = set(months[start : start + FOLD_MONTHS])
        yield [row for row in rows if row.booked_on[:7] < months[start]], [r for r in rows if r.booked_on[:7] in judged]


def fitted(rows: Sequence[Row], thresholds: MemoryThresholds, steps: int = 400) -> list[float]:
    """Weights of a logistic regression, none below zero, of "people agreed" on the signals; the constant is last."""
    cases: list[tuple[tuple[float, ...], int]] = []
    for before, judged in folds(rows):
        entries = taught(before)
        for row in judged:
            known = {key.partition("|")[0]: entries[key] for key in row.keys if key in entries}
            best = candidate(known, row.descriptor, thresholds)
            if best:
                found = signals(known, best.share, best.label, bucket_of(row.amount_minor))
                cases.append(((*found, 1.0), int(best.label == row.label)))
    cases = cases[:: max(1, len(cases) // 12_000)]
    width = len(cases[0][0])
    scale = [math.sqrt(sum(case[0][at] ** 2 for case in cases) / len(cases)) or 1.0 for at in range(width)]
    scaled = [(tuple(map(lambda value, by: value / by, found, scale)), right) for found, right in cases]
    weights, rate = [0.1] * width, 1.0
    for _ in range(steps):
        slope = [0.0] * width
        for found, right in scaled:
            miss = right - 1 / (1 + math.exp(-sum(map(float.__mul__, weights, found))))
            slope = [old + miss * value for old, value in zip(slope, found, strict=True)]
        weights = [weight + rate * step / len(scaled) for weight, step in zip(weights, slope, strict=True)]
        weights = [max(0.0, weight) for weight in weights[:-1]] + weights[-1:]
    return [weight / by for weight, by in zip(weights, scale, strict=True)]


def fit(rows: Sequence[Row], thresholds: MemoryThresholds) -> MemoryThresholds:
    names = [name for name in MemoryThresholds.__slots__ if name.startswith("weight_") and name != "weight_constant"]
    values = [round(1000 * weight) for weight in fitted(rows, thresholds)]
    better = replace(thresholds, **dict(zip([*names, "weight_constant"], values, strict=True)))
    for name in ["weight_constant", *names]:
        print(f"{name} = {getattr(better, name)}")
    return better


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--from", dest="start", required=True, help="first month to judge, 2017-01")
    parser.add_argument("--until", default="9999", help="first month not to look at")
    for column, default in (("date", "date"), ("descriptor", "description"), ("amount", "amount"), ("label", "label")):
        parser.add_argument(f"--{column}", default=default, help=f"column of the {column} (default {default})")
    parser.add_argument("--account", default="account", help="column of the account or card, if there is one")
    parser.add_argument("--group", default="group", help="column of the account's department, if there is one")
    parser.add_argument("--exponent", type=int, default=2, help="digits of the currency's minor unit")
    parser.add_argument("--encoding", default="utf-8-sig")
    parser.add_argument("--auto-bp", type=int, default=9200)
    parser.add_argument("--margin-bp", type=int, default=500)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    thresholds = replace(DEFAULT_THRESHOLDS, **{k: int(v) for k, v in (each.split("=") for each in args.set)})
    rows = [row for row in rows_of(args) if row.booked_on < args.until]
    before = [row for row in rows if row.booked_on < args.start]
    if args.fit:
        thresholds = fit(before, thresholds)
    judged = [row for row in rows if row.booked_on >= args.start]
    table(taught(before), judged, thresholds, args.auto_bp, args.margin_bp)


if __name__ == "__main__":
    main()
