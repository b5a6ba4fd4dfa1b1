"""Charges and income that come again, found in the movements themselves: one merchant, a steady interval, steady
amounts, three times at least. Pure.

Days are compared with a calendar grid ("on the 27th, give or take a weekend") and not with each other, so that a long
series may not drift. Amounts are compared by median and median absolute deviation, which one odd bill does not move.
What comes every week or two has to keep its amount: a weekly shop is a habit, and nobody is charged for not going.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from statistics import median_low
from typing import Final, NamedTuple, Protocol

from shared.guard.decision import BASIS_POINTS


class Movement(Protocol):
    """A booked transaction. booked_on: ISO day. amount_minor: below 0 is money out. merchant: normalised."""

    @property
    def transaction_id(self) -> str: ...
    @property
    def booked_on(self) -> str: ...
    @property
    def amount_minor(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def merchant(self) -> str: ...


class Period(NamedTuple):
    """name: for people. days, months: one step; one of the two is 0. tolerance: days that an occurrence may be off its
    day. spread_bp: the robust spread of amounts that is still steady, against their median. least: occurrences."""

    name: str
    days: int
    months: int
    tolerance: int
    spread_bp: int
    least: int = 3

    @property
    def grace(self) -> int:
        """Days that one may be late before the series counts as ended."""
        return max(self.tolerance, min((self.days or self.months * 30) // 4, 15), 3)


PERIODS: Final = (
    Period("weekly", 7, 0, 1, 200, 4),
    Period("fortnightly", 14, 0, 2, 200),
    Period("monthly", 0, 1, 4, 3500),
    Period("every four weeks", 28, 0, 2, 3500, 5),
    Period("quarterly", 0, 3, 7, 3500),
    Period("yearly", 0, 12, 12, 3500),
)
"""Fewer than five payments four weeks apart are taken for monthly ones, which are far more common."""
LEAST: Final = 3
_FEW: Final = 4
_FEW_OFF_BP: Final = 2000
"""Up to so many occurrences prove a series only where none is further than this from the median."""
_OFF_BP: Final = 20_000
"""Where there are more, none may be further than this."""
_TO_DEVIATION_BP: Final = 14_826
"""A median absolute deviation times 1.4826 is a standard deviation, for amounts spread like a bell."""
_SAME_BP: Final = 100
"""Prices within one part in a hundred are one price."""
MAX_DUES: Final = 400


class Recurring(NamedTuple):
    """A series that still goes on. amount_minor: signed, what the next one is expected to be; least, most: of those
    seen, by size. next_on: the first day from today on which it is due; one that is late is due today. steps, shift:
    its next place is `steps` periods after `first_on`, and `shift` days. transaction_ids: oldest first."""

    merchant: str
    currency: str
    amount_minor: int
    least_minor: int
    most_minor: int
    period: Period
    first_on: date
    last_on: date
    next_on: date
    steps: int
    shift: int
    transaction_ids: tuple[str, ...]

    @property
    def is_income(self) -> bool:
        """Whether money comes in."""
        return self.amount_minor > 0


class _Seen(NamedTuple):
    day: date
    amount: int
    transaction_id: str


def recurring_in(movements: Iterable[Movement], today: date) -> tuple[Recurring, ...]:
    """Every series that still goes on, next due first. The order of `movements` does not matter; what is booked after
    today is not looked at. A series has ended when it is late at the newest day that is on record at all."""
    groups: dict[tuple[str, str, bool], list[_Seen]] = {}
    newest = date.min
    for one in movements:
        day = date.fromisoformat(one.booked_on)
        if one.amount_minor and day <= today:
            newest = max(newest, day)
            key = (one.merchant, one.currency, one.amount_minor > 0)
            groups.setdefault(key, []).append(_Seen(day, one.amount_minor, one.transaction_id))
    found: list[Recurring] = []
    for (merchant, currency, _), seen in groups.items():
        if len(seen) >= LEAST:
            found += (_told(merchant, currency, series, today) for series in _series_in(sorted(seen), newest))
    return tuple(sorted(found, key=lambda one: (one.next_on, one.merchant, one.currency, one.amount_minor)))


def dues(one: Recurring, until: date) -> tuple[date, ...]:
    """The days on which it is due from its next one to before `until`, at most `MAX_DUES`."""
    found: list[date] = []
    while len(found) < MAX_DUES:
        due = max(_place(one.first_on, one.period, one.steps + len(found), one.shift), one.next_on)
        if due >= until:
            break
        found.append(due)
    return tuple(found)


def months_later(day: date, months: int) -> date:
    """The same day of another month, or the last of a shorter one. months: also below 0."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def later(day: date, period: Period, steps: int) -> date:
    """`steps` periods after `day`."""
    return months_later(day, period.months * steps) if period.months else day + timedelta(days=period.days * steps)


def _place(first: date, period: Period, steps: int, shift: int) -> date:
    return later(first, period, steps) + timedelta(days=shift)


