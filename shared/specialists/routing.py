"""Which lane a transaction goes to: the first of a fixed order of questions that is answered yes. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.specialists.anomaly import alarming, instructs
from shared.specialists.categorization import rules_conflict
from shared.specialists.debt import find_debt
from shared.specialists.investment import find_investment
from shared.specialists.reading import reading_of
from shared.specialists.transfer import find_transfer

if TYPE_CHECKING:
    from shared.specialists.specialist import Case

_PAY: Final = "income.salary"


def lane_of(case: Case, *, conflict: bool | None = None) -> str:
    """The lane's name. Order: conflicting rules, alarming text, transfer, investment, debt, income, the rest.

    conflict: whether rules disagree, where somebody else has found out; None to look here.
    """
    if (rules_conflict(case) if conflict is None else conflict) or instructs(case) or alarming(case) is not None:
        return "anomaly"
    if find_transfer(case) is not None:
        return "transfer"
    if find_investment(case) is not None:
        return "investment"
    if find_debt(case) is not None or _borrowed(case):
        return "debt"
    if _comes_in(case) or _speaks_of_income(case):
        return "income"
    return "categorization"


def _comes_in(case: Case) -> bool:
    """Money that comes in. For a tenant whose own chart knows no income it is one of its purchases given back, unless
    the text says otherwise."""
    if case.facts.amount_minor <= 0:
        return False
    return _knows_income(case.chart) or "income" in reading_of(case).hits


@lru_cache(maxsize=256)
def _knows_income(chart: frozenset[str]) -> bool:
    return any(name.startswith("income.") for name in chart)


def _borrowed(case: Case) -> bool:
    """Money received as a loan: the debt lane's person looks at it, though nothing is paid yet."""
    if case.facts.amount_minor <= 0:
        return False
    hits = reading_of(case).hits
    return any(hit.rule.target == "borrowed" and (hit.words > 1 or "debt" in hits) for hit in hits.get("refund", ()))


def _speaks_of_income(case: Case) -> bool:
    """Money that leaves under a word for pay, with no purchase in sight: a wage taken back, or paid to somebody."""
    hits = reading_of(case).hits
    if case.facts.mcc or "category" in hits or "store" in hits:
        return False
    sure = case.policy.thresholds.rule_conflict_bp
    return any(hit.rule.target == _PAY and hit.rule.confidence_bp >= sure for hit in hits.get("income", ()))
