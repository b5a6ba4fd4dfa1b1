"""Which rows of the ledger a question means: by category, by merchant, by days; and which are no more than money moved
between accounts of one owner. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Final, NamedTuple

from shared.conversation.intent import Slots
from shared.ledger.descriptor import normalised
from shared.specialists.ledger_reader import Row

OWN_MONEY: Final = frozenset({"transfer.own_account", "transfer.savings", "transfer.wallet", "transfer.cash_deposit"})
"""Money that stays the owner's own."""
_LEGS: Final = frozenset({"transfer", "debt", "investment", ""})
"""Kinds in which an opposite entry on another account is the other side of one movement and no coincidence."""
_SORTS: Final = {
    "income": "income", "transfer": "transfer", "debt": "debt", "loan": "debt", "invest": "investment",
}  # fmt: skip
_LEG_DAYS: Final = 5
_JOINED: Final = 5
"""A name of so many letters is also found without its spaces, or as the beginning of a word."""


class Span(NamedTuple):
    """Days, `until` excluded; None for open."""

    since: date | None = None
    until: date | None = None

    @property
    def low(self) -> str:
        """As the reader takes it."""
        return self.since.isoformat() if self.since else ""

    @property
    def high(self) -> str:
        """As the reader takes it."""
        return self.until.isoformat() if self.until else ""


def span_of(slots: Slots) -> Span:
    """The days that were named. What is no day, or runs backwards, names none."""
    since, until = _day(slots.get("since")), _day(slots.get("until"))
    return Span() if since and until and since >= until else Span(since, until)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and value else None
    except ValueError:
        return None


def last_days(today: date, days: int) -> Span:
    """The span of so many days that ends with today."""
    return Span(today - timedelta(days=days - 1), today + timedelta(days=1))


def slot(slots: Slots, name: str) -> str:
    """A slot's text, "" when it was not named."""
    value = slots.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def is_known(category: str, chart: Iterable[str]) -> bool:
    """Whether it is a category of the chart, or a branch of it."""
    return any(belongs(known, category) for known in chart)


def belongs(category: str, wanted: str) -> bool:
    """Whether a category is the wanted one, or of the wanted branch."""
    return category == wanted or category.startswith(f"{wanted}.")


def meant(row: Row) -> str:
    """The category as decided, or else as the specialists thought."""
    return row.category or row.suggested


def branch(category: str) -> str:
    """ "food.groceries" is of "food"."""
    return category.partition(".")[0]


def kind(category: str) -> str:
    """What sort of movement a category is for: `income`, `transfer`, `debt`, `investment`, else its branch; "" for no
    category. A tenant's own chart may call them `TRANSFER_OUT` or `LOAN_PAYMENTS`."""
    name = branch(category).casefold()
    return next((sort for start, sort in _SORTS.items() if name.startswith(start)), name)


def by_merchant(name: str) -> Callable[[Row], bool]:
    """Whether a row is of the merchant of this name, as people write it: "tesco", "lloyds pharmacy"."""
    words = normalised(name) or name.casefold().strip()
    joined = words.replace(" ", "")
    if not joined:
        return lambda _: False
    raw = re.compile(rf"(?<!\w){re.escape(name.casefold().strip())}(?!\w)")

    def matches(row: Row) -> bool:
        if f" {words} " in f" {row.merchant} " or raw.search(row.descriptor.casefold()):
            return True
        return len(joined) >= _JOINED and (joined in row.merchant.replace(" ", "") or f" {words}" in f" {row.merchant}")

    return matches


def own_moves(rows: Iterable[Row]) -> frozenset[str]:
    """Ids of both sides of every movement between two accounts that are on record here: the same amount the other way
    within days, where one side is a transfer or a debt and the other is not something that was bought or earned."""
    waiting: dict[tuple[str, int], list[Row]] = {}
    found: set[str] = set()
    for row in sorted(rows, key=lambda one: (one.booked_on, one.transaction_id)):
        if kind(meant(row)) not in _LEGS:
            continue
        opposite = waiting.get((row.currency, -row.amount_minor), [])
        other = next((one for one in opposite if _is_other_side(one, row)), None)
        if other is None:
            waiting.setdefault((row.currency, row.amount_minor), []).append(row)
        else:
            opposite.remove(other)
            found |= {row.transaction_id, other.transaction_id}
    return frozenset(found)


def _is_other_side(earlier: Row, later: Row) -> bool:
    if earlier.account == later.account or not {kind(meant(earlier)), kind(meant(later))} & {"transfer", "debt"}:
        return False
    apart = date.fromisoformat(later.booked_on) - date.fromisoformat(earlier.booked_on)
    return apart.days <= _LEG_DAYS
