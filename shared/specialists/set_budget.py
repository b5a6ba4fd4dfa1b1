"""Turns a wish for a budget into the action, beside what the category has cost lately."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from shared.contracts.currencies import EXPONENTS, money_text
from shared.conversation.intent import Intent
from shared.ledger.budgets import is_budgeted
from shared.ledger.recurring import months_later
from shared.specialists.advisor import Advice, Wish
from shared.specialists.asking_back import unknown_category, unread
from shared.specialists.ledger_reader import Found, LedgerReader
from shared.specialists.selection import Span, own_moves, slot
from shared.specialists.tally import Tally, Wanted, tallied
from shared.specialists.wording import category_text, span_text

ACTION: Final = "set_budget"
MONTHS: Final = 3


class SetBudget:
    """Looks at the three full months before this one."""

    name: Final = "set_budget"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """The pages of three months."""
        category, currency = slot(intent.slots, "category"), slot(intent.slots, "currency")
        if not is_budgeted(category, ledger.chart):
            return unknown_category(category, ledger.chart)
        limit = intent.slots.get("amount_minor")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            return Advice("How much may it be in a month?", {}, asks="amount_minor")
        if currency not in EXPONENTS:
            return Advice("In which currency?", {}, asks="currency")
        first = ledger.today.replace(day=1)
        span = Span(months_later(first, -MONTHS), first)
        found = await ledger.transactions(since=span.low, until=span.high)
        tally = tallied(found.rows, Wanted(category), own_moves(found.rows)).get(currency, Tally())
        evidence = (_lately(category, currency, tally, found, span), *unread(found))
        arguments: dict[str, Any] = {"category": category, "limit_minor": limit, "currency": currency}
        what = f"a budget of {money_text(limit, currency)} a month for {category_text(category)}"
        facts = {**arguments, "spent_before_minor": tally.net_minor, "complete": found.complete}
        wish = Wish(ACTION, arguments, f"To set {what}.", evidence)
        return Advice(f"To set {what}. {' '.join(evidence)}", facts, tuple(tally.mentions[:50]), evidence, wish)


def _lately(category: str, currency: str, tally: Tally, found: Found, span: Span) -> str:
    """What it has cost, and a month's share of it; a month before the record begins counts for nothing."""
    if not found.rows or span.until is None:
        return "Nothing is on record of the three months before this one to compare with."
    began = date.fromisoformat(found.rows[-1].booked_on).replace(day=1)
    months = (span.until.year - began.year) * 12 + span.until.month - began.month
    spent = f"{money_text(tally.net_minor, currency)} was spent on {category_text(category)}"
    monthly = f", {money_text(tally.net_minor // months, currency)} a month" if months > 1 else ""
    return f"{spent} {span_text(began, span.until)}{monthly}."
