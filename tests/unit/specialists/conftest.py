"""One classified sample statement for the whole run; each test opens a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.specialists.ledgers import AskedLedger, classify_sample, opened


@pytest.fixture(scope="session")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classify_sample(tmp_path_factory.mktemp("classified"))


@pytest.fixture
async def sample(classified: Path, tmp_path: Path) -> AsyncIterator[AskedLedger]:
    """The sample statement, January to March 2026, asked about on 31 March."""
    store = opened(Path(shutil.copy(classified, tmp_path / "sample.db")))
    yield AskedLedger(store, accounts=("acc-card", "acc-current", "acc-savings"))
    await store.close()


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[AskedLedger]:
    """A ledger without a transaction, for tests that book their own."""
    store = opened(tmp_path / "empty.db")
    yield AskedLedger(store)
    await store.close()
