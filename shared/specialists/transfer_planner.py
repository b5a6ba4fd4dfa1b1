"""Turns the wish to send money into one exact order: which account, to whom, how much, and what speaks against it.

It warns and decides nothing: policy and people do. A name that cannot be shown as it is, is asked for again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, NamedTuple

from shared.contracts.currencies import EXPONENTS, money_text
from shared.conversation.intent import OWN_ACCOUNT, Intent
from shared.specialists.account_types import of_type
from shared.specialists.advisor import Advice, Wish
from shared.specialists.asking_back import unread
from shared.specialists.ledger_reader import Found, LedgerReader
from shared.specialists.outlook import Outlook, history_since, outlook_on
from shared.specialists.selection import slot
from shared.specialists.transfer_warnings import Warned, warnings_of
from shared.specialists.wording import listed, quoted, visible

ACTION: Final = "transfer_funds"
MAX_NAME: Final = 100
MAX_NOTE: Final = 140


class _Payee(NamedTuple):
    """to_account: an own account's id, "" for somebody else."""

    recipient: str
    to_account: str = ""


class TransferPlanner:
    """Picks the account, looks at the history, states a plan."""

    name: Final = "transfer_planner"

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """All pages of the history, at most those of one question."""
        problem = _problem(intent)
        if problem is not None:
            return problem
        until = str(ledger.today + timedelta(days=1))
        found = await ledger.transactions(since=history_since(ledger.today), until=until)
        outlook = outlook_on(found.rows, ledger.today, ledger.chart)
        accounts = sorted(ledger.accounts or {row.account for row in found.rows})
        paying = sorted(ledger.paying_accounts) or accounts
        source = _source(slot(intent.slots, "account_type"), paying, found, outlook, slot(intent.slots, "currency"))
        if isinstance(source, Advice):
            return source
        payee = _payee(intent, [one for one in sorted({*accounts, *paying}) if one != source])
        if isinstance(payee, Advice):
            return payee
        warned = warnings_of(
            found, outlook, ledger.today, payee=payee.recipient, is_own=bool(payee.to_account), source=source,
            amount=int(intent.slots["amount_minor"]), currency=slot(intent.slots, "currency"),
        )  # fmt: skip
        return _planned(intent, source, payee, warned, found)


def _problem(intent: Intent) -> Advice | None:
    """What is wrong with the wish as it was understood, whatever the ledger says."""
    amount, currency = intent.slots.get("amount_minor"), slot(intent.slots, "currency")
    recipient = slot(intent.slots, "recipient")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
        return Advice("How much shall be sent? It has to be more than nothing.", {}, asks="amount_minor")
    if currency not in EXPONENTS:
        text = f"In which currency? {quoted(currency)} is none that I know." if currency else "In which currency?"
        return Advice(text, {}, asks="currency")
    if not recipient:
        return Advice("To whom?", {}, asks="recipient")
    if visible(recipient, MAX_NAME) != recipient:
        text = f"The name {quoted(recipient)} is too long or holds characters that cannot be seen. To whom, exactly?"
        return Advice(text, {}, asks="recipient")
    note = slot(intent.slots, "note")
    if visible(note, MAX_NOTE) != note:
        return Advice(
            "The note is too long or holds characters that cannot be seen. What shall it say?", {}, asks="note"
        )
    return None


def _source(kind: str, accounts: list[str], found: Found, outlook: Outlook, currency: str) -> str | Advice:
    """The account that was named; else the one that regular income comes to; else the only one."""
    if not accounts:
        return Advice("I know of no account of yours that it could be paid from.", {"accounts": []})
    have = listed([quoted(one) for one in accounts], "or")
    if kind:
        named = of_type(kind, accounts)
        if len(named) == 1:
            return named[0]
        which = listed([quoted(one) for one in named], "or") if named else have
        text = f"Which account do you mean by {quoted(kind)}: {which}?"
        return Advice(text, {"accounts": named or accounts}, asks="account_type")
    if len(accounts) == 1:
        return accounts[0]
    income = outlook.main_income(currency)
    home = next((row.account for row in found.rows if income and row.transaction_id == income.transaction_ids[-1]), "")
    if home in accounts:
        return home
    return Advice(f"From which account: {have}?", {"accounts": accounts}, asks="account_type")


def _payee(intent: Intent, others: list[str]) -> _Payee | Advice:
    recipient, kind = slot(intent.slots, "recipient"), slot(intent.slots, "recipient_account_type")
    if recipient in others:
        return _Payee(recipient, recipient)
    if recipient != OWN_ACCOUNT:
        return _Payee(recipient)
    named = of_type(kind, others) if kind else others
    if len(named) == 1:
        return _Payee(named[0], named[0])
    have = listed([quoted(one) for one in named or others], "or")
    if not others:
        return Advice("I know of no other account of yours that it could go to.", {"accounts": []}, asks="recipient")
    return Advice(f"To which of your accounts: {have}?", {"accounts": others}, asks="recipient_account_type")


def _planned(intent: Intent, source: str, payee: _Payee, warned: Warned, found: Found) -> Advice:
    amount, currency = int(intent.slots["amount_minor"]), slot(intent.slots, "currency")
    money, note = money_text(amount, currency), slot(intent.slots, "note")
    arguments: dict[str, Any] = {
        "from_account": source,
        "to_account": payee.to_account,
        "recipient": payee.recipient,
        "amount_minor": amount,
        "currency": currency,
        "note": note,
    }
    plan = f"To send {money} from {quoted(source)} to {quoted(payee.recipient, MAX_NAME)}"
    plan += f", with the note {quoted(note, MAX_NOTE)}." if note else "."
    said = [f"Mind: {line}" for line in warned.warnings]
    if intent.slots.get("private"):
        said.append("A bank transfer is seen by the two sides and the bank; there is no other privacy to set.")
    lines = [plan, *said, *warned.notes, *unread(found)]
    facts = {**arguments, "warnings": list(warned.warnings), "notes": list(warned.notes), **warned.facts}
    evidence = (*(f"Warning: {line}" for line in warned.warnings), *warned.notes, *unread(found))
    return Advice(" ".join(lines), facts, warned.mentions, evidence, Wish(ACTION, arguments, plan, evidence))
