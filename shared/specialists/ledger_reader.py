"""What an advisor may read: one tenant's own ledger, through bounded queries that are counted for each question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from shared.contracts.identity import run_id_of
from shared.ledger import transactions as ledger
from shared.ledger.descriptor import normalised
from shared.ports.document_store import MAX_PAGE, Body, Document, DocumentStore

MAX_PAGES = 10
"""Pages of `MAX_PAGE` documents that one question may cost."""


class Row(NamedTuple):
    """A transaction. amount_minor: below 0 is money out. category: as decided, "" while nobody has; suggested: what
    the specialists thought. merchant: the descriptor without what differs from charge to charge. decision_version: an
    action names it, so that it changes what was looked at and nothing newer. reasons: the decision's codes."""

    transaction_id: str
    booked_on: str
    amount_minor: int
    currency: str
    descriptor: str
    merchant: str
    account: str
    category: str
    suggested: str
    review_state: str
    decided_by: str
    decision_version: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet what it was for."""
        return self.review_state in ("NeedsReview", "Unclassified")


class Found(NamedTuple):
    """complete: False when the question's pages were used up before the end; what is missing is the oldest."""

    rows: tuple[Row, ...]
    complete: bool


class Explained(NamedTuple):
    """A transaction's whole document body, and the audit records of the runs that decided it, oldest first."""

    transaction: Body
    records: tuple[Body, ...]


def every(row: Row) -> bool:
    """Wants every row."""
    return bool(row.transaction_id)


@dataclass(slots=True)
class LedgerReader:
    """One per question. today: in the tenant's time zone. currency: the tenant's base currency, "" unknown.
    chart: the tenant's categories. accounts: the tenant's own, as far as the profile knows them; paying_accounts:
    those that money may be sent from. pages_left: what the
    question may still cost."""

    store: DocumentStore
    partition: str
    today: date
    currency: str
    chart: frozenset[str]
    accounts: tuple[str, ...] = ()
    paying_accounts: tuple[str, ...] = ()
    pages_left: int = MAX_PAGES

    async def transactions(
        self,
        *,
        since: str = "",
        until: str = "",
        wanted: Callable[[Row], bool] = every,
        most: int | None = None,
    ) -> Found:
        """Those booked from `since` to before `until` (ISO days, "" for open), newest first, that are `wanted`.
        most: enough of them, None to read to the end."""
        rows: list[Row] = []
        cursor = ""
        limit = min(MAX_PAGE, most) if most and wanted is every else MAX_PAGE
        while most is None or len(rows) < most:
            if not self._may_read():
                return Found(tuple(rows), complete=False)
            page = await self.store.query(
                self.partition, "transaction", low=since, high=until, descending=True, limit=limit, cursor=cursor
            )
            rows += [row for row in map(row_of, page.documents) if wanted(row)]
            cursor = page.cursor
            if not cursor:
                break
        return Found(tuple(rows[:most]), complete=True)

    async def of_amount(self, amount_minor: int, currency: str, *, since: str = "", until: str = "") -> Found:
        """Those of exactly this size, in or out, newest first: one page, whatever the size of the ledger."""
        if not self._may_read():
            return Found((), complete=False)
        key = ("amount", ledger.amount_key(currency, amount_minor))
        page = await self.store.query(
            self.partition, "transaction", key=key, low=since, high=until, descending=True, limit=MAX_PAGE
        )
        return Found(tuple(row_of(document) for document in page.documents), complete=not page.cursor)

    async def transaction(self, transaction_id: str) -> Row | None:
        """One transaction; None when there is none (any more) of this id."""
        stored = await self._stored(transaction_id)
        return row_of(stored) if stored else None

    async def explained(self, transaction_id: str) -> Explained | None:
        """How a transaction was decided, by the specialists and the guard, and by people after them. One query for the
        run that decided last, and where that was a person's two more for those that classified before."""
        stored = await self._stored(transaction_id)
        if stored is None:
            return None
        records: dict[int, Body] = {}
        for run_id in self._runs_of(stored.body):
            if not self._may_read():
                break
            page = await self.store.query(self.partition, "audit", key=("run", run_id), limit=20)
            records |= {document.body["sequence"]: document.body for document in page.documents}
        return Explained(stored.body, tuple(records[sequence] for sequence in sorted(records)))

    def _runs_of(self, body: Body) -> list[str]:
        """The run of the last decision first. One transaction is classified by one command, of two possible ids."""
        facts = body["facts"]
        classifying = (
            ledger.classify_command_id(self.partition, facts["transaction_id"]),
            ledger.row_command_id(self.partition, facts),
        )
        told = [body["run_id"], *(run_id_of(self.partition, one) for one in classifying)]
        runs = [run_id for run_id in dict.fromkeys(told) if run_id]
        return runs if body["decided_by"] == "person" or body["reviewed_by"] else runs[:1]

    async def _stored(self, transaction_id: str) -> Document | None:
        stored = await self.store.read(self.partition, ledger.transaction_doc_id(transaction_id))
        return stored if stored and stored.body["review_state"] != ledger.ERASED else None

    async def budgets(self) -> tuple[Body, ...]:
        """The tenant's monthly budgets, at most a page of them."""
        if not self._may_read():
            return ()
        page = await self.store.query(self.partition, "budget", limit=MAX_PAGE)
        return tuple(document.body for document in page.documents)

    def _may_read(self) -> bool:
        self.pages_left -= 1
        return self.pages_left >= 0


def row_of(document: Document) -> Row:
    """A `transaction` document as a row."""
    return row_of_body(document.body)


def row_of_body(body: Body) -> Row:
    """A `transaction`'s body as a row."""
    facts = body["facts"]
    return Row(
        facts["transaction_id"],
        facts["booked_on"],
        facts["amount_minor"],
        facts["currency"],
        facts["descriptor"],
        normalised(facts["descriptor"]) or facts["descriptor"],
        facts["account"],
        body["category"],
        body["suggested_category"],
        body["review_state"],
        body["decided_by"],
        body["decision_version"],
        tuple(body["reason_codes"]),
    )