class _Series(NamedTuple):
    """slots: how many periods after the first one each came. shift: days that they usually come after the grid.
    off: days, all together, that they came off their days."""

    period: Period
    seen: Sequence[_Seen]
    slots: Sequence[int]
    shift: int
    off: int


def _series_in(seen: Sequence[_Seen], newest: date) -> Iterator[_Series]:
    """The merchant's whole history as one series, or else one for each price that comes again."""
    whole = _series_of(seen, newest)
    if whole is not None:
        yield whole
        return
    for price in _prices(seen):
        found = _series_of(price, newest)
        if found is not None:
            yield found


def _prices(seen: Sequence[_Seen]) -> Iterator[list[_Seen]]:
    """Those of one price together, smallest first: a shop's subscription among what else was bought there."""
    together: list[_Seen] = []
    for one in sorted(seen, key=lambda each: (abs(each.amount), each.day)):
        if together and (abs(one.amount) - abs(together[0].amount)) * BASIS_POINTS > abs(together[0].amount) * _SAME_BP:
            if len(together) >= LEAST:
                yield sorted(together)
            together = []
        together.append(one)
    if len(together) >= LEAST:
        yield sorted(together)


def _series_of(seen: Sequence[_Seen], newest: date) -> _Series | None:
    """With the period that fits best, or None: nothing steady, or it has come to its end."""
    fitting = (_on_grid(seen, period) for period in PERIODS)
    alive = [one for one in fitting if one and _steady(one) and not _ended(one, newest)]
    return min(alive, key=lambda one: one.off, default=None)


def _on_grid(seen: Sequence[_Seen], period: Period) -> _Series | None:
    """The occurrences with their places on the period's grid, or None when they do not keep to it.

    One in six may be too many; one in four may be missing, of few one in five, so of three there is none.
    """
    slots, kept, extras = [0], [seen[0]], 0
    for one in seen[1:]:
        step = _steps_between(kept[-1].day, one.day, period)
        if step == 0:
            extras += 1
            continue
        slots.append(slots[-1] + step)
        kept.append(one)
    missing, share = slots[-1] + 1 - len(slots), 5 if len(kept) <= _FEW else 4
    if len(kept) < period.least or extras * 6 > len(seen) or missing * share > slots[-1] + 1:
        return None
    offsets = _offsets(kept, slots, period)
    shift = median_low(offsets)
    off = [abs(one - shift) for one in offsets]
    return _Series(period, kept, slots, shift, sum(off)) if max(off) <= period.tolerance else None


def _steps_between(earlier: date, day: date, period: Period) -> int:
    """How many periods lie between two days, rounded."""
    if period.days:
        return round((day - earlier).days / period.days)
    return round((day - earlier).days / (365.2425 / 12) / period.months)


def _offsets(seen: Sequence[_Seen], slots: Sequence[int], period: Period) -> list[int]:
    first = seen[0].day
    return [(one.day - later(first, period, slot)).days for one, slot in zip(seen, slots, strict=True)]


def _steady(series: _Series) -> bool:
    """Whether the amounts are near each other, the nearer the fewer they are."""
    amounts = [abs(one.amount) for one in series.seen]
    middle = median_low(amounts)
    off = [abs(one - middle) for one in amounts]
    furthest = _FEW_OFF_BP if len(amounts) <= _FEW else _OFF_BP
    return (
        max(off) * BASIS_POINTS <= middle * furthest
        and median_low(off) * _TO_DEVIATION_BP <= middle * series.period.spread_bp
    )


def _ended(series: _Series, newest: date) -> bool:
    due = _place(series.seen[0].day, series.period, series.slots[-1] + 1, series.shift)
    return newest > due + timedelta(days=series.period.grace)


def _told(merchant: str, currency: str, series: _Series, today: date) -> Recurring:
    amounts = [one.amount for one in series.seen]
    sizes = sorted(abs(one) for one in amounts)
    first, steps = series.seen[0].day, series.slots[-1] + 1
    grace = timedelta(days=series.period.grace)
    while _place(first, series.period, steps, series.shift) + grace < today:  # due since, and not on record yet
        steps += 1
    return Recurring(
        merchant=merchant,
        currency=currency,
        amount_minor=_expected(amounts),
        least_minor=sizes[0],
        most_minor=sizes[-1],
        period=series.period,
        first_on=first,
        last_on=series.seen[-1].day,
        next_on=max(_place(first, series.period, steps, series.shift), today),
        steps=steps,
        shift=series.shift,
        transaction_ids=tuple(one.transaction_id for one in series.seen),
    )


def _expected(amounts: Sequence[int]) -> int:
    """The last price where it came twice, else the middle of the last five."""
    last, before = amounts[-1], amounts[-2]
    if abs(last - before) * BASIS_POINTS <= abs(last) * _SAME_BP:
        return last
    return median_low(amounts[-5:])
