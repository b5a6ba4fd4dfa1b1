"""What the conversation itself says: asking back, help, what becomes of a wish. Plain sentences, no markup. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.contracts.currencies import money_text
from shared.conversation.intent import NOT_UNDERSTOOD, NOTHING_TO_CHANGE, OWN_ACCOUNT, Intent
from shared.conversation.notices import CHANNELS, TOPICS

HELP: Final = (
    "I can tell you what you spent, on what and when, and compare it with before; find transactions and explain how "
    "they were decided; say how your budgets and your cash stand. You can ask me to re-categorise transactions, set a "
    "budget, transfer money, change your notifications, draft a message or export a statement: what needs somebody's "
    "signature waits for it on a card, and until then you can change it or take it back."
)
GOODBYE: Final = "Goodbye. What waits for a signature goes on waiting without us."
SMALL_TALK: Final = "I am here when you need something."
NOTHING_TO_AFFIRM: Final = "There is nothing open that a yes could be about. What shall I do?"
DONE_AT_ONCE: Final = (
    "That needed no signature: it is done or on its way, and cannot be called off. Tell me what it should be instead."
)
NOTHING_ASKED_FOR: Final = "With this answer nothing was done, and nothing was put up for a signature."
ADVICE_ONLY: Final = "I can give advice only at the moment, so nothing was done."
NOT_FOUND_OUT: Final = "I could not find that out just now."
FAILED: Final = "I could not answer this message; a person will look into it. Nothing was done."

LONGEST: Final = 100
"""Characters of a slot that are repeated."""
MOST: Final = 3
"""Cards that a reply names."""
_QUESTIONS: Final[Mapping[str, str]] = {
    "amount_minor": "how much, and in which currency?",
    "currency": "in which currency?",
    "recipient": "to whom?",
    "account_type": "from which account?",
    "recipient_account_type": "to which account?",
    "merchant": "which transactions? Tell me the merchant, or an id.",
    "transaction_id": "which transaction? Tell me its id.",
    "category": "which category?",
    "topic": f"about what? There are {', '.join(TOPICS).replace('_', ' ')}; one at a time.",
    "channel": f"by {' or '.join(CHANNELS)}?",
    "enabled": "on or off?",
    "text": "what should it say?",
}
_PLAIN_DOUBTS: Final[Mapping[str, str]] = {
    NOT_UNDERSTOOD: "I did not understand that. Say “help” to see what I can do.",
    NOTHING_TO_CHANGE: "Nothing is open that this could change. Say the whole wish, for example: "
    "“transfer 250 EUR to Anna”.",
}


def asking_for(intent: Intent) -> str:
    """The question for the first slot that is missing, after what is known already."""
    question = _QUESTIONS.get(intent.missing[0], f"which {intent.missing[0].replace('_', ' ')}?")
    wish = told(intent)
    return f"{wish[0].upper()}{wish[1:]}: {question}" if intent.acts else f"{question[0].upper()}{question[1:]}"


def unsure(why: str, candidate: Intent | None, *, again: Intent | None = None) -> str:
    """Asking back instead of acting. why: a clause, such as `it leaves open which`. again: what was asked about before
    and is still not known."""
    if candidate is not None and again is None:
        return f"I am not sure: {why}. Shall I {told(candidate)}?"
    what = "" if candidate is not None else " what you want"
    said = _PLAIN_DOUBTS.get(why, f"I am not sure{what}: {why}.")
    if again is not None:
        return f"{said} {asking_for(again)}"
    return said if why in _PLAIN_DOUBTS else f"{said} Could you say it in other words?"


def told(intent: Intent) -> str:
    """A wish in a few words, with what is known of it, so that a yes is about exactly this."""
    slots = {name: _shown(value) for name, value in intent.slots.items()}
    money = ""
    if "amount_minor" in slots and "currency" in slots:
        money = money_text(int(intent.slots["amount_minor"]), slots["currency"])
    say = _TOLD.get(intent.name)
    return " ".join(say(slots, money).split()).replace(" : ", ": ") if say else intent.name.replace("_", " ")


def _shown(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(str(value).split())[:LONGEST]


def _part(slots: Mapping[str, str], name: str, before: str, after: str = "") -> str:
    return f" {before}{slots[name]}{after}" if slots.get(name) else ""


def _transfer(slots: Mapping[str, str], money: str) -> str:
    kind = "recipient_account_type"
    to = _part(slots, "recipient", "to ") + _part(slots, kind, "(", ")") if "recipient" in slots else ""
    to = to or _part(slots, kind, "to a ", " account")
    if slots.get("recipient") == OWN_ACCOUNT:
        to = _part(slots, kind, "to your ") or " to another account of yours"
    private = " privately" if slots.get("private") == "on" else ""
    source = _part(slots, "account_type", "from ")
    return f"transfer {money or 'money'}{to}{source}{private}{_part(slots, 'note', 'with the note ')}"


_TOLD: Final[Mapping[str, Callable[[Mapping[str, str], str], str]]] = {
    "transfer": _transfer,
    "request_payment": lambda slots, money: f"request {money or 'a payment'}{_part(slots, 'recipient', 'from ')}",
    "recategorise": lambda slots, _: (
        f"put{_part(slots, 'transaction_id', '') or _part(slots, 'merchant', 'transactions from ') or ' transactions'}"
        f"{_part(slots, 'category', 'under ') or ' under another category'}"
        f"{_part(slots, 'since', 'from ')}{_part(slots, 'until', 'to before ')}"
    ),
    "set_budget": lambda slots, money: f"set a budget{f' of {money}' * bool(money)}{_part(slots, 'category', 'for ')}",
    "change_notifications": lambda slots, _: (
        f"switch notifications{_part(slots, 'topic', 'about ').replace('_', ' ')}"
        f"{_part(slots, 'enabled', '')}{_part(slots, 'channel', 'by ')}"
    ),
    "draft_message": lambda slots, _: (
        f"draft a message{_part(slots, 'recipient', 'to ')}{_part(slots, 'text', ': “', '”')}"
    ),
    "export_statement": lambda slots, _: (
        f"export a statement{_part(slots, 'since', 'from ')}{_part(slots, 'until', 'to before ')}"
    ),
}


def signed_elsewhere(cards: Sequence[Mapping[str, Any]]) -> str:
    """Why a yes does nothing, who can sign instead, and where. cards: the bodies of those that wait."""
    return "\n".join(["A yes in the conversation signs nothing.", waiting(cards)])


def waiting(cards: Sequence[Mapping[str, Any]]) -> str:
    """Which cards wait, for whom, where and until when."""
    lines = [
        f"“{card['card']['title']}” waits for {_signers(card)}, who answers its card among the approvals "
        f"(id {card['approval_id']}) until {card['expires_at'][:16].replace('T', ' ')} UTC."
        for card in cards[:MOST]
    ]
    lines += [f"{len(cards) - MOST} more cards wait."] * (len(cards) > MOST)
    return "\n".join(lines)


def _signers(card: Mapping[str, Any]) -> str:
    needed, role = card["quorum"] - len(card["signatures"]), f"with the role {card['role']}"
    people = f"{needed} people" if needed > 1 else "somebody"
    if card["requester_may_sign"] == "never":
        return f"{people} other than you {role}"
    return f"{people} {role} (you may sign too)" if needed > 1 else f"{people} {role}, you or another"


NOTHING_WAITS: Final = "Nothing of this conversation waits for a signature."


def withdrawn(title: str) -> str:
    """The requester has taken it back before enough people had signed."""
    return f"Withdrawn: {title}. Its card no longer counts, and nothing was done."


def replaced(title: str) -> str:
    """The requester has said it otherwise."""
    return f"The earlier card ({title}) no longer counts."


class Became(NamedTuple):
    """What has become of an earlier wish. state: its card's, or its action's once that has left the card behind."""

    title: str
    state: str

    @property
    def nothing_done(self) -> bool:
        return self.state in _NOTHING_DONE

    def __str__(self) -> str:
        return f"“{self.title}” {_BECAME.get(self.state, _NOT_AS_STORED)}"


_NOTHING_DONE: Final = frozenset({"rejected", "expired", "superseded", "refused", "cancelled", "denied"})
_BECAME: Final[Mapping[str, str]] = {
    "approved": "is signed and on its way",
    "consumed": "is on its way",
    "requested": "is on its way",
    "intended": "is on its way",
    "done": "is done",
    "needs_review": "could not be confirmed yet, and a person has to look at it",
    "rejected": "was rejected, so nothing was done",
    "expired": "ran out of time before it was signed and done, so nothing was done",
    "superseded": "no longer counts, so nothing was done",
    "refused": "was refused, so nothing was done",
    "cancelled": "was called off, so nothing was done",
    "denied": "was not allowed, so nothing was done",
    "gone": "is not on record any more",
}
_NOT_AS_STORED: Final = "is not what was stored any more, and somebody has to look at it"


def too_late(became: Became, again: Intent | None) -> str:
    """A correction of what cannot be corrected any more. again: what may be asked for instead, as nothing was done."""
    if again is not None:
        return f"{became}. Shall I {told(again)}?"
    if became.nothing_done:
        return f"{became}. If you want it still, say the whole wish."
    return f"Too late to change that: {became}. Nothing new was asked for; say the whole wish if you want one besides."


def cannot_be_called_off(became: Became) -> str:
    """A refusal of what does not wait any more."""
    return f"{'There is nothing to take back' if became.nothing_done else 'Too late to take that back'}: {became}."


def still_waits(waiting: Sequence[str]) -> str:
    """A no that takes nothing back by its words. waiting: titles of cards."""
    return f"All right. Still waiting for signatures: {'; '.join(waiting)}. To take that back, say “cancel that”."


def which_card(waiting: Sequence[str]) -> str:
    """Something is to be taken back, and it is not plain what."""
    return f"Which one shall I take back: {'; '.join(f'“{title}”' for title in waiting)}? Say “cancel” with its name."


DROPPED: Final = "All right, I leave it. Nothing was done."


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
