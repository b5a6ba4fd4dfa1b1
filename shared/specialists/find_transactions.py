"""Finds transactions by days, category, merchant and amount, and lists the newest of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from shared.contracts.currencies import EXPONENTS, money_text
from shared.conversation.intent import Intent
from shared.specialists.advisor import Advice
from shared.specialists.asking_back import newest_on_record, unknown_category, unknown_merchant, unread
from shared.specialists.ledger_reader import Found, LedgerReader, Row
from shared.specialists.selection import Span, belongs, by_merchant, is_known, meant, slot, span_of
from shared.specialists.wording import category_text, count_text, day_text, quoted, span_text, visible

SHOWN: Final = 10
MAX_MENTIONS: Final = 50


class _Sought(NamedTuple):
    """amount: the size in minor units, None for any. bound: "", `at_least` or `at_most`. waiting: only for review."""

    category: str
    merchant: str
    amount: int | None
    currency: str
    bound: str
    waiting: bool

    @property
    def anything(self) -> bool:
        return not self.category and not self.merchant and self.amount is None and not self.waiting


class FindTransactions:
    """Lists at most ten and says how many more there are."""

    name: Final = "find_transactions"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """An exact amount costs one page by its look-up; the newest of all one page; else the span is read through."""
        sought, span = _sought(intent, ledger.currency), span_of(intent.slots)
        if sought.category and not is_known(sought.category, ledger.chart):
            return unknown_category(sought.category, ledger.chart)
        found = await _read(ledger, sought, span)
        fits = _fits(sought)
        rows = tuple(row for row in found.rows if fits(row))
        if rows:
            return _told(rows, found, sought, span)
        if sought.merchant and sought.amount is None and found.rows:
            names = {row.merchant for row in found.rows}
            return unknown_merchant(sought.merchant, names, span_text(span.since, span.until), unread(found))
        text = f"I find no transaction{_words(sought)} {span_text(span.since, span.until)}."
        more = unread(found) or (await newest_on_record(ledger),)
        return Advice(" ".join([text, *more]).strip(), {"transactions": 0, "complete": found.complete})


def row_line(row: Row) -> str:
    """One transaction in a line: its day, amount, text, what is thought of it, and the id by which to speak of it."""
    direction = "in" if row.amount_minor > 0 else "out"
    amount = money_text(abs(row.amount_minor), row.currency)
    what = f"{amount} {direction}, {quoted(row.descriptor)}, {state_text(row)}"
    return f"{day_text(row.booked_on)}: {what} [{row.transaction_id}]"


def state_text(row: Row) -> str:
    """Its category, or how far the decision has come."""
    if not row.is_open:
        return category_text(row.category)
    if row.review_state == "Unclassified":
        return "not classified yet"
    note = f", perhaps {category_text(row.suggested)}" if row.suggested else ""
    warned = "; its text tries to give orders, which nobody follows" if "descriptor_instructs" in row.reasons else ""
    return f"waits for review{note}{warned}"


def row_facts(row: Row) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "transaction_id": row.transaction_id,
        "booked_on": row.booked_on,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "text": visible(row.descriptor),
        "category": row.category,
        "suggested": row.suggested,
        "review_state": row.review_state,
    }


def _sought(intent: Intent, base: str) -> _Sought:
    amount = intent.slots.get("amount_minor")
    size = abs(amount) if isinstance(amount, int) and not isinstance(amount, bool) else None
    named = slot(intent.slots, "currency")
    currency = named if named in EXPONENTS else base
    bound = slot(intent.slots, "bound")
    waiting = intent.slots.get("waiting") is True
    return _Sought(slot(intent.slots, "category"), slot(intent.slots, "merchant"), size, currency, bound, waiting)


async def _read(ledger: LedgerReader, sought: _Sought, span: Span) -> Found:
    if sought.amount is not None and sought.currency and not sought.bound:
        return await ledger.of_amount(sought.amount, sought.currency, since=span.low, until=span.high)
    if sought.anything and span == Span():
        return await ledger.transactions(most=SHOWN + 1)
    return await ledger.transactions(since=span.low, until=span.high)


def _fits(sought: _Sought) -> Callable[[Row], bool]:
    is_meant = by_merchant(sought.merchant) if sought.merchant else None

    def fits(row: Row) -> bool:
        return (
            (is_meant is None or is_meant(row))
            and (not sought.category or belongs(meant(row), sought.category))
            and (not sought.waiting or row.review_state == "NeedsReview")
            and _amount_fits(row, sought)
        )

    return fits


def _amount_fits(row: Row, sought: _Sought) -> bool:
    if sought.amount is None:
        return True
    if sought.currency and row.currency != sought.currency:
        return False
    size = abs(row.amount_minor)
    if sought.bound == "at_least":
        return size >= sought.amount
    return size <= sought.amount if sought.bound == "at_most" else size == sought.amount


def _told(rows: tuple[Row, ...], found: Found, sought: _Sought, span: Span) -> Advice:
    shown = rows[:SHOWN]
    more = len(rows) - len(shown)
    when = span_text(span.since, span.until)
    if sought.anything and span == Span():
        head = f"The newest {len(shown)} transactions:" if more else f"All {count_text(len(shown), 'transaction')}:"
        tail = "There are more; name days, a merchant, a category or an amount." if more else ""
    else:
        order = ", the newest first" if len(rows) > 1 else ""
        head = f"{count_text(len(rows), 'transaction')}{_words(sought)} {when}{order}:"
        tail = f"And {more:,} more." if more else ""
    lines = [head, *(f"- {row_line(row)}" for row in shown), tail, *unread(found)]
    facts = {
        "transactions": len(rows),
        "shown": [row_facts(row) for row in shown],
        "more": more,
        "complete": found.complete,
    }
    mentions = tuple(row.transaction_id for row in rows[:MAX_MENTIONS])
    return Advice("\n".join(line for line in lines if line), facts, mentions, (f"The tenant's own ledger, {when}.",))


def _words(sought: _Sought) -> str:
    bound = {"at_least": "at least ", "at_most": "at most "}.get(sought.bound, "")
    if sought.amount is None:
        amount = ""
    elif sought.currency:
        amount = f" of {bound}{money_text(sought.amount, sought.currency)}"
    else:
        amount = f" of {bound}{sought.amount:,} minor units in any currency"
    category = f" under {category_text(sought.category)}" if sought.category else ""
    merchant = f" from {quoted(sought.merchant)}" if sought.merchant else ""
    return amount + category + merchant + (" that wait for review" if sought.waiting else "")
