"""How much was spent: on what or where, when, and compared with the time before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from shared.contracts.currencies import money_text
from shared.conversation.intent import Intent
from shared.ledger.recurring import months_later
from shared.specialists.advisor import Advice
from shared.specialists.asking_back import newest_on_record, unknown_category, unknown_merchant, unread
from shared.specialists.ledger_reader import Found, LedgerReader, Row
from shared.specialists.selection import Span, by_merchant, is_known, kind, last_days, own_moves, slot, span_of
from shared.specialists.tally import Tally, Wanted, tallied
from shared.specialists.wording import amounts_text, category_text, count_text, listed, quoted, span_text, visible

USUAL_DAYS: Final = 30
"""Looked back when no days are named."""
MAX_MENTIONS: Final = 50
_TOP: Final = 3


class Spending:
    """Sums what is decided; says what is not, what came back, what was left out and what was not read."""

    name: Final = "spending"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """One reading of the ledger, which takes in the time before when a comparison is asked for."""
        category, merchant = slot(intent.slots, "category"), slot(intent.slots, "merchant")
        if category and not is_known(category, ledger.chart):
            return unknown_category(category, ledger.chart)
        span = _span(span_of(intent.slots), ledger.today)
        before = span_before(span) if intent.slots.get("compare") and span.since else None
        is_meant = by_merchant(merchant) if merchant else None
        found = await ledger.transactions(since=(before or span).low, until=span.high)
        rows = [row for row in found.rows if is_meant is None or is_meant(row)]
        if not found.rows:
            return await _nothing(_Asked(span, before, Wanted(category, bool(merchant)), merchant), ledger)
        if merchant and not rows:
            names = {row.merchant for row in found.rows}
            return unknown_merchant(merchant, names, span_text(span.since, span.until), unread(found))
        return _told(_Asked(span, before, Wanted(category, bool(merchant)), merchant), rows, found)


class _Asked:
    """What the question is about, in values and in words."""

    def __init__(self, span: Span, before: Span | None, wanted: Wanted, merchant: str) -> None:
        self.span, self.before, self.wanted, self.merchant = span, before, wanted, merchant
        self.when = span_text(span.since, span.until)
        on = f" {self._as} {category_text(wanted.category)}" if wanted.category else ""
        self.what = on + (f" at {quoted(merchant)}" if merchant else "")

    @property
    def manner(self) -> str:
        """How money of this kind is spoken of: spent, received or moved."""
        return {"income": "received", "transfer": "moved", "investment": "moved"}.get(
            kind(self.wanted.category), "spent"
        )

    @property
    def _as(self) -> str:
        return {"received": "as", "moved": "under"}.get(self.manner, "on")


def span_before(span: Span) -> Span:
    """The span before, of equal length; of equal months where a span begins with a month, so that March, or the first
    ten days of March, is compared with the same of February."""
    if span.since is None or span.until is None:
        return Span()
    since, until = span.since, span.until
    if since.day > 1:
        return Span(since - (until - since), since)
    last = until - timedelta(days=1)
    months = (last.year - since.year) * 12 + last.month - since.month + 1
    if until.day == 1:
        return Span(months_later(since, -months), since)
    return Span(months_later(since, -months), min(months_later(last, -months) + timedelta(days=1), since))


def _span(named: Span, today: date) -> Span:
    """Nothing is booked after today; without any day the last ones are meant."""
    tomorrow = today + timedelta(days=1)
    if named == Span():
        return last_days(today, USUAL_DAYS)
    until = min(named.until or tomorrow, tomorrow)
    return Span(named.since, until) if named.since is None or named.since < until else named


async def _nothing(asked: _Asked, ledger: LedgerReader) -> Advice:
    facts = {"since": asked.span.low, "until": asked.span.high, "by_currency": [], "complete": True}
    return Advice(f"{_sentence(asked, {})} {await newest_on_record(ledger)}".strip(), facts)


def _told(asked: _Asked, rows: list[Row], found: Found) -> Advice:
    moved = own_moves(found.rows)
    now = tallied((row for row in rows if row.booked_on >= asked.span.low), asked.wanted, moved)
    earlier: Mapping[str, Tally] = {}
    if asked.before:
        earlier = tallied((row for row in rows if row.booked_on < asked.span.low), asked.wanted, moved)
    lines = [_sentence(asked, now), *_details(asked, now)]
    if asked.before:
        lines.append(_comparison(asked, now, earlier, found))
    lines += unread(found)
    counted = [id_ for tally in now.values() for id_ in tally.mentions]
    facts: dict[str, Any] = {
        "since": asked.span.low,
        "until": asked.span.high,
        "category": asked.wanted.category,
        "merchant": visible(asked.merchant),
        "by_currency": [now[currency].facts(currency) for currency in sorted(now)],
        "complete": found.complete,
    }
    if asked.before and found.complete:
        told = [{"currency": name, "net_minor": one.net_minor} for name, one in sorted(earlier.items())]
        facts["before"] = {"since": asked.before.low, "until": asked.before.high, "by_currency": told}
    evidence = (f"{count_text(len(counted), 'booked transaction')} {asked.when}.",)
    return Advice(" ".join(line for line in lines if line), facts, tuple(counted[:MAX_MENTIONS]), evidence)


def _sentence(asked: _Asked, now: Mapping[str, Tally]) -> str:
    counted = {currency: tally for currency, tally in now.items() if tally.counted}
    number = count_text(sum(tally.counted for tally in counted.values()), "transaction")
    if not counted:
        nothing = {"moved": "Nothing moved", "received": "Nothing came in"}.get(asked.manner, "I find nothing spent")
        return f"{nothing}{asked.what} {asked.when}."
    out = amounts_text({name: one.out_minor for name, one in counted.items()})
    back = amounts_text({name: one.back_minor for name, one in counted.items() if one.back_minor})
    apart = " Currencies are not added up." if len(counted) > 1 else ""
    if asked.manner == "moved":
        return f"{out} went out and {back} came in{asked.what} {asked.when}, in {number}.{apart}"
    if asked.manner == "received":
        return f"{back} came in{asked.what} {asked.when}, in {number}.{apart}"
    less = f", after {back} that came back" if any(one.back_minor for one in counted.values()) else ""
    return f"You spent {_net(counted)}{asked.what} {asked.when}, in {number}{less}.{apart}"


def _net(counted: Mapping[str, Tally]) -> str:
    return amounts_text({name: one.net_minor for name, one in counted.items()})


def _details(asked: _Asked, now: Mapping[str, Tally]) -> list[str]:
    lines = []
    if not asked.wanted.category and not asked.merchant:
        lines += [_most(currency, tally) for currency, tally in sorted(now.items()) if len(tally.by_branch) > 1]
    lines.append(_waiting(asked, now))
    coming = {name: one.waiting_in_minor for name, one in now.items() if one.waiting_in}
    if coming and asked.manner == "spent" and not asked.merchant:
        number = sum(one.waiting_in for one in now.values())
        lines.append(f"{amounts_text(coming)} that came in ({number}) may be refunds; that waits for review too.")
    aside = {name: one.aside_minor for name, one in now.items() if one.aside}
    if aside:
        lines.append(f"Left out: {amounts_text(aside)} moved between own accounts or invested.")
    return lines


def _most(currency: str, tally: Tally) -> str:
    top = sorted(tally.by_branch.items(), key=lambda one: (-one[1], one[0]))[:_TOP]
    parts = [f"{category_text(name)} ({money_text(amount, currency)})" for name, amount in top if amount > 0]
    return f"Most of it went to {listed(parts)}." if parts else ""


def _waiting(asked: _Asked, now: Mapping[str, Tally]) -> str:
    out = {name: one.waiting_minor for name, one in now.items() if one.waiting}
    coming = {name: one.waiting_in_minor for name, one in now.items() if one.waiting_in}
    number = sum(one.waiting for one in now.values())
    amount = amounts_text(out)
    if asked.manner != "spent" or (asked.merchant and coming):
        number += sum(one.waiting_in for one in now.values())
        amount = listed([f"{amounts_text(each)} {way}" for each, way in ((out, "out"), (coming, "in")) if each])
    if not number:
        return ""
    waits = "waits" if number == 1 else "wait"
    if asked.merchant:
        return f"Of that, {amount} ({count_text(number, 'transaction')}) still {waits} for review."
    uncounted = "is not counted" if number == 1 else "are not counted"
    return (
        f"{count_text(number, 'more transaction', 'more transactions')} ({amount}) {waits} for review and {uncounted}."
    )


def _comparison(asked: _Asked, now: Mapping[str, Tally], earlier: Mapping[str, Tally], found: Found) -> str:
    if not found.complete or asked.before is None:
        return "There is too much on record to read the time before, so I do not compare."
    sign = -1 if asked.manner == "received" else 1
    parts = []
    for currency in sorted({*now, *earlier}):
        was = sign * (earlier[currency].net_minor if currency in earlier else 0)
        more = sign * (now[currency].net_minor if currency in now else 0) - was
        change = (
            "the same as" if not more else f"{money_text(abs(more), currency)} {'more' if more > 0 else 'less'} than"
        )
        parts.append(f"{change} the {money_text(was, currency)}")
    when = span_text(asked.before.since, asked.before.until)
    return f"That is {listed(parts)} {when}." if parts else f"There was nothing {when} either."
