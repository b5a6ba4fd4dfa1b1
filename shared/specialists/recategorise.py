"""Finds the transactions that somebody wants under another category, and names each as it was looked at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from shared.conversation.intent import Intent
from shared.specialists.advisor import Advice, Wish
from shared.specialists.asking_back import unknown_category, unknown_merchant, unread
from shared.specialists.find_transactions import row_facts, row_line
from shared.specialists.ledger_reader import Found, LedgerReader, Row
from shared.specialists.selection import Span, by_merchant, slot, span_of
from shared.specialists.wording import category_text, count_text, listed, quoted, span_text, visible

ACTION: Final = "recategorise_transactions"
MAX_TRANSACTIONS: Final = 50
SHOWN: Final = 5
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Recategorise:
    """At most fifty at once, the newest; what is there already and what is still being classified is left alone."""

    name: Final = "recategorise"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """By id one read; else the pages of the span."""
        category, merchant = slot(intent.slots, "category"), slot(intent.slots, "merchant")
        transaction_id, span = slot(intent.slots, "transaction_id"), span_of(intent.slots)
        if category not in ledger.chart:
            return unknown_category(category, ledger.chart, leaf=True)
        if transaction_id:
            row = await ledger.transaction(transaction_id) if _ID.fullmatch(transaction_id) else None
            if row is None:
                text = f"There is no transaction {quoted(transaction_id)}. Which one do you mean?"
                return Advice(text, {"unknown_transaction": visible(transaction_id)}, asks="transaction_id")
            return _told(category, [row], Found((row,), complete=True), "")
        if not merchant and span == Span():
            return Advice("Which transactions? Tell me the merchant, or an id.", {}, asks="merchant")
        return await _of_many(category, merchant, span, ledger)


async def _of_many(category: str, merchant: str, span: Span, ledger: LedgerReader) -> Advice:
    found = await ledger.transactions(since=span.low, until=span.high)
    is_meant = by_merchant(merchant) if merchant else bool
    rows = [row for row in found.rows if is_meant(row)]
    when = span_text(span.since, span.until)
    if merchant and not rows:
        names = {row.merchant for row in found.rows}
        return unknown_merchant(merchant, names, when, unread(found))._replace(asks="merchant")
    source = f" from {quoted(merchant)}" if merchant else ""
    return _told(category, rows, found, source if span == Span() else f"{source} {when}")


def _told(category: str, rows: Sequence[Row], found: Found, which: str) -> Advice:
    name = category_text(category)
    early = sum(row.review_state == "Unclassified" for row in rows)
    there = sum(row.category == category and not row.is_open for row in rows)
    changing = [row for row in rows if row.review_state != "Unclassified" and (row.is_open or row.category != category)]
    notes = []
    if early:
        notes.append(
            f"{count_text(early, 'transaction is', 'transactions are')} still being classified and left alone."
        )
    if there:
        notes.append(f"{count_text(there, 'transaction is', 'transactions are')} under {name} already.")
    if not changing:
        nothing = f"There is nothing to change{which}."
        return Advice(" ".join([nothing, *notes]), {"category": category, "transactions": []})
    taken = changing[:MAX_TRANSACTIONS]
    if len(changing) > len(taken):
        notes.append(
            f"I take the newest {len(taken)}; {len(changing) - len(taken):,} older ones are left for another time."
        )
    return _wished(category, taken, [*notes, *unread(found)], which)


def _wished(category: str, taken: Sequence[Row], notes: Sequence[str], which: str) -> Advice:
    now = Counter("waiting for review" if row.is_open else f"under {category_text(row.category)}" for row in taken)
    parts = [f"{number} {what}" for what, number in sorted(now.items(), key=lambda one: (-one[1], one[0]))]
    rest = len(taken) - sum(sorted(now.values(), reverse=True)[:SHOWN])
    before = listed([*parts[:SHOWN], f"{rest} under others"] if rest else parts)
    many = count_text(len(taken), "transaction")
    head = f"{many}{which} would go under {category_text(category)} (now: {before}):"
    lines = [head, *(f"- {row_line(row)}" for row in taken[:SHOWN])]
    if len(taken) > SHOWN:
        lines.append(f"And {len(taken) - SHOWN} more.")
    arguments: dict[str, Any] = {
        "category": category,
        "transactions": [
            {"transaction_id": row.transaction_id, "decision_version": row.decision_version} for row in taken
        ],
    }
    facts = {"category": category, "transactions": [row_facts(row) for row in taken], "now": dict(sorted(now.items()))}
    evidence = (f"Now: {before}.", *(row_line(row) for row in taken), *notes)
    wish = Wish(ACTION, arguments, f"To put {many}{which} under {category_text(category)}.", evidence)
    ids = tuple(row.transaction_id for row in taken)
    return Advice("\n".join([*lines, *notes]), facts, ids, evidence, wish)
