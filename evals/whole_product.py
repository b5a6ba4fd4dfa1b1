"""What the product would decide alone: memory's word, the other specialists' concerns and the guard. No host, no store.

The earlier rows are history, taught as an import teaches them; the later ones are judged in date order. Of those memory
learns nothing; the merchant's recent charges do grow with them, as they do in the product, which looks at them to find
repeated and unusual amounts. A stored-transaction look-up for the two legs of a transfer is done over all rows.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from evals.memory_rows import Row
from shared.contracts.transactions import TransactionFacts
from shared.guard.evaluate import evaluate
from shared.guard.policy import Policy, for_tenant
from shared.ledger import transactions as ledger
from shared.ledger.descriptor import normalised
from shared.ledger.memory import Entry
from shared.specialists.registry import specialists_for
from shared.specialists.routing import lane_of
from shared.specialists.runner import Limits, propose_all
from shared.specialists.specialist import Case, Charge, Knowledge

COUNTERPART_DAYS = (-5, 6)
MAX_COUNTERPARTS = 10
ENOUGH_TO_TELL = 1_000


class Decided(NamedTuple):
    """alone: decided without a person. agrees: with the file's label. code: the first reason."""

    row: Row
    alone: bool
    agrees: bool
    code: str


class Ledger:
    """The documents of the product's ledger, as far as specialists are told of them."""

    def __init__(self, rows: Sequence[Row], currency: str) -> None:
        self._currency = currency
        self._merchants: dict[str, dict[str, Any]] = {}
        self._accounts: dict[str, Any] | None = None
        self._sizes: dict[int, list[tuple[int, Charge]]] = defaultdict(list)
        for at, row in enumerate(rows):
            facts = self.facts(at, row)
            charge = Charge(facts["transaction_id"], row.account, row.booked_on, facts["amount_minor"], currency)
            day = date.fromisoformat(row.booked_on).toordinal()
            self._sizes[abs(row.amount_minor)].append((day, charge))

    def facts(self, at: int, row: Row) -> dict[str, Any]:
        return {
            "transaction_id": f"row-{at}",
            "account": row.account or "main",
            "booked_on": row.booked_on,
            "amount_minor": row.amount_minor,
            "currency": self._currency,
            "descriptor": row.descriptor,
            "mcc": "",
            "group": row.group,
        }

    def add(self, facts: dict[str, Any]) -> None:
        id_ = ledger.merchant_doc_id(facts["descriptor"], facts["currency"])
        self._merchants[id_] = ledger.charged(self._merchants.get(id_), facts)
        self._accounts = ledger.with_accounts(self._accounts, {facts["account"]}) or self._accounts

    def knowledge(self, facts: dict[str, Any], memory: Mapping[str, Entry]) -> Knowledge:
        merchant = self._merchants.get(ledger.merchant_doc_id(facts["descriptor"], facts["currency"]))
        charges = merchant["charges"] if merchant else ()
        accounts = frozenset(self._accounts["accounts"] if self._accounts else ())
        return Knowledge(
            own_accounts=accounts,
            counterparts=self._counterparts(facts) if len(accounts) > 1 else (),
            charges=tuple(Charge(currency=self._currency, **charge) for charge in charges),
            merchant_amounts=tuple(merchant["amounts"]) if merchant else (),
            memory=memory,
        )

    def _counterparts(self, facts: dict[str, Any]) -> tuple[Charge, ...]:
        day = date.fromisoformat(facts["booked_on"]).toordinal()
        first, end = COUNTERPART_DAYS
        near = [one for at, one in self._sizes[abs(facts["amount_minor"])] if first <= at - day < end]
        return tuple(one for one in near if one.transaction_id != facts["transaction_id"])[:MAX_COUNTERPARTS]


def usual_limit(rows: Sequence[Row]) -> int:
    """As `local run` sets it: the amount that 995 of 1,000 rows of history do not exceed; 0 where too few can tell."""
    if len(rows) < ENOUGH_TO_TELL:
        return 0
    return sorted(abs(row.amount_minor) for row in rows)[len(rows) * 995 // 1000]


async def judged(
    policy: Policy, entries: Mapping[str, Entry], history: Sequence[Row], new: Sequence[Row], currency: str
) -> list[Decided]:
    """The decisions on `new`, of a tenant whose chart is the labels of its file."""
    rows = [*history, *new]
    limit = usual_limit(history)
    own, chart = for_tenant(policy, "own", {currency: limit} if limit else {}), frozenset(row.label for row in rows)
    books, limits = Ledger(rows, currency), Limits()
    for at, row in enumerate(history):
        books.add(books.facts(at, row))
    decided = []
    for at, row in enumerate(new, start=len(history)):
        told = books.facts(at, row)
        known = books.knowledge(told, {key: entries[key] for key in row.keys if key in entries})
        case = Case(TransactionFacts.model_construct(**told), normalised(row.descriptor), known, own, chart)
        lane = lane_of(case)
        answers = await propose_all(case, specialists_for(lane, own), limits=limits, clock=time.monotonic)
        said = evaluate(
            lane=lane, answers=answers, facts=case.facts, policy=own, chart=chart, previous_state="Unclassified"
        )
        books.add(told)
        alone = said.outcome == "Applied"
        decided.append(Decided(row, alone, said.category == row.label, said.reason_codes[0]))
    return decided


def show(policy: Policy, entries: Mapping[str, Entry], history: Sequence[Row], new: Sequence[Row], cur: str) -> None:
    """The table of the months, and what kept the rest, with how often its suggestion was right."""
    decided = asyncio.run(judged(policy, entries, history, new, cur))
    print(f"\nwhole product{'':7} {'rows':>6} {'decided alone %':>16} {'agreement %':>12}")
    for name in [*sorted({one.row.booked_on[:7] for one in decided}), "total"]:
        of = [one for one in decided if name in (one.row.booked_on[:7], "total")]
        alone = [one.agrees for one in of if one.alone]
        print(f"{name:20} {len(of):6} {100 * len(alone) / len(of):16.1f} {100 * sum(alone) / max(1, len(alone)):12.1f}")
    waiting = Counter(one.code for one in decided if not one.alone)
    right = Counter(one.code for one in decided if not one.alone and one.agrees)
    for code, number in waiting.most_common():
        print(f"  {code:34} {number:6} {100 * number / len(decided):6.1f} %, suggestion right {right[code]:6}")
