"""What speaks against a transfer: who it goes to, how much it is, and what would be left of the month. Pure.

There is no bank balance here: what would be left is told from income and charges on record, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from statistics import median_low
from typing import Any, Final, NamedTuple

from shared.contracts.currencies import money_text
from shared.ledger.recurring import later
from shared.specialists.ledger_reader import Found, Row
from shared.specialists.outlook import Outlook, totals
from shared.specialists.selection import by_merchant, own_moves
from shared.specialists.wording import day_text, quoted

_TIMES_USUAL: Final = 2
"""An amount above so many times the middle of earlier ones, and above their highest, is unusual."""
_AGAIN_DAYS: Final = 7
_LARGE_DAYS: Final = 180
_CYCLE: Final = 1.5
"""An income that is missing for longer than so many periods is not on record, and its cycle is unknown."""
_STALE_DAYS: Final = 7
MAX_MENTIONS: Final = 10


class Warned(NamedTuple):
    """warnings: what somebody should mind. notes: what else bears on it. facts: figures of both."""

    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]
    mentions: tuple[str, ...]


class _Left(NamedTuple):
    """remaining_minor: of the running cycle's income, once the charges before the next one are paid. due_minor: those
    charges."""

    remaining_minor: int
    due_minor: int
    next_on: date


def warnings_of(
    found: Found, outlook: Outlook, today: date, *, payee: str, is_own: bool, source: str, amount: int, currency: str
) -> Warned:
    """found: the history, newest first. is_own: it goes to another account of the same owner."""
    moved = own_moves(found.rows)
    out = [row for row in found.rows if row.amount_minor < 0 and row.currency == currency]
    is_payee = by_merchant(payee)
    earlier = [] if is_own else [row for row in out if row.transaction_id not in moved and is_payee(row)]
    warnings = [*_of_currency(found.rows, source, currency)]
    if not is_own:
        spent = [row for row in out if row.transaction_id not in moved]
        warnings += _of_payee(payee, earlier, amount, currency, today)
        warnings += _of_size(spent, earlier, amount, currency, today)
    left = _left(found.rows, outlook, today, currency, moved)
    facts: dict[str, Any] = {"earlier_payments": len(earlier)}
    notes: list[str] = []
    if left is None:
        notes.append("I find no regular income on record lately, so I cannot say what would be left of it.")
    elif not is_own:
        facts |= {"remaining_minor": left.remaining_minor, "due_before_next_income_minor": left.due_minor}
        facts |= {"next_income_on": str(left.next_on)}
        (notes if left.remaining_minor >= amount else warnings).append(_left_text(left, amount, currency))
    if outlook.newest and (today - outlook.newest).days > _STALE_DAYS:
        notes.append(f"The newest transaction on record is of {day_text(outlook.newest)}; what came since is missing.")
    mentions = tuple(row.transaction_id for row in earlier[:MAX_MENTIONS])
    return Warned(tuple(warnings), tuple(notes), facts, mentions)


def _of_currency(rows: Sequence[Row], source: str, currency: str) -> Iterator[str]:
    own = {row.currency for row in rows if row.account == source}
    if own and currency not in own:
        yield f"nothing in {currency} is on record for {quoted(source)}; the bank may refuse it."


def _of_payee(payee: str, earlier: Sequence[Row], amount: int, currency: str, today: date) -> Iterator[str]:
    if not earlier:
        yield f"no earlier payment to {quoted(payee)} is on record."
        return
    sizes = [-row.amount_minor for row in earlier]
    highest, usual = max(sizes), median_low(sizes)
    if amount > highest and amount > _TIMES_USUAL * usual:
        before = f"highest of {len(earlier)} earlier payments" if len(earlier) > 1 else "only earlier payment"
        yield f"the {before} to {quoted(payee)} was {money_text(highest, currency)}."
    since = str(today - timedelta(days=_AGAIN_DAYS))
    again = next((row for row in earlier if row.booked_on >= since and -row.amount_minor == amount), None)
    if again is not None:
        yield f"the same amount went to {quoted(payee)} on {day_text(again.booked_on)} already."


def _of_size(
    spent: Sequence[Row], earlier: Sequence[Row], amount: int, currency: str, today: date
) -> Iterator[str]:  # fmt: skip
    """More than anything that was paid for long; where the recipient is known, that one's own history tells more."""
    since = str(today - timedelta(days=_LARGE_DAYS))
    recent = [-row.amount_minor for row in spent if row.booked_on >= since]
    if not earlier and recent and amount > max(recent):
        highest = money_text(max(recent), currency)
        yield f"it is more than any single payment of the last {_LARGE_DAYS} days ({highest})."


def _left(rows: Sequence[Row], outlook: Outlook, today: date, currency: str, moved: frozenset[str]) -> _Left | None:
    """From the last main income to the next one: what moved since, less what falls due, with what else comes in."""
    main = outlook.main_income(currency)
    if main is None or main.next_on - main.last_on > _CYCLE * (later(main.last_on, main.period, 1) - main.last_on):
        return None
    since = str(main.last_on)
    so_far = sum(
        row.amount_minor
        for row in rows
        if row.booked_on >= since and row.currency == currency and row.transaction_id not in moved
    )
    due = totals(outlook.due(today, main.next_on)).get(currency, 0)
    coming = totals(outlook.coming(today, main.next_on)).get(currency, 0)
    return _Left(so_far + coming - due, due, main.next_on)


def _left_text(left: _Left, amount: int, currency: str) -> str:
    until, due = day_text(left.next_on), money_text(left.due_minor, currency)
    rest = left.remaining_minor - amount
    basis = "by income and payments on record; the bank's balance is not known here"
    if rest >= 0:
        held = f"{due} of recurring charges due before the next income on {until}"
        return f"After it, and {held}, {money_text(rest, currency)} of this cycle's income is left ({basis})."
    falls = f"{due} of recurring charges falls due before the next income on {until}"
    return f"{falls}, and {money_text(-rest, currency)} would be missing ({basis})."
