"""How well recurring charges and income are found, on made-up statements whose series are known.

`python -m evals.recurring`. Each statement is one household's: rent, wages, bills of varying size, subscriptions with
new prices, insurance once a year, all booked by banks' habits (a weekend moves a charge to Monday, one in forty is
missing, one in eighty comes twice), some of them cancelled; and among them what looks alike: a weekly tank of petrol, a
coffee at one price, a haircut every six weeks, a favourite restaurant. The rules were tuned on the statements of the
even seeds; of the odd ones only the totals were read. Real statements will be stranger than both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from shared.ledger.recurring import PERIODS, Recurring, later, recurring_in

TODAY: Final = date(2026, 3, 31)
LENGTHS: Final = (120, 365, 800)
"""Days on record."""
SEEDS: Final = 60
DUE_DAYS: Final = 4
AMOUNT_PERCENT: Final = 25
_AHEAD: Final = 400
_PERIODS: Final = {one.name: one for one in PERIODS}


class Booked(NamedTuple):
    """A movement of a made-up statement."""

    transaction_id: str
    booked_on: str
    amount_minor: int
    currency: str
    merchant: str


@dataclass(frozen=True, slots=True)
class Truth:
    """A series that goes on: what it is, and its next movement as it was made."""

    period: str
    next_on: date
    next_minor: int


class Statement(NamedTuple):
    """movements: up to today. truths: by merchant, those of three movements or more that were not cancelled."""

    movements: list[Booked]
    truths: dict[str, Truth]


class Kind(NamedTuple):
    """A kind of series. wobble: percent that amounts vary. chance: percent of households that have it."""

    merchant: str
    period: str
    amount: tuple[int, int]
    wobble: int
    chance: int


KINDS: Final = (
    Kind("rent", "monthly", (-200000, -60000), 0, 80),
    Kind("mortgage", "monthly", (-180000, -70000), 1, 30),
    Kind("salary", "monthly", (180000, 520000), 4, 70),
    Kind("wages", "fortnightly", (80000, 200000), 0, 15),
    Kind("wages by the hour", "weekly", (30000, 60000), 1, 8),
    Kind("child benefit", "every four weeks", (9000, 20000), 0, 30),
    Kind("electricity", "monthly", (-16000, -6000), 18, 70),
    Kind("gas", "monthly", (-14000, -4000), 28, 40),
    Kind("water", "quarterly", (-12000, -5000), 8, 40),
    Kind("mobile", "monthly", (-5000, -900), 4, 90),
    Kind("broadband", "monthly", (-6000, -2500), 0, 80),
    Kind("video", "monthly", (-1999, -799), 0, 70),
    Kind("music", "monthly", (-1499, -999), 0, 60),
    Kind("cloud storage", "monthly", (-999, -99), 0, 50),
    Kind("gym", "monthly", (-6000, -1900), 0, 40),
    Kind("meal box", "weekly", (-6500, -3500), 0, 12),
    Kind("cleaner", "fortnightly", (-9000, -5000), 0, 12),
    Kind("car insurance", "yearly", (-90000, -30000), 9, 60),
    Kind("home insurance", "yearly", (-50000, -15000), 5, 40),
    Kind("account fee", "quarterly", (-2500, -500), 0, 40),
    Kind("car loan", "monthly", (-45000, -15000), 0, 35),
    Kind("savings plan", "monthly", (-30000, -5000), 0, 35),
)


def statement(seed: int, days: int) -> Statement:
    """A household's statement: the same for the same seed."""
    rng = random.Random(f"{seed}:{days}")  # noqa: S311  made-up statements are no secret
    since = TODAY - timedelta(days=days)
    movements: list[Booked] = []
    truths: dict[str, Truth] = {}
    for kind in KINDS:
        if rng.randrange(100) < kind.chance:
            truth = _series(rng, kind, since, movements)
            if truth is not None:
                truths[kind.merchant] = truth
    for alike in (_groceries, _petrol, _coffee, _haircut, _restaurant, _shop, _cash, _friend):
        movements += alike(rng, since)
    return Statement(movements, truths)


def _series(rng: random.Random, kind: Kind, since: date, movements: list[Booked]) -> Truth | None:
    """Adds the series to `movements`; what is true of it, or None when it is too short or was cancelled."""
    period = _PERIODS[kind.period]
    step_days = period.days or period.months * 30
    first = since - timedelta(days=rng.randrange(step_days))
    if rng.randrange(5) == 0:  # began later
        first = since + timedelta(days=rng.randrange((TODAY - since).days))
    cancelled = TODAY - timedelta(days=rng.randrange(60, 400)) if rng.randrange(8) == 0 else None
    amount, step, kept = rng.randint(*kind.amount), 0, 0
    while True:
        due = _working_day(rng, later(first, period, step))
        step += 1
        if kind.wobble == 0 and rng.randrange(30) == 0:
            amount = amount * rng.randint(104, 118) // 100  # a new price
        size = amount * rng.randint(100 - kind.wobble, 100 + kind.wobble) // 100
        if cancelled is not None and due > cancelled:
            return None
        if due > TODAY:
            return Truth(kind.period, due, size) if kept >= 3 else None
        if due < since or rng.randrange(40) == 0:
            continue
        kept += 1
        for _ in range(2 if rng.randrange(80) == 0 else 1):
            movements.append(Booked(f"{kind.merchant}-{len(movements)}", str(due), size, "EUR", kind.merchant))


def _working_day(rng: random.Random, day: date) -> date:
    """A weekend moves to Monday; sometimes a bank takes a day longer."""
    day += timedelta(days=max(0, 7 - day.weekday()) if day.weekday() >= 5 else 0)
    return day + timedelta(days=int(rng.randrange(12) == 0))


