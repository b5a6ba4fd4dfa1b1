"""What the conversation itself says: asking back, help, what becomes of a wish. Plain sentences, no markup. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from shared.contracts.currencies import EXPONENTS
from shared.conversation.intent import Intent

HELP: Final = (
    "I can tell you what you spent, on what and when, and compare it with before; find transactions and explain how "
    "they were decided; say how your budgets and your cash stand. You can ask me to re-categorise transactions, set a "
    "budget, transfer money, change your notifications, draft a message or export a statement: what needs somebody's "
    "signature waits for it on a card."
)
GOODBYE: Final = "Goodbye. What waits for a signature goes on waiting without us."
SMALL_TALK: Final = "I am here when you need something."
NOTHING_TO_AFFIRM: Final = "There is nothing open that a yes could be about. What shall I do?"
CARDS_ARE_SIGNED: Final = (
    "A yes in the conversation signs nothing: the card that is open is answered on the card itself."
)
DROPPED: Final = "All right, I leave it. Nothing was done."
NOTHING_ASKED_FOR: Final = "With this answer nothing was done, and nothing was put up for a signature."
ADVICE_ONLY: Final = "I can give advice only at the moment, so nothing was done."
NOT_FOUND_OUT: Final = "I could not find that out just now."
FAILED: Final = "I could not answer this message; a person will look into it. Nothing was done."

_QUESTIONS: Final[Mapping[str, str]] = {
    "amount_minor": "How much, and in which currency?",
    "currency": "In which currency?",
    "recipient": "To whom?",
    "category": "Which category?",
    "topic": "Which notifications: about what?",
    "enabled": "Shall they be on or off?",
    "text": "What should it say?",
}
_WISHES: Final[Mapping[str, str]] = {
    "transfer": "transfer money",
    "request_payment": "request a payment",
    "recategorise": "re-categorise transactions",
    "set_budget": "set a budget",
    "change_notifications": "change your notifications",
    "draft_message": "draft a message",
    "export_statement": "export a statement",
}


def money(amount_minor: int, currency: str) -> str:
    """`1,234.50 EUR`; below 0 with a minus sign before the figure."""
    digits = EXPONENTS.get(currency, 2)
    whole, part = divmod(abs(amount_minor), 10**digits)
    sign = "-" if amount_minor < 0 else ""
    decimals = f".{part:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals} {currency}"


def asking_for(intent: Intent) -> str:
    """The question for the first slot that is missing."""
    return f"To {_WISHES.get(intent.name, 'do that')} I need to know more. " + _QUESTIONS.get(
        intent.missing[0], f"Which {intent.missing[0].replace('_', ' ')}?"
    )


def unsure(why: str, candidate: Intent | None) -> str:
    """Asking back instead of acting. why: a clause, such as `it leaves open which`."""
    if candidate is None:
        return f"I am not sure what you want: {why}. Could you say it in other words?"
    return f"I am not sure: {why}. Shall I {told(candidate)}?"


def told(intent: Intent) -> str:
    """A wish in a few words, with what is known of it, so that a yes is about exactly this."""
    slots = intent.slots
    parts = [_WISHES.get(intent.name, intent.name.replace("_", " "))]
    if "amount_minor" in slots and "currency" in slots:
        parts.append(f"({money(int(slots['amount_minor']), str(slots['currency']))})")
    for name, value in slots.items():
        if name not in ("amount_minor", "currency"):
            shown = ("yes" if value else "no") if isinstance(value, bool) else str(value)
            parts.append(f"[{name.replace('_', ' ')}: {shown}]")
    return " ".join(parts)


def applied(title: str) -> str:
    """A wish that needs nobody's signature and is on its way."""
    return f"{title}: I am doing that now, and will tell you when it is done."


def deferred(title: str, *, role: str, quorum: int) -> str:
    """A wish whose card waits."""
    people = f"{quorum} people with the role {role}" if quorum > 1 else f"somebody with the role {role}"
    return f"{title}: this waits for the signature of {people}. Nothing happens before that."


def denied(what: str, reasons: Sequence[str]) -> str:
    """A wish that the policy denies. reasons: the explanations of its codes."""
    return f"{what}: that is not allowed. {' '.join(reasons)}"
