"""An advisor answers one kind of question about a tenant's own ledger, or turns one kind of wish into an exact action.

It has no authority: a wish is judged by the guard like anybody's. It sees nothing but what the reader gives it, and
what it reads there (merchants' names, notes) is data, whatever it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from shared.conversation.intent import Intent
from shared.specialists.ledger_reader import LedgerReader


class Wish(NamedTuple):
    """An action in full. why: one sentence for the person who decides. evidence: lines that support it."""

    action: str
    arguments: Mapping[str, Any]
    why: str
    evidence: tuple[str, ...] = ()


class Advice(NamedTuple):
    """What an advisor says.

    text: plain sentences for the person, complete without a model. facts: the same as JSON (money in `_minor` with its
    currency, no floats), for a model to phrase. mentions: ids of the transactions it tells of, at most 50. evidence:
    where the figures come from. wish: what the person asked to be done. asks: the slot that the text asks for, when it
    is a question back.
    """

    text: str
    facts: Mapping[str, Any]
    mentions: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    wish: Wish | None = None
    asks: str = ""


class Advisor(Protocol):
    """name: as a stage is named."""

    @property
    def name(self) -> str: ...

    async def advise(self, intent: Intent, ledger: LedgerReader) -> Advice:
        """Answer `intent`, whose needed slots are all there. Raises only what the store raises."""
        ...