def _every(
    rng: random.Random, since: date, merchant: str, gap: Callable[[], int], size: Callable[[], int]
) -> Iterator[Booked]:
    day, number = since + timedelta(days=rng.randrange(14)), 0
    while day <= TODAY:
        yield Booked(f"{merchant}-{number}", str(day), -size(), "EUR", merchant)
        day += timedelta(days=max(0, gap()))
        number += 1


def _groceries(rng: random.Random, since: date) -> Iterator[Booked]:
    for shop in ("market", "discounter"):
        yield from _every(rng, since, shop, lambda: rng.choice([2, 3, 5, 7, 7, 8]), lambda: rng.randint(900, 12000))


def _petrol(rng: random.Random, since: date) -> Iterator[Booked]:
    """Every week, give or take a day, for nearly the same amount."""
    yield from _every(rng, since, "petrol", lambda: rng.choice([6, 7, 7, 7, 8]), lambda: rng.randint(4800, 6000))


def _coffee(rng: random.Random, since: date) -> Iterator[Booked]:
    yield from _every(rng, since, "coffee", lambda: rng.choice([1, 1, 2, 3, 4, 6]), lambda: rng.choice([420, 420, 480]))


def _haircut(rng: random.Random, since: date) -> Iterator[Booked]:
    yield from _every(rng, since, "haircut", lambda: rng.randint(33, 52), lambda: 3200)


def _restaurant(rng: random.Random, since: date) -> Iterator[Booked]:
    for at in range(6):
        gap = rng.choice([20, 30, 45])
        yield from _every(
            rng,
            since,
            f"restaurant {at}",
            lambda gap=gap: int(rng.expovariate(1 / gap)),
            lambda: rng.randint(1800, 9000),
        )


def _shop(rng: random.Random, since: date) -> Iterator[Booked]:
    for at in range(6):
        gap = rng.choice([25, 30, 60, 90])
        yield from _every(
            rng, since, f"shop {at}", lambda gap=gap: int(rng.gauss(gap, gap / 3)), lambda: rng.randint(1500, 7000)
        )


def _cash(rng: random.Random, since: date) -> Iterator[Booked]:
    yield from _every(rng, since, "cash", lambda: rng.randint(4, 40), lambda: rng.choice([2000, 5000, 5000, 10000]))


def _friend(rng: random.Random, since: date) -> Iterator[Booked]:
    for one in _every(rng, since, "friend", lambda: rng.randint(10, 70), lambda: rng.randint(500, 6000)):
        yield one._replace(amount_minor=rng.choice([1, -1]) * one.amount_minor)


@dataclass
class Score:
    """Of many statements. named: with the right interval; timed: its next day within `DUE_DAYS`; sized: its next amount
    within `AMOUNT_PERCENT`, each of those that were found."""

    right: int = 0
    false: int = 0
    missed: int = 0
    named: int = 0
    timed: int = 0
    sized: int = 0

    def count(self, truths: dict[str, Truth], found: Sequence[Recurring]) -> list[str]:
        """One statement more; what went wrong in it."""
        wrong = []
        for one in found:
            truth = truths.get(one.merchant)
            if truth is None:
                self.false += 1
                wrong.append(f"+{one.merchant} ({one.period.name}, {len(one.transaction_ids)})")
                continue
            self.right += 1
            self.named += one.period.name == truth.period
            self.timed += abs((one.next_on - truth.next_on).days) <= DUE_DAYS
            self.sized += abs(one.amount_minor - truth.next_minor) * 100 <= AMOUNT_PERCENT * abs(truth.next_minor)
        missed = truths.keys() - {one.merchant for one in found}
        self.missed += len(missed)
        return wrong + [f"-{name} ({truths[name].period})" for name in sorted(missed)]


def scores() -> dict[tuple[int, str], Score]:
    """By length of the record and half."""
    found = {(days, half): Score() for days in LENGTHS for half in ("seen", "held out")}
    for days in LENGTHS:
        for seed in range(SEEDS):
            made = statement(seed, days)
            found[days, "held out" if seed % 2 else "seen"].count(made.truths, recurring_in(made.movements, TODAY))
    return found


def table() -> list[str]:
    """The figures as Markdown."""
    lines = [
        "| days on record | half | series | precision | recall | right interval | next day ±4 | next amount ±25 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (days, half), one in scores().items():
        told = max(1, one.right + one.false)
        real = one.right + one.missed
        parts = [one.right / told, one.right / max(1, real), *(each / max(1, one.right) for each in _details(one))]
        lines.append(f"| {days} | {half} | {real} | {' | '.join(f'{part:.3f}' for part in parts)} |")
    return lines


def section() -> str:
    """The part of docs/quality.md."""
    doc = (__doc__ or "").split("\n\n", 1)[1].strip().removeprefix("`python -m evals.recurring`. ")
    figures = "\n".join(table())
    return f"## Recurring charges and income\n\n{doc}\n\n{SEEDS} statements of each length.\n\n{figures}\n"


def _details(one: Score) -> tuple[int, int, int]:
    return one.named, one.timed, one.sized


def main() -> int:
    """Prints the table, and what went wrong on the statements that may be looked at."""
    print("\n".join(table()))
    for days in LENGTHS:
        for seed in range(0, 12, 2):
            made = statement(seed, days)
            wrong = Score().count(made.truths, recurring_in(made.movements, TODAY))
            print(f"{days} days, seed {seed}: {', '.join(wrong) or 'all right'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
