"""How much would merchant memory decide alone on your own file, and how often would people agree?

    python -m evals.tune_memory transactions.csv --from 2016-10 --until 2017-01 --account card --group department

Reads a CSV of transactions with labels that people gave, learns every row before the month `--from` in date order, and
judges the rest without learning any of it: harder than real life, where memory goes on learning. `--fit` proposes
weights for `MemoryThresholds`, looking only at rows before `--from` (alone, where `--until` is the same month);
`--set name=value` tries a threshold by hand; `--whole-product` asks the other specialists and the guard as well.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evals.memory_rows import Row, rows_of, taught
from shared.ledger.memory import DEFAULT_THRESHOLDS, Entry, MemoryThresholds, by_kind, candidate, recalled
from shared.ledger.memory_entries import bucket_of
from shared.ledger.memory_signals import signals

FOLD_MONTHS = 3
LIKELY = 0.6
"""The weights that count are those among likely answers: the unlikely ones are never near the bar."""


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
    for start in range(max(1, len(months) // 3), len(months) - 1):
        judged = set(months[start : start + FOLD_MONTHS])
        yield [row for row in rows if row.booked_on[:7] < months[start]], [r for r in rows if r.booked_on[:7] in judged]


def fitted(rows: Sequence[Row], thresholds: MemoryThresholds) -> list[float]:
    """Weights of a logistic regression, none below zero, of "people agreed" on the signals; the constant is last."""
    cases: list[tuple[tuple[float, ...], int]] = []
    for before, judged in folds(rows):
        entries = taught(before)
        for row in judged:
            known = by_kind(entries, row.keys)
            best = candidate(known, row.descriptor, thresholds)
            if best:
                found = signals(known, best.share, best.label, bucket_of(row.amount_minor), grouped=bool(row.group))
                cases.append(((*found, 1.0), int(best.label == row.label)))
    weights = regression(cases[:: max(1, len(cases) // 12_000)])
    likely = [case for case in cases if _chance(weights, case[0]) > LIKELY]
    return regression(likely[:: max(1, len(likely) // 12_000)])


def regression(cases: Sequence[tuple[tuple[float, ...], int]], steps: int = 400) -> list[float]:
    width = len(cases[0][0])
    scale = [math.sqrt(sum(case[0][at] ** 2 for case in cases) / len(cases)) or 1.0 for at in range(width)]
    scaled = [(tuple(map(lambda value, by: value / by, found, scale)), right) for found, right in cases]
    weights, rate = [0.1] * width, 1.0
    for _ in range(steps):
        slope = [0.0] * width
        for found, right in scaled:
            miss = right - _chance(weights, found)
            slope = [old + miss * value for old, value in zip(slope, found, strict=True)]
        weights = [weight + rate * step / len(scaled) for weight, step in zip(weights, slope, strict=True)]
        weights = [max(0.0, weight) for weight in weights[:-1]] + weights[-1:]
    return [weight / by for weight, by in zip(weights, scale, strict=True)]


def _chance(weights: Sequence[float], found: Sequence[float]) -> float:
    return 1 / (1 + math.exp(-sum(map(float.__mul__, weights, found))))


def fit(rows: Sequence[Row], thresholds: MemoryThresholds) -> MemoryThresholds:
    names = [name for name in MemoryThresholds.__slots__ if name.startswith("weight_") and name != "weight_constant"]
    values = [round(1000 * weight) for weight in fitted(rows, thresholds)]
    better = replace(thresholds, **dict(zip([*names, "weight_constant"], values, strict=True)))
    for name in ["weight_constant", *names]:
        print(f"{name} = {getattr(better, name)}")
    return better


def whole_product(
    entries: dict[str, Entry], before: Sequence[Row], judged: Sequence[Row], thresholds: MemoryThresholds, currency: str
) -> None:
    """With the shipped policy, but for memory's thresholds: those are the ones on trial."""
    from evals.whole_product import show
    from shared.bootstrap import policy

    memory = MappingProxyType({name: getattr(thresholds, name) for name in MemoryThresholds.__slots__})
    show(replace(policy(), memory=memory), entries, before, judged, currency)


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
    parser.add_argument("--whole-product", action="store_true", help="with the other specialists and the guard")
    parser.add_argument("--currency", default="GBP", help="of the whole product's limits (default GBP)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    thresholds = replace(DEFAULT_THRESHOLDS, **{k: int(v) for k, v in (each.split("=") for each in args.set)})
    rows = [row for row in rows_of(args) if row.booked_on < args.until]
    before = [row for row in rows if row.booked_on < args.start]
    if args.fit:
        thresholds = fit(before, thresholds)
    judged = [row for row in rows if row.booked_on >= args.start]
    if not judged:
        return
    entries = taught(before)
    table(entries, judged, thresholds, args.auto_bp, args.margin_bp)
    if args.whole_product:
        whole_product(entries, before, judged, thresholds, args.currency)


if __name__ == "__main__":
    main()
