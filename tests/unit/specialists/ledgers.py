"""The sample statement, classified by the flows that ship, and a reader whose round trips are counted."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.contracts.kinds import KINDS
from shared.conversation.intent import Intent
from shared.ledger import transactions as ledger
from shared.ports.document_store import Document, Page, Schemas
from shared.specialists.advisor import Advice
from shared.specialists.advisors import ADVISORS
from shared.specialists.ledger_reader import LedgerReader
from tests.bench import START, facts
from tests.unit.flows.bench import TENANT, deliver, money_bench, policy, upload

STATEMENT = Path(__file__).parents[3] / "samples" / "statement.csv"
TODAY = date(2026, 3, 31)
CHART = policy().chart
DECIDED = {"review_state": "Reviewed", "decided_by": "person", "confidence_bp": 10_000, "decision_version": 1}


class CountingStore:
    """A store that counts what is asked of it."""

    def __init__(self, store: SqliteDocumentStore) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    async def read(self, partition: str, document_id: str) -> Document | None:
        self.asked["read"] += 1
        return await self._store.read(partition, document_id)

    async def query(self, partition: str, kind: str, **wanted: Any) -> Page:
        self.asked["query"] += 1
        return await self._store.query(partition, kind, **wanted)


class AskedLedger:
    """A tenant's ledger on disk, and what questions about it cost."""

    def __init__(self, store: SqliteDocumentStore, *, today: date = TODAY, accounts: Sequence[str] = ()) -> None:
        self.store, self.today, self.accounts = store, today, tuple(accounts)
        self.paying: tuple[str, ...] = ()
        self.chart = CHART
        self.asked: Counter[str] = Counter()

    async def ask(self, name: str, **slots: str | int | bool) -> Advice:
        """The advice on one intent, by the advisor that is registered for it; `asked` then holds its round trips."""
        counting = CountingStore(self.store)
        store: Any = counting
        reader = LedgerReader(store, TENANT, self.today, "EUR", self.chart, self.accounts, self.paying)
        advice = await ADVISORS[name].advise(Intent(name, slots), reader)
        self.asked = counting.asked
        return advice

    async def book(self, *rows: Mapping[str, Any]) -> None:
        """Stores transactions as if people had decided on them: `facts` with `category` and what else a body has."""
        documents = []
        for number, row in enumerate(rows):
            told = {"transaction_id": f"t-{number + 1:04d}", **row}
            category = told.pop("category", "")
            state = {name: told.pop(name) for name in list(told) if name not in facts()}
            body = ledger.unclassified(TENANT, facts(**told), at="", ingestion_id="i", run_id="").body
            decided = DECIDED if category else {"review_state": "NeedsReview"}
            documents.append(ledger.transaction_document(TENANT, {**body, **decided, "category": category, **state}))
        for start in range(0, len(documents), 100):
            await self.store.commit(TENANT, documents[start : start + 100])


def opened(path: Path) -> SqliteDocumentStore:
    """The store in this file."""
    schemas = Schemas({name: kind.schema_version for name, kind in KINDS.items()})
    return SqliteDocumentStore(path, schemas=schemas, now=lambda: START, executor="inline")


def classify_sample(folder: Path) -> Path:
    """Runs the sample statement through ingestion and classification; the file that then holds the ledger."""

    async def run() -> None:
        bench = money_bench(folder)
        await upload(bench, *sample_rows())
        await deliver(bench)
        await bench.close()

    asyncio.run(run())
    return folder / "store.db"


def sample_rows() -> list[dict[str, Any]]:
    """The sample statement as transactions' facts."""
    with STATEMENT.open(encoding="utf-8") as file:
        return [
            {
                "transaction_id": row["transaction_id"],
                "account": row["account"],
                "booked_on": row["booked_on"],
                "amount_minor": round(float(row["amount"]) * 100),
                "currency": row["currency"],
                "descriptor": row["descriptor"],
                "mcc": row["mcc"],
            }
            for row in csv.DictReader(file)
        ]
