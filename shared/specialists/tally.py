"""What was spent, from rows of the ledger: per currency, refunds netted, and what nobody has decided counted apart.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from shared.specialists.ledger_reader import Row
from shared.specialists.selection import OWN_MONEY, belongs, branch, kind, meant, own_moves

_NO_REFUND: Final = frozenset({"income", "transfer", "investment"})
"""What comes in under these branches is no purchase undone."""


class Wanted(NamedTuple):
    """category: "" for all spending, a category or a branch. merchant: whether the rows are one merchant's: then all of
    them count, whatever anybody has decided."""

    category: str = ""
    merchant: bool = False


@dataclass(slots=True)
class Tally:
    """In one currency; amounts are positive minor units. out: paid. back: what came back. waiting: out, but undecided;
    waiting_in: came in, undecided, perhaps a refund. aside: moved to own accounts or invested, so not spent. of each
    the number of transactions. by_branch: out less back. mentions: ids of what was counted, newest first."""

    out_minor: int = 0
    back_minor: int = 0
    waiting_minor: int = 0
    waiting_in_minor: int = 0
    aside_minor: int = 0
    outs: int = 0
    backs: int = 0
    waiting: int = 0
    waiting_in: int = 0
    aside: int = 0
    by_branch: dict[str, int] = field(default_factory=dict)
    mentions: list[str] = field(default_factory=list)

    @property
    def net_minor(self) -> int:
        """What was spent, refunds taken off."""
        return self.out_minor - self.back_minor

    @property
    def counted(self) -> int:
        """Transactions in the figure."""
        return self.outs + self.backs

    def facts(self, currency: str) -> dict[str, Any]:
        """As JSON."""
        return {
            "currency": currency,
            "net_minor": self.net_minor,
            "out_minor": self.out_minor,
            "back_minor": self.back_minor,
            "transactions": self.counted,
            "waiting_for_review": {"transactions": self.waiting, "out_minor": self.waiting_minor},
            "waiting_incoming": {"transactions": self.waiting_in, "in_minor": self.waiting_in_minor},
            "not_spending": {"transactions": self.aside, "out_minor": self.aside_minor},
            "by_branch": [
                {"branch": name, "net_minor": amount}
                for name, amount in sorted(self.by_branch.items(), key=lambda one: (-one[1], one[0]))
            ],
        }


def tallied(rows: Iterable[Row], wanted: Wanted, moved: frozenset[str] | None = None) -> Mapping[str, Tally]:
    """By currency. moved: ids of movements between own accounts, when more rows were looked through for them."""
    rows = list(rows)
    moved = own_moves(rows) if moved is None else moved
    tallies: dict[str, Tally] = {}
    for row in rows:
        if not wanted.category or belongs(meant(row), wanted.category):
            _count(tallies.setdefault(row.currency, Tally()), row, wanted, is_own=row.transaction_id in moved)
    return tallies


def _count(tally: Tally, row: Row, wanted: Wanted, *, is_own: bool) -> None:
    amount, category = abs(row.amount_minor), meant(row)
    everything = not wanted.category and not wanted.merchant
    if everything and (is_own or category in OWN_MONEY or kind(category) == "investment"):
        if row.amount_minor < 0:
            tally.aside += 1
            tally.aside_minor += amount
        return
    if row.is_open:
        _count_open(tally, row, amount, may_count=bool(wanted.category) or not _is_earned(category))
        if not wanted.merchant:
            return
    if row.amount_minor < 0:
        tally.outs += 1
        tally.out_minor += amount
        tally.by_branch[branch(category)] = tally.by_branch.get(branch(category), 0) + amount
    elif wanted.category or not _is_earned(category):
        tally.backs += 1
        tally.back_minor += amount
        tally.by_branch[branch(category)] = tally.by_branch.get(branch(category), 0) - amount
    else:
        return
    tally.mentions.append(row.transaction_id)


def _count_open(tally: Tally, row: Row, amount: int, *, may_count: bool) -> None:
    if row.amount_minor < 0:
        tally.waiting += 1
        tally.waiting_minor += amount
    elif may_count:
        tally.waiting_in += 1
        tally.waiting_in_minor += amount


def _is_earned(category: str) -> bool:
    return kind(category) in _NO_REFUND or category == "debt.proceeds"
