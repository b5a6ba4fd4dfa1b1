"""What was said before, as far as understanding the next message needs it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final, NamedTuple

from shared.conversation.intent import INTENTS, Intent, Slots

WISH: Final = "wish"
"""`Context.asked` when our last reply asked whether the pending intent is wanted at all ("Shall I transfer ...?")."""

_NONE: Final[Mapping[str, str | int | bool]] = MappingProxyType({})
_WHICH: Final = frozenset({"merchant", "transaction_id"})
"""Slots of which one is enough."""


class Context(NamedTuple):
    """today: the tenant's day. currency: its base currency, "" unknown. categories: the names in its chart.

    pending: the intent that is still talked about: slots are missing, its card is open, or we asked whether it is
    wanted. asked: the slot that our last reply asked for, `WISH`, or "". recent: what earlier intents of this
    conversation settled and a wish may lean on: `account_type` is the account last talked about. waiting: whether the
    pending wish waits for a signature, so that to say it again is no new wish. question: the last one about the ledger,
    which "and on fuel?" goes on with.
    """

    today: date
    currency: str = ""
    categories: tuple[str, ...] = ()
    pending: Intent | None = None
    asked: str = ""
    recent: Slots = _NONE
    waiting: bool = True
    question: Intent | None = None

    @property
    def expects_money(self) -> bool:
        """Whether a bare number is an amount: the intent that is talked about needs one."""
        return self.pending is not None and "amount_minor" in INTENTS[self.pending.name].needs


def intent_of(name: str, slots: Slots, unclear: tuple[str, ...] = ()) -> Intent:
    """The intent with these slots, and what it still needs. Re-categorising needs to know what, one way or another.

    unclear: further slots that were named in a way that left them open: they are asked for too, until named.
    """
    missing = tuple(dict.fromkeys(slot for slot in (*INTENTS[name].needs, *unclear) if slot not in slots))
    which = slots.keys() & _WHICH
    if which:
        missing = tuple(slot for slot in missing if slot not in _WHICH)
    elif name == "recategorise" and not _WHICH & set(missing):
        missing += ("merchant",)
    return Intent(name, slots, missing)
