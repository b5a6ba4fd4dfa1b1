"""Whether a wish that a model voices is the person's own: what it is about must be in the person's own words.

A model reads merchants' texts, notes and earlier replies; whatever stands there, an amount, a recipient or a merchant
that no person has named never becomes an action. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.conversation.amounts import amounts_in
from shared.conversation.intent import Intent

SPOKEN = ("recipient", "merchant", "transaction_id", "note", "text")
"""Slots whose words must have been said. The others are taken from closed lists, which the guard checks."""


def ungrounded(intent: Intent, spoken: Sequence[str], *, currency: str) -> str:
    """The first slot of a wish that the person has not voiced, "" when all are.

    spoken: the person's own words, the newest message and some before it. currency: the tenant's base currency.
    """
    if "amount_minor" in intent.slots:
        wished = (intent.slots["amount_minor"], intent.slots.get("currency", currency))
        named = {
            (found.money.minor, found.money.currency)
            for text in spoken
            for found in amounts_in(text, home=currency, expected=True)
            if not found.money.problem
        }
        if wished not in named:
            return "amount_minor"
    said = " \n ".join(_plain(text) for text in spoken)
    return next((slot for slot in SPOKEN if slot in intent.slots and _plain(str(intent.slots[slot])) not in said), "")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
