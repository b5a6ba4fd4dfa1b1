"""What a specialist is, and what it is given. A specialist proposes; it has no authority and imports no action."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shared.guard.decision import Concern, Proposal

if TYPE_CHECKING:
    from shared.contracts.transactions import TransactionFacts
    from shared.guard.policy import Policy

Opinion = Proposal | Concern
Opinions = Opinion | tuple[Opinion, ...] | None


class Charge(NamedTuple):
    """An earlier transaction, as far as a specialist needs it. booked_on: `YYYY-MM-DD`; amount_minor is signed."""

    transaction_id: str
    account: str
    booked_on: str
    amount_minor: int
    currency: str
    descriptor: str = ""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the tenant's own ledger knows that bears on this transaction: bounded, read in one round trip.

    own_accounts: the tenant's accounts. counterparts: other transactions with the same absolute amount and currency
    booked within a few days (at most 10). charges: this merchant's recent charges, oldest first (at most 24).
    merchant_amounts, category_amounts: earlier absolute amounts in this currency, oldest first (at most 32);
    category_amounts by category. memory: entries of `ledger.memory` by their keys, as stored.
    """

    own_accounts: frozenset[str] = frozenset()
    counterparts: tuple[Charge, ...] = ()
    charges: tuple[Charge, ...] = ()
    merchant_amounts: tuple[int, ...] = ()
    category_amounts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    memory: Mapping[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One transaction to judge. chart: the categories this tenant uses (detailed names). merchant: the normalised
    descriptor (`ledger.descriptor`)."""

    facts: TransactionFacts
    merchant: str
    knowledge: Knowledge
    policy: Policy
    chart: frozenset[str]


class Specialist(Protocol):
    """One file in this folder and one line in `registry.py`.

    `propose` is a plain function (a rule or a statistic: must be quick, runs in line) or a coroutine function (a model:
    runs beside the others under `timeout_seconds` and `concurrency`). None means: nothing to say.
    """

    @property
    def name(self) -> str: ...

    @property
    def timeout_seconds(self) -> float: ...

    @property
    def concurrency(self) -> int: ...

    def propose(self, case: Case) -> Opinions | Awaitable[Opinions]: ...
