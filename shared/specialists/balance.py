"""What has moved on each account. We hold no bank balance, and say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.currencies import money_text
from shared.conversation.intent import Intent
from shared.specialists.account_types import of_type
from shared.specialists.advisor import Advice
from shared.specialists.ledger_reader import Found, LedgerReader
from shared.specialists.selection import slot
from shared.specialists.wording import count_text, day_text, listed, quoted


class Balance:
    """Sums the booked transactions of each account, per currency."""

    name: Final = "balance"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """The whole record, up to the question's pages."""
        kind = slot(intent.slots, "account_type")
        found = await ledger.transactions()
        sums = _sums(found)
        accounts = sorted({account for account, _ in sums})
        wanted = of_type(kind, accounts) if kind else accounts
        if not wanted:
            have = f" On record are {listed([quoted(one) for one in accounts])}." if accounts else ""
            return Advice(f"I know of no {quoted(kind)} account.{have}" if kind else "No transaction is on record.", {})
        return _told({key: value for key, value in sums.items() if key[0] in wanted}, found)


def _sums(found: Found) -> dict[tuple[str, str], tuple[int, int]]:
    """Account and currency to the sum in minor units and the number of transactions."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row in found.rows:
        amount, number = sums.get((row.account, row.currency), (0, 0))
        sums[row.account, row.currency] = amount + row.amount_minor, number + 1
    return sums


def _told(sums: Mapping[tuple[str, str], tuple[int, int]], found: Found) -> Advice:
    first, last = day_text(found.rows[-1].booked_on), day_text(found.rows[0].booked_on)
    lines = ["I do not know the bank's balance. This is the movement on record here, in less out:"]
    for (account, currency), (amount, number) in sorted(sums.items()):
        moved = money_text(amount, currency)
        lines.append(f"- {quoted(account)}: {moved} in {count_text(number, 'transaction')}")
    older = "" if found.complete else "; what is older was not read"
    lines.append(f"It covers {first} to {last}{older}.")
    facts: dict[str, Any] = {
        "is_bank_balance": False,
        "since": found.rows[-1].booked_on,
        "to": found.rows[0].booked_on,
        "movements": [
            {"account": account, "currency": currency, "net_minor": amount, "transactions": number}
            for (account, currency), (amount, number) in sorted(sums.items())
        ],
        "complete": found.complete,
    }
    return Advice("\n".join(lines), facts, (), (f"{count_text(len(found.rows), 'booked transaction')}.",))
