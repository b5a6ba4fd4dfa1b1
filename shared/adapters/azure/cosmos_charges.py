"""What Cosmos DB charges: requests and request units, per operation of the store and for whoever wants to know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Charges:
    """Totals by operation of the store ("read_many", "commit" ...).

    requests: HTTP requests that were answered, retries too. units: request units (`x-ms-request-charge`).
    """

    requests: Counter[str] = field(default_factory=Counter)
    units: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, operation: str, units: float) -> None:
        """One more request."""
        self.requests[operation] += 1
        self.units[operation] += units

    @property
    def total_units(self) -> float:
        """Request units of all operations."""
        return sum(self.units.values())


_counting: ContextVar[tuple[Charges, ...]] = ContextVar("cosmos_charges", default=())


@contextmanager
def counted() -> Iterator[Charges]:
    """What is charged inside the block, also by tasks that were started in it. Blocks may be nested."""
    charges = Charges()
    token = _counting.set((*_counting.get(), charges))
    try:
        yield charges
    finally:
        _counting.reset(token)


def charge(operation: str, units: float) -> None:
    """Tell every block that is open around the caller."""
    for charges in _counting.get():
        charges.add(operation, units)
