"""One container of the Cosmos DB double as a test sees it: what was asked of it, and the trouble it is told to make."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.doubles.cosmos_items import Container


class Trouble(NamedTuple):
    """What goes wrong the next `times`. operation: "" for any; see `Asked`.

    status: the answer instead of the work. in_batch: the status is that of the batch's first operation, under 207.
    drop: "before" the work or "after" it; the connection is closed without an answer. seconds: wait before the work.
    """

    operation: str = ""
    status: int = 0
    sub_status: int = 0
    retry_after_ms: int | None = None
    in_batch: bool = False
    drop: str = ""
    seconds: float = 0.0
    times: int = 1


class Asked(NamedTuple):
    """One request. operation: container, ranges, plan, query, read, create, upsert, replace, delete, batch."""

    operation: str
    status: int
    units: float
    partition: str | None


@dataclass
class Served:
    """`items` may be looked at and changed behind everybody's back."""

    items: Container
    asked: list[Asked] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def trouble(self, operation: str = "", **what: Any) -> None:
        """See `Trouble`."""
        self.troubles.append(Trouble(operation, **what))

    def count(self) -> Counter[str]:
        """How often each operation was asked for."""
        return Counter(one.operation for one in self.asked)

    def units(self) -> float:
        """What all of it was charged."""
        return sum(one.units for one in self.asked)

    def next_trouble(self, operation: str) -> Trouble:
        """What goes wrong this time."""
        for place, trouble in enumerate(self.troubles):
            if trouble.operation in ("", operation):
                if trouble.times > 1:
                    self.troubles[place] = trouble._replace(times=trouble.times - 1)
                else:
                    del self.troubles[place]
                return trouble
        return Trouble()
