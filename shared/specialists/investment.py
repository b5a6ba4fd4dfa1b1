"""Securities, funds, crypto assets and retirement plans: what is bought, sold, paid for or earned there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.guard.decision import Proposal
from shared.specialists.reading import lane_hit

if TYPE_CHECKING:
    from shared.specialists.specialist import Case, Opinions

NAME: Final = "investment"
_CODE_CONFIDENCE: Final = 8000


def find_investment(case: Case) -> Proposal | None:
    """What speaks for an asset, whatever the chart. A broker's merchant code speaks where no word does."""
    if case.facts.amount_minor == 0:
        return None
    hit = lane_hit(case, NAME)
    if hit is not None:
        return _proposal(hit.rule.target, hit.rule.confidence_bp, "investment_words", hit.term)
    found = case.policy.mcc.get(case.facts.mcc)
    if found is not None and found[0].startswith("investment."):
        return _proposal(found[0], _CODE_CONFIDENCE, "lane_mcc", case.facts.mcc)
    return None


class Investment:
    """Proposes `investment.*`; a person confirms."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """One proposal, or None."""
        found = find_investment(case)
        return found if found is not None and found.target in case.chart else None


def _proposal(target: str, confidence: int, code: str, said: str) -> Proposal:
    return Proposal(NAME, target, confidence, code, f'The statement says "{said}".', (said,))
