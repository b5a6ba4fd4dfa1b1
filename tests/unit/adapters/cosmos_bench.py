"""A Cosmos DB store over its double, for tests of what only this adapter does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azure import cosmos_calls
from shared.adapters.azure.document_store import CosmosDocumentStore
from shared.ports.document_store import Document, Schemas
from tests.conformance.adapters import KINDS, Clock
from tests.doubles.cosmos import CosmosDouble, running
from tests.doubles.cosmos_requests import KEY
from tests.doubles.cosmos_served import Served


class CosmosBench:
    """`store` and `served`, the container under it. `open` gives further stores over the same container."""

    def __init__(self, folder: Path, account: CosmosDouble | None = None) -> None:
        self.account = account or running()
        self.database = f"{folder.parent.name}-{folder.name}"
        self.served: Served = self.account.container(self.database)
        self.clock = Clock()
        self._opened: list[CosmosDocumentStore] = []
        self.store = self.open()

    def open(self, **changes: Any) -> CosmosDocumentStore:
        told: dict[str, Any] = {
            "endpoint": self.account.endpoint,
            "database": self.database,
            "container": "documents",
            "credential": KEY,
            "schemas": Schemas(KINDS),
            "now": self.clock,
        }
        self._opened.append(CosmosDocumentStore(**(told | changes)))
        return self._opened[-1]

    def stored(self, document_id: str, partition: str = "smith") -> dict[str, Any] | None:
        """The item as it lies in the container."""
        return self.served.items.partitions.get(partition, {}).get(document_id)

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


def run(name: str, body: dict[str, Any] | None = None, **more: Any) -> Document:
    return Document("smith", f"run:{name}", "run", body if body is not None else {"name": name}, **more)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Sets what one attempt and what a whole call may take, in seconds."""

    def set_to(attempt: float, budget: float) -> None:
        monkeypatch.setattr(cosmos_calls, "ATTEMPT_SECONDS", attempt)
        monkeypatch.setattr(cosmos_calls.CosmosCalls.call, "__kwdefaults__", {"budget_seconds": budget, "or_on": ()})

    return set_to
