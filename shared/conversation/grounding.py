"""Whether a wish that a model voices is the person's own. Pure.

A model reads merchants' texts, notes, quotations and earlier replies; whatever stands there never becomes an action.
A call counts as the person's wish when the grammar finds that wish in the person's own words, too. What the grammar
does not find, but could be meant, is put to the person as a question; what nobody has named is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from shared.conversation.amounts import amounts_in
from shared.conversation.context import intent_of
from shared.conversation.intent import Intent
from shared.conversation.marks import without_quotations

SPOKEN = ("recipient", "merchant", "transaction_id", "note", "text")
"""Slots whose words must have been said. The others are taken from closed lists, which the guard checks."""
_QUOTABLE = frozenset({"merchant", "transaction_id", "note", "text"})
_MONEY = ("amount_minor", "currency")
_HARMLESS = frozenset({"private"})
_LONGEST_CHOICE = 60
"""Characters of an entry of a closed list."""


def voiced_as(intent: Intent, own: Sequence[Intent]) -> Intent | None:
    """Which of the person's own wishes a model's call is, None when it is none of them."""
    return next((one for one in own if one.name == intent.name and _agree(intent, one)), None)


def together(intent: Intent, own: Intent) -> Intent:
    """A call and the person's own wish that it is; where both say something, the person does."""
    return intent_of(intent.name, {**intent.slots, **own.slots})


def beyond(intent: Intent, own: Intent | None) -> Intent:
    """What of a call the person's own wish does not say."""
    slots = {slot: value for slot, value in intent.slots.items() if own is None or slot not in own.slots}
    return intent._replace(slots=slots)


def ungrounded(intent: Intent, spoken: Sequence[str], *, currency: str) -> str:
    """The first slot of a wish that the person has not voiced, "" when all are.

    spoken: the person's own words, the newest message and some before it. currency: the tenant's base currency.
    """
    own = [without_quotations(text) for text in spoken]
    if "amount_minor" in intent.slots:
        wished = (intent.slots["amount_minor"], intent.slots.get("currency", currency))
        named = {
            (found.money.minor, found.money.currency)
            for text in own
            for found in amounts_in(text, home=currency, expected=True)
            if not found.money.problem
        }
        if wished not in named:
            return "amount_minor"
    for slot, value in intent.slots.items():
        if slot in SPOKEN and not any(_says(text, value) for text in (spoken if slot in _QUOTABLE else own)):
            return slot
        if slot not in SPOKEN and isinstance(value, str) and not _is_choice(value):
            return slot
    return ""


def _agree(called: Intent, own: Intent) -> bool:
    """Whether nothing in the call speaks against its being that wish."""
    return all(_agrees(slot, value, own.slots) for slot, value in called.slots.items())


def _agrees(slot: str, value: str | int | bool, own: Mapping[str, str | int | bool]) -> bool:
    if slot in SPOKEN:
        return slot not in own or _says(str(own[slot]), value) or _says(str(value), own[slot])
    if slot in _MONEY:
        return own.get(slot, value) == value
    return slot in own or slot in _HARMLESS


def _says(text: str, value: str | int | bool) -> bool:
    """Whether the words stand in the text, as whole words."""
    words = _plain(str(value))
    return bool(words) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", _plain(text)) is not None


def _is_choice(value: str) -> bool:
    return len(value) <= _LONGEST_CHOICE and value.isprintable()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
