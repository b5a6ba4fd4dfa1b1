"""What stays talked about after a message, so that the next one may answer or correct it. Pure.

The product and the replay of recorded dialogues (`evals/dialogues.py`) both keep what these functions say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.conversation import grammar
from shared.conversation.clauses import DOUBTS
from shared.conversation.context import WISH, Context
from shared.conversation.intent import Intent, Reading, Slots
from shared.conversation.stream import Change
from shared.ports.document_store import Body

QUESTIONS: Final = ("spending", "find_transactions", "budget_status", "balance")
"""Which may be gone on with."""
_MOODS: Final = frozenset(DOUBTS.values())
"""Doubts whether there is a wish at all; other doubts are about what it says."""
LEANED_ON: Final = ("account_type",)
"""Slots that a later wish may lean on."""


class Kept(NamedTuple):
    """pending and asked: as `Context` has them for the next message."""

    pending: Intent | None = None
    asked: str = ""


def kept(heard: Context, reading: Reading, *, asking: Sequence[Intent] = ()) -> Kept:
    """A wish stays, also when nothing is missing any more, until it is refused or another one takes its place.

    asking: intents that an advisor asks back about, missing the slot asked for. What was put to the person as a
    question ("Shall I ...?") stays for one message only, unless that one is not understood either.
    """
    candidate = reading.candidate
    if candidate is not None:
        plainly_wished = candidate.missing and reading.unsure not in _MOODS
        return Kept(candidate, candidate.missing[0] if plainly_wished else WISH)
    lacking = [intent for intent in reading.intents if intent.missing] + [one for one in asking if one.acts]
    if lacking:
        return Kept(lacking[0], lacking[0].missing[0])
    wishes = [intent for intent in reading.intents if intent.acts]
    if wishes:
        return Kept(wishes[-1])
    before = None if any(intent.name == "deny" for intent in reading.intents) else heard.pending
    if before is None or not before.acts:
        return _question(before, heard.asked, reading, asking)
    if heard.asked == WISH:
        return Kept(before, WISH) if reading.unsure else Kept()
    repeats = bool(reading.unsure) or any(intent.name == "affirm" for intent in reading.intents)
    return Kept(before, (heard.asked or before.missing[0]) if before.missing and repeats else "")


def _question(before: Intent | None, asked: str, reading: Reading, asking: Sequence[Intent]) -> Kept:
    """A question is talked about only while its answer waits for a slot."""
    if asking:
        return Kept(asking[0], asking[0].missing[0])
    return Kept(before, asked) if before and reading.unsure else Kept()


def too_late(text: str, heard: Context, fresh: Reading, settled: Intent, asked: str) -> Intent | None:
    """What a message would have made of a wish that can no longer be corrected; None when it is about something else.

    heard, fresh: how the message is understood without it. asked: what had been asked back about it.
    """
    if fresh.intents and not grammar.corrects(text):
        return None
    if any(intent.acts and not intent.missing for intent in fresh.intents):
        return None
    return grammar.read(text, heard=heard._replace(pending=settled, asked=asked, waiting=False)).revises


def questioned(heard: Context, reading: Reading) -> Intent | None:
    """The question that a later message may go on with."""
    asked = [one for one in reading.intents if one.name in QUESTIONS and not one.missing]
    return asked[-1] if asked else heard.question


def leaned_on(reading: Reading) -> Slots:
    """What this message settles that a later wish may lean on."""
    return {slot: intent.slots[slot] for intent in reading.intents for slot in LEANED_ON if slot in intent.slots}


def heard(
    pending: Body | None, asked: str, recent: Slots, *, wished: Body | None = None, question: Intent | None = None
) -> Change:
    """A change: what is talked about (as `remembered` has it), the slot asked for, and what a wish may lean on.

    wished: the wish that this turn has put before the guard, None for none; the last one is remembered, so that a
    correction that comes too late is told from nonsense. question: the last one, which a later message may go on with.
    """
    wishes = {"wished": wished} if wished else {}
    kept_question = remembered(question) if question else None
    now = {"pending": pending, "asked": asked, "recent": dict(recent), "question": kept_question, **wishes}
    return lambda body: {**body, **now}


def remembered(intent: Intent, *, action_id: str = "", outcome: str = "") -> Body:
    """An intent as a conversation keeps it. outcome: the guard's, "" while nobody has judged it.

    action_id: of the wish that it is, or corrects, where that cannot simply be said anew: its card waits for people, or
    it reaches outside. While its card is open it can be corrected and taken back; after that it is settled.
    """
    slots, missing = dict(intent.slots), list(intent.missing)
    return {"name": intent.name, "slots": slots, "missing": missing, "action_id": action_id, "outcome": outcome}


def intent_in(told: Body) -> Intent:
    """The intent that `remembered` has kept."""
    return Intent(told["name"], told["slots"], tuple(told["missing"]))


def pending_of(body: Body) -> Body | None:
    """What the conversation is still about, as `remembered` has it: what was asked back, or the last wish."""
    told = _last(body)
    return None if told is None or _is_settled(body, told) else told


def settled_of(body: Body) -> Body | None:
    """What the conversation was about last, when that can neither be corrected nor taken back any more."""
    told = _last(body)
    return told if told and _is_settled(body, told) else None


def _last(body: Body) -> Body | None:
    """Conversations from before it was kept know neither the action nor the outcome."""
    told = body["pending"] or body.get("wished")
    return {"action_id": "", "outcome": "", **told} if told else None


def _is_settled(body: Body, told: Body) -> bool:
    return bool(told["action_id"]) and told["action_id"] not in body["open_approvals"]
