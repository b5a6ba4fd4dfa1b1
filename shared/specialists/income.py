"""Money earned: the words of an employer, office, tenant or client, or a payer who pays at a steady interval."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from shared.guard.decision import Proposal
from shared.specialists.reading import lane_hit, reading_of
from shared.specialists.transfer import find_transfer

if TYPE_CHECKING:
    from shared.guard.lexicon import Hit, Reading
    from shared.specialists.specialist import Case, Opinions

NAME: Final = "income"
_REGULAR_CONFIDENCE: Final = 7000
_LEAST_PAYMENTS: Final = 3
_INTERVALS: Final = ((6, 8), (13, 16), (26, 35))
"""Weekly, every second week, monthly: days between two payments, with room for weekends."""
_PLAIN: Final = frozenset({"income.salary", "income.benefits", "income.tax_refund"})
"""Words for these are plain enough to stand beside a word of the securities trade: a bank pays wages too."""
_MOVED: Final = 5000
_NEAR: Final = 10
"""Amounts are similar within one part in ten."""


class Income:
    """Proposes `income.*` for money that comes in; a person confirms."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """One proposal, or None: what came back, what was borrowed and what was the owner's before is not income."""
        if case.facts.amount_minor <= 0:
            return None
        reading = reading_of(case)
        hit = lane_hit(case, NAME)
        if _not_earned(case, reading, hit):
            return None
        if hit is not None:
            if hit.rule.target not in case.chart:
                return None
            return Proposal(
                NAME,
                hit.rule.target,
                hit.rule.confidence_bp,
                "income_words",
                f'The text says "{hit.term}".',
                (hit.term,),
            )
        return _regular(case)


def _not_earned(case: Case, reading: Reading, hit: Hit | None) -> bool:
    """A longer income term covers shorter ones inside it ("tax refund"); what is left beside it speaks against it."""
    against = reading.best("refund", case.facts.amount_minor)
    if against is not None and (hit is None or against.words >= hit.words):
        return True
    if hit is None or hit.rule.target not in _PLAIN:
        rival = reading.best("investment", case.facts.amount_minor)
        if rival is not None and (hit is None or rival.words >= hit.words):
            return True
    moved = find_transfer(case)
    return moved is not None and moved.confidence_bp >= _MOVED


def _regular(case: Case) -> Opinions:
    """A payer without telling words who has paid similar amounts three times or more at one steady interval."""
    if "income.other" not in case.chart or case.facts.mcc:
        return None
    amount = case.facts.amount_minor
    paid = [
        charge
        for charge in case.knowledge.charges
        if charge.amount_minor > 0
        and charge.currency == case.facts.currency
        and abs(charge.amount_minor - amount) * _NEAR <= amount
    ]
    if len(paid) < _LEAST_PAYMENTS:
        return None
    days = [date.fromisoformat(charge.booked_on) for charge in paid] + [date.fromisoformat(case.facts.booked_on)]
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    if not any(all(low <= gap <= high for gap in gaps) for low, high in _INTERVALS):
        return None
    text = f"{len(paid)} similar amounts came from this payer at a steady interval."
    return Proposal(NAME, "income.other", _REGULAR_CONFIDENCE, "income_regular", text)
