"""Old transactions whose categories are known: what `POST /api/v1/history` takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.contracts.shape import Shape
from shared.contracts.transactions import TransactionFacts

MAX_HISTORY_ROWS = 1_000


class HistoryRow(Shape):
    """One transaction and the category that people gave it; the category must be in the tenant's chart."""

    transaction: TransactionFacts
    category: Annotated[str, Field(min_length=1, max_length=120)]


class HistoryImport(Shape):
    """Oldest first: of two labels for one merchant the later one weighs more."""

    rows: Annotated[list[HistoryRow], Field(min_length=1, max_length=MAX_HISTORY_ROWS)]
