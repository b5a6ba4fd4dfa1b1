"""The bench of the flows of cards. A module with a bench of its own overrides it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.unit.approvals.bench import approval_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = approval_bench(tmp_path)
    yield made
    await made.close()
