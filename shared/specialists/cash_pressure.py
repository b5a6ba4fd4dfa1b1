"""What will be left: regular income less recurring charges until a day, less what everyday life usually costs."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from shared.contracts.currencies import money_text
from shared.conversation.intent import Intent
from shared.specialists.advisor import Advice
from shared.specialists.asking_back import unread
from shared.specialists.ledger_reader import Found, LedgerReader
from shared.specialists.outlook import EVERYDAY_DAYS, Due, Outlook, history_since, outlook_on, totals
from shared.specialists.selection import Span, span_of
from shared.specialists.wording import count_text, day_text, quoted, visible

USUAL_DAYS: Final = 30
MAX_DAYS: Final = 366
SHOWN: Final = 8
MAX_FACTS: Final = 50
STALE_DAYS: Final = 7
ASSUMED: Final = (
    "what came at a steady interval three times or more goes on, at its last or usual amount",
    "money moved between own accounts is left out",
    "the bank's balance is not known here",
)


class _Sums(NamedTuple):
    """In one currency. everyday: for the days looked at."""

    currency: str
    income: int
    charges: int
    everyday: int

    @property
    def left(self) -> int:
        return self.income - self.charges


class CashPressure:
    """Nothing is stored of what it finds; it reads up to 800 days back to find what recurs."""

    name: Final = "cash_pressure"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """All pages of the history, at most those of one question."""
        today = ledger.today
        ahead, note = _ahead(span_of(intent.slots), today)
        found = await ledger.transactions(since=history_since(today), until=str(today + timedelta(days=1)))
        if not found.rows:
            return Advice(
                "There is no transaction on record yet, so I cannot look ahead.", {"complete": found.complete}
            )
        return _told(outlook_on(found.rows, today, ledger.chart), found, ahead, note, today)


class _Ahead(NamedTuple):
    since: date
    until: date


def _ahead(named: Span, today: date) -> tuple[_Ahead, str]:
    """From today on, at most a year; a span that is over cannot be looked forward to."""
    tomorrow = today + timedelta(days=1)
    usual = today + timedelta(days=USUAL_DAYS)
    if named.until is not None and named.until <= today:
        return _Ahead(today, usual), "The days you name are over; I look ahead instead. "
    since = max(named.since or today, today)
    until = min(named.until or max(usual, since + timedelta(days=USUAL_DAYS)), today + timedelta(days=MAX_DAYS))
    return _Ahead(min(since, until - timedelta(days=1)), max(until, tomorrow)), ""


def _told(outlook: Outlook, found: Found, ahead: _Ahead, note: str, today: date) -> Advice:
    due, coming = outlook.due(*ahead), outlook.coming(*ahead)
    sums = _sums(outlook, due, coming, ahead)
    lines = [note + _head(ahead, today)]
    lines += [_sentence(one, ahead) for one in sums]
    if not outlook.incomes:
        lines.append("I find no regular income on record.")
    lines += _until_income(outlook, ahead)
    lines += [f"- {_due_line(one)}" for one in due[:SHOWN]]
    if len(due) > SHOWN:
        lines.append(f"And {count_text(len(due) - SHOWN, 'more charge')} until then.")
    if outlook.newest and (today - outlook.newest).days > STALE_DAYS:
        lines.append(f"The newest transaction on record is of {day_text(outlook.newest)}; what came since is missing.")
    lines.append(f"I assume: {'; '.join(ASSUMED)}.")
    lines += unread(found)
    mentions = tuple(one.transaction_ids[-1] for one in (*outlook.incomes, *outlook.charges))[:MAX_FACTS]
    evidence = (f"{count_text(len(found.rows), 'transaction')} since {day_text(found.rows[-1].booked_on)}.",)
    return Advice("\n".join(lines), _facts(sums, due, coming, ahead, found), mentions, evidence)


def _sums(outlook: Outlook, due: tuple[Due, ...], coming: tuple[Due, ...], ahead: _Ahead) -> list[_Sums]:
    income, charges, days = totals(coming), totals(due), (ahead.until - ahead.since).days
    everyday = {name: amount * days // EVERYDAY_DAYS for name, amount in outlook.everyday.items()}
    sums = (
        _Sums(name, income.get(name, 0), charges.get(name, 0), everyday.get(name, 0))
        for name in sorted({*income, *charges, *everyday})
    )
    return [one for one in sums if one.income or one.charges or one.everyday]


def _head(ahead: _Ahead, today: date) -> str:
    since = "Until" if ahead.since == today else f"From {day_text(ahead.since)} to"
    return f"{since} {day_text(ahead.until - timedelta(days=1))}:"


def _sentence(one: _Sums, ahead: _Ahead) -> str:
    income, charges = money_text(one.income, one.currency), money_text(one.charges, one.currency)
    text = f"{income} of regular income and {charges} of recurring charges are expected"
    text += f", which leaves {money_text(one.left, one.currency)}." if one.left >= 0 else (
        f", which is {money_text(-one.left, one.currency)} short."
    )  # fmt: skip
    if not one.everyday:
        return text
    days, rest = (ahead.until - ahead.since).days, one.left - one.everyday
    usual = f"Everyday spending usually comes to {money_text(one.everyday, one.currency)} in {count_text(days, 'day')}"
    after = f"{money_text(abs(rest), one.currency)} {'would be left' if rest >= 0 else 'would be missing'}"
    return f"{text} {usual}; after that {after}."


def _until_income(outlook: Outlook, ahead: _Ahead) -> list[str]:
    lines = []
    for currency in sorted({one.currency for one in outlook.incomes}):
        main = outlook.main_income(currency)
        if main is None or not ahead.since < main.next_on <= ahead.until:
            continue
        before = totals(one for one in outlook.due(ahead.since, main.next_on) if one.of.currency == currency)
        amount = money_text(before.get(currency, 0), currency)
        what = f"{money_text(main.amount_minor, currency)} from {quoted(outlook.text_of(main))}"
        lines.append(f"Before the next main income on {day_text(main.next_on)} ({what}), {amount} falls due.")
    return lines


def _due_line(one: Due) -> str:
    amount = money_text(abs(one.of.amount_minor), one.of.currency)
    return f"{day_text(one.on)}: {amount}, {quoted(one.text)}, {one.of.period.name}"


def _facts(
    sums: list[_Sums], due: tuple[Due, ...], coming: tuple[Due, ...], ahead: _Ahead, found: Found
) -> dict[str, Any]:
    return {
        "since": str(ahead.since),
        "until": str(ahead.until),
        "by_currency": [
            {
                "currency": one.currency,
                "expected_income_minor": one.income,
                "recurring_charges_minor": one.charges,
                "left_minor": one.left,
                "everyday_minor": one.everyday,
                "left_after_everyday_minor": one.left - one.everyday,
            }
            for one in sums
        ],
        "due": [_due_facts(one) for one in due[:MAX_FACTS]],
        "income": [_due_facts(one) for one in coming[:MAX_FACTS]],
        "assumed": list(ASSUMED),
        "complete": found.complete,
    }


def _due_facts(one: Due) -> dict[str, Any]:
    return {
        "on": str(one.on),
        "text": visible(one.text),
        "amount_minor": one.of.amount_minor,
        "currency": one.of.currency,
        "period": one.of.period.name,
        "seen": len(one.of.transaction_ids),
    }
