"""What is regular in a ledger and what is not: recurring charges, income, what falls due, everyday spending. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from statistics import median_low
from typing import Final, NamedTuple

from shared.ledger.recurring import Recurring, dues, recurring_in
from shared.specialists.ledger_reader import Row
from shared.specialists.selection import OWN_MONEY, kind, meant, own_moves

HISTORY_DAYS: Final = 800
"""Far enough back for the third of a yearly charge."""
EVERYDAY_DAYS: Final = 30
_SPANS: Final = 3


class Due(NamedTuple):
    """One expected movement. text: what the bank printed on the last one."""

    on: date
    of: Recurring
    text: str


class Outlook(NamedTuple):
    """charges, incomes: what goes on, next due first. everyday: by currency, what the rest of spending usually comes to
    in `EVERYDAY_DAYS` (the middle of the last three such spans). newest: the newest day on record, None for none.
    texts: what the bank printed on the last of each series, by its id."""

    charges: tuple[Recurring, ...]
    incomes: tuple[Recurring, ...]
    everyday: Mapping[str, int]
    newest: date | None
    texts: Mapping[str, str]

    def due(self, since: date, until: date) -> tuple[Due, ...]:
        """The charges that fall due from `since` to before `until`, in order."""
        return self._expected(self.charges, since, until)

    def coming(self, since: date, until: date) -> tuple[Due, ...]:
        """The income that is expected then, in order."""
        return self._expected(self.incomes, since, until)

    def main_income(self, currency: str) -> Recurring | None:
        """The largest regular income in this currency, None for none."""
        own = (one for one in self.incomes if one.currency == currency)
        return max(own, key=lambda one: one.amount_minor, default=None)

    def text_of(self, one: Recurring) -> str:
        """What the bank printed on the last of a series."""
        return self.texts[one.transaction_ids[-1]]

    def _expected(self, series: Iterable[Recurring], since: date, until: date) -> tuple[Due, ...]:
        found = [Due(on, one, self.text_of(one)) for one in series for on in dues(one, until) if on >= since]
        return tuple(sorted(found, key=lambda due: (due.on, due.of.merchant, due.of.amount_minor)))


def history_since(today: date) -> str:
    """As the reader takes it."""
    return (today - timedelta(days=HISTORY_DAYS)).isoformat()


def outlook_on(rows: Sequence[Row], today: date, chart: Iterable[str]) -> Outlook:
    """rows: newest first. Movements between own accounts are neither charges nor income. Where the tenant's categories
    have no branch `income`, all that comes in steadily is taken for income."""
    moved = own_moves(rows)
    ours = {row.transaction_id: row for row in rows if row.transaction_id not in moved and meant(row) not in OWN_MONEY}
    series = recurring_in(ours.values(), today)
    knows_income = any(kind(one) == "income" for one in chart)

    def earns(one: Recurring) -> bool:
        return one.is_income and (not knows_income or kind(meant(ours[one.transaction_ids[-1]])) == "income")

    charges = tuple(one for one in series if not one.is_income)
    regular = {id_ for one in series for id_ in one.transaction_ids}
    rest = [row for id_, row in ours.items() if id_ not in regular and kind(meant(row)) not in ("income", "investment")]
    newest = date.fromisoformat(rows[0].booked_on) if rows else None
    incomes = tuple(one for one in series if earns(one))
    texts = {one.transaction_ids[-1]: ours[one.transaction_ids[-1]].descriptor for one in series}
    return Outlook(charges, incomes, _everyday(rest, rows, today), newest, texts)


def totals(expected: Iterable[Due]) -> dict[str, int]:
    """By currency, as positive amounts."""
    sums: dict[str, int] = {}
    for one in expected:
        sums[one.of.currency] = sums.get(one.of.currency, 0) + abs(one.of.amount_minor)
    return sums


def _everyday(rest: Sequence[Row], rows: Sequence[Row], today: date) -> dict[str, int]:
    """What came back is taken off. Only spans that the record covers count."""
    if not rows:
        return {}
    covered = (today - date.fromisoformat(rows[-1].booked_on)).days // EVERYDAY_DAYS
    spans = max(1, min(_SPANS, covered))
    spent: dict[str, list[int]] = {}
    for row in rest:
        place = (today - date.fromisoformat(row.booked_on)).days // EVERYDAY_DAYS
        if 0 <= place < spans:
            spent.setdefault(row.currency, [0] * spans)[place] -= row.amount_minor
    return {currency: max(0, median_low(sums)) for currency, sums in sorted(spent.items())}
