"""Money between two accounts of one owner: the opposite entry on another own account, or words that say so."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from shared.guard.decision import Proposal
from shared.guard.lexicon import Reading, words_of
from shared.specialists.reading import bought_elsewhere, lane_hit, reading_of

if TYPE_CHECKING:
    from shared.contracts.transactions import TransactionFacts
    from shared.guard.policy import Policy
    from shared.specialists.specialist import Case, Charge, Opinions

NAME: Final = "transfer"
_OWN: Final = "transfer.own_account"
_WORDS_AND_ENTRY: Final = 9700
_ACCOUNT_AND_ENTRY: Final = 9600
_NEUTRAL_AND_ENTRY: Final = 8800
_SHARED_REFERENCE: Final = 7000
_PLAIN_OTHER_SIDE: Final = 6500
_ACCOUNT_NAMED: Final = 8600
_LEAST: Final = 5000
"""Weaker words than this (a wallet's bare name) count only where the opposite entry is there too."""
_SHORT: Final = 3
"""Beside an opposite entry so short a word is a bank's abbreviation rather than somebody's name."""


def opposite_entry(case: Case) -> Charge | None:
    """The same amount the other way on another own account within the policy's days: the nearest one, or None."""
    own, facts, days = case.knowledge.own_accounts, case.facts, case.policy.transfer.counterpart_days
    found: tuple[int, Charge] | None = None
    for entry in case.knowledge.counterparts:
        if (
            entry.amount_minor == -facts.amount_minor
            and entry.currency == facts.currency
            and entry.account != facts.account
            and entry.account in own
        ):
            apart = abs((date.fromisoformat(entry.booked_on) - date.fromisoformat(facts.booked_on)).days)
            if apart <= days and (found is None or apart < found[0]):
                found = apart, entry
    return found[1] if found else None


def names_own_account(case: Case, words: tuple[str, ...]) -> bool:
    """Whether the text ends in digits by which banks print another account of this owner."""
    tail = case.policy.transfer.account_tail_digits
    digits = {word for word in words if len(word) >= tail and word.isdecimal()}
    if not digits:
        return False
    for account in case.knowledge.own_accounts:
        number = "".join(char for char in account if char.isdecimal())
        if account != case.facts.account and len(number) >= tail and any(number.endswith(word) for word in digits):
            return True
    return False


def is_neutral(words: tuple[str, ...], neutral: frozenset[str]) -> bool:
    """Whether a text names nobody and nothing: only what banks print on every movement, and numbers."""
    return all(word in neutral or word.isdecimal() for word in words)


def facts_are_interest(case: Case, reading: Reading) -> bool:
    """Interest on a savings account is earned, though the text names that account."""
    hit = reading.best("income", case.facts.amount_minor)
    return hit is not None and hit.rule.target == "income.interest"


def needs_counterparts(facts: TransactionFacts, policy: Policy) -> bool:
    """Whether an equal amount elsewhere could matter: not where the merchant's code says that something was bought."""
    return not facts.mcc or facts.mcc in policy.lane_mcc.get(NAME, frozenset())


def find_transfer(case: Case) -> Proposal | None:
    """What speaks for a transfer, whatever the tenant's chart: an equal amount elsewhere is a coincidence where the
    text names somebody else."""
    if case.facts.amount_minor == 0 or bought_elsewhere(case, NAME):
        return None
    reading = reading_of(case)
    entry = opposite_entry(case) if case.knowledge.counterparts else None
    if facts_are_interest(case, reading):
        return None
    hit = lane_hit(case, NAME)
    if hit is not None and (entry is not None or hit.rule.confidence_bp >= _LEAST):
        confidence = _WORDS_AND_ENTRY if entry else hit.rule.confidence_bp
        return _proposal(hit.rule.target, confidence, "transfer_words", f'The text says "{hit.term}".', entry)
    if "store" in reading.hits:
        return None
    named = names_own_account(case, reading.words)
    if entry is None:
        if not (named and is_neutral(reading.words, case.policy.transfer.neutral_words)):
            return None
        return _proposal(_OWN, _ACCOUNT_NAMED, "transfer_own_account_named", "The text names another own account.")
    confidence = _ACCOUNT_AND_ENTRY if named else _trust_in(entry, reading, case)
    text = "Another own account shows the same amount the other way."
    return _proposal(_OWN, confidence, "transfer_counterpart", text, entry) if confidence else None


class Transfer:
    """Proposes `transfer.*`; a person confirms."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """One proposal, or None."""
        found = find_transfer(case)
        return found if found is not None and found.target in case.chart else None


def _trust_in(entry: Charge, reading: Reading, case: Case) -> int:
    """How far an opposite entry is trusted when no word speaks of a transfer; 0 when the text names somebody else."""
    neutral = case.policy.transfer.neutral_words
    if is_neutral(tuple(word for word in reading.words if len(word) > _SHORT), neutral):
        return _NEUTRAL_AND_ENTRY
    debts = reading.hits.get("debt", ())
    if any(hit.rule.target == "debt.credit_card" for hit in debts):
        return _NEUTRAL_AND_ENTRY  # the bill of the owner's own card, both sides of which are stored
    telling = {word for word in reading.words if word not in neutral and not word.isdecimal()}
    # the owner's own reference on both sides; a payee's name stands on one side alone
    if telling and telling <= set(words_of(entry.descriptor)):
        return _SHARED_REFERENCE
    return _PLAIN_OTHER_SIDE if _other_side_is_plain(entry, reading, case) else 0


def _other_side_is_plain(entry: Charge, reading: Reading, case: Case) -> bool:
    """Whether the opposite entry, a day away at most, names nobody either and no word tells what this one was for."""
    if not reading.hits.keys().isdisjoint(("category", "refund", "income", "debt", "investment")):
        return False
    apart = date.fromisoformat(entry.booked_on) - date.fromisoformat(case.facts.booked_on)
    words = tuple(word for word in words_of(entry.descriptor) if len(word) > _SHORT)
    return abs(apart.days) <= 1 and is_neutral(words, case.policy.transfer.neutral_words)


def _proposal(target: str, confidence: int, code: str, rationale: str, entry: Charge | None = None) -> Proposal:
    return Proposal(NAME, target, confidence, code, rationale, (entry.transaction_id,) if entry else ())
