"""What people's earlier reviews of this merchant say. Semantic: it speaks up only when the guard's margin allows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.errors import ConfigurationError
from shared.guard.decision import Proposal
from shared.ledger.memory import recalled
from shared.ledger.memory_entries import memory_keys
from shared.ledger.memory_thresholds import MemoryThresholds

if TYPE_CHECKING:
    from shared.guard.policy import Policy
    from shared.specialists.specialist import Case, Opinions

NAME: Final = "merchant_memory"


@lru_cache(maxsize=16)
def _thresholds(named: tuple[tuple[str, int], ...]) -> MemoryThresholds:
    known = MemoryThresholds.__dataclass_fields__
    for name, _ in named:
        if name not in known:
            raise ConfigurationError(f"memory.{name}: no such threshold; they are {', '.join(known)}")
    return MemoryThresholds(**dict(named))


def memory_thresholds(policy: Policy) -> MemoryThresholds:
    """The policy's numbers for memory; what it does not name keeps its default. Unknown names are refused."""
    return _thresholds(tuple(policy.memory.items()))


class MerchantMemory:
    """Proposes what people chose for this merchant before, as names of the tenant's own chart."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """One proposal, or None when memory is empty or too mixed to speak. A label since removed is not proposed."""
        entries = case.knowledge.memory
        if not entries:
            return None
        facts = case.facts
        found = recalled(
            entries,
            keys=memory_keys(facts.descriptor, facts.account, facts.group),
            descriptor=facts.descriptor,
            amount_minor=facts.amount_minor,
            thresholds=memory_thresholds(case.policy),
        )
        if found is None or found.label not in case.chart:
            return None
        rationale = f"{found.agreeing} of {found.seen} earlier reviews at this level ({found.rule}) say so."
        return Proposal(
            NAME, found.label, found.confidence_bp, "memory_recalled", rationale, found.evidence[:8], found.runner_up_bp
        )
