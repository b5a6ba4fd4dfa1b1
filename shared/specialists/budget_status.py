"""How the budgets of this month stand: spent, left, and where the month is heading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from shared.contracts.currencies import money_text
from shared.conversation.intent import Intent
from shared.ledger.recurring import months_later
from shared.ports.document_store import Body
from shared.specialists.advisor import Advice
from shared.specialists.asking_back import unread
from shared.specialists.ledger_reader import Found, LedgerReader
from shared.specialists.selection import Span, belongs, own_moves, slot
from shared.specialists.tally import Tally, Wanted, tallied
from shared.specialists.wording import category_text, count_text, day_text, listed, quoted

_FIRST_DAYS: Final = 5
"""So early in a month its pace says nothing: one bill is all there is."""
MAX_MENTIONS: Final = 50


class _Standing(NamedTuple):
    """A budget in the running month, in its own currency. foreign: transactions in other currencies, not counted."""

    budget: Body
    tally: Tally
    foreign: int
    expected_minor: int | None

    @property
    def left_minor(self) -> int:
        return int(self.budget["limit_minor"]) - self.tally.net_minor


class BudgetStatus:
    """Refunds are netted; what waits for review is said apart; other currencies are not converted."""

    name: Final = "budget_status"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """One page of budgets, and the pages of the running month."""
        category = slot(intent.slots, "category")
        budgets = await ledger.budgets()
        asked = tuple(one for one in budgets if not category or _is_about(one["category"], category))
        if not asked:
            return _no_budget(category, budgets)
        span = Span(ledger.today.replace(day=1), ledger.today + timedelta(days=1))
        found = await ledger.transactions(since=span.low, until=span.high)
        moved = own_moves(found.rows)
        standings = [_standing(one, found, moved, ledger.today) for one in asked]
        return _told(standings, found, ledger.today)


def _is_about(budgeted: str, category: str) -> bool:
    """A question about a branch is about the budgets in it; one about a category is about its branch's budget too."""
    return belongs(budgeted, category) or belongs(category, budgeted)


def _standing(budget: Body, found: Found, moved: frozenset[str], today: date) -> _Standing:
    by_currency: Mapping[str, Tally] = tallied(found.rows, Wanted(budget["category"]), moved)
    tally = by_currency.get(budget["currency"], Tally())
    foreign = sum(one.counted for currency, one in by_currency.items() if currency != budget["currency"])
    days = (months_later(today.replace(day=1), 1) - timedelta(days=1)).day
    steady = today.day >= _FIRST_DAYS and found.complete
    return _Standing(budget, tally, foreign, tally.net_minor * days // today.day if steady else None)


def _told(standings: list[_Standing], found: Found, today: date) -> Advice:
    lines = [_line(one, today) for one in standings]
    facts: dict[str, Any] = {
        "month": f"{today:%Y-%m}",
        "budgets": [
            {
                "category": one.budget["category"],
                "currency": one.budget["currency"],
                "limit_minor": one.budget["limit_minor"],
                "since": one.budget["since"],
                "spent_minor": one.tally.net_minor,
                "left_minor": one.left_minor,
                "expected_by_month_end_minor": one.expected_minor,
                "waiting_minor": one.tally.waiting_minor,
            }
            for one in standings
        ],
        "complete": found.complete,
    }
    mentions = [id_ for one in standings for id_ in one.tally.mentions]
    evidence = (f"{count_text(len(found.rows), 'booked transaction')} since {day_text(today.replace(day=1))}.",)
    return Advice("\n".join([*lines, *unread(found)]), facts, tuple(dict.fromkeys(mentions))[:MAX_MENTIONS], evidence)


def _line(one: _Standing, today: date) -> str:
    currency, limit = one.budget["currency"], one.budget["limit_minor"]
    name = category_text(one.budget["category"]).capitalize()
    spent, left = money_text(one.tally.net_minor, currency), money_text(abs(one.left_minor), currency)
    stands = f"{left} is left" if one.left_minor >= 0 else f"that is {left} over"
    text = f"{name}: {spent} of {money_text(limit, currency)} spent in {today:%B %Y}; {stands}."
    if one.expected_minor is not None and one.left_minor >= 0:
        going = money_text(one.expected_minor, currency)
        holds = "within" if one.expected_minor <= limit else "over"
        text += f" At this pace it will be {going} by the end of the month, {holds} the budget."
    if one.tally.waiting:
        waiting = money_text(one.tally.waiting_minor, currency)
        text += f" {waiting} more ({one.tally.waiting}) waits for review and is not counted."
    if one.foreign:
        text += f" {count_text(one.foreign, 'transaction')} in other currencies not counted."
    return text


def _no_budget(category: str, budgets: tuple[Body, ...]) -> Advice:
    names = [category_text(one["category"]) for one in budgets]
    if not category:
        text = "No budget is set. You can say: set a budget of 400 EUR for groceries."
    else:
        spoken = quoted(category_text(category))
        have = f" There are budgets for {listed(names)}." if names else ""
        text = f"There is no budget for {spoken}.{have}"
    return Advice(text, {"budgets": [], "categories_with_budget": [one["category"] for one in budgets]})
