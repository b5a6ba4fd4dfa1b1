"""Payments for borrowed money, and how burdensome that borrowing is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from shared.guard.decision import Proposal
from shared.specialists.reading import lane_hit, reading_of

if TYPE_CHECKING:
    from shared.specialists.specialist import Case, Opinions

NAME: Final = "debt"
QUALITY: Final[Mapping[str, str]] = {
    "debt.mortgage": "secured",
    "debt.vehicle": "secured",
    "debt.student": "unsecured",
    "debt.personal": "unsecured",
    "debt.pay_later": "unsecured",
    "debt.credit_card": "revolving",
    "debt.line_of_credit": "revolving",
    "debt.high_cost": "high_cost",
    "debt.collection": "high_cost",
}
"""Secured by a thing, unsecured, revolving, or a sign of distress: costly short credit and debt collection."""


def find_debt(case: Case) -> Proposal | None:
    """What speaks for a payment on credit, whatever the chart. Insurance and advice around credit are not that."""
    if case.facts.amount_minor >= 0:
        return None
    hit = lane_hit(case, NAME)
    if hit is None:
        return None
    for other in reading_of(case).hits.get("category", ()):
        if other.rule.target.startswith("finance.") and other.words >= hit.words:
            return None
    quality = QUALITY.get(hit.rule.target, "unsecured")
    text = f'The text says "{hit.term}": {quality.replace("_", " ")} credit.'
    return Proposal(NAME, hit.rule.target, hit.rule.confidence_bp, "debt_words", text, (f"quality:{quality}", hit.term))


class Debt:
    """Proposes `debt.*` with `quality:...` as evidence; a person confirms."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """One proposal for money that leaves, or None."""
        found = find_debt(case)
        return found if found is not None and found.target in case.chart else None
