"""Messages that name no intent of their own: answers, corrections, yes and no, thanks and farewells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.conversation.asides import AFFIRM, DENY, GOODBYE, HELP, SMALL_TALK, TAKING_BACK, UNDAUNTED
from shared.conversation.clauses import DOUBTS, Clause
from shared.conversation.context import WISH, Context, intent_of
from shared.conversation.intent import NOT_UNDERSTOOD, NOTHING_TO_CHANGE, SPAN, Intent, Reading
from shared.conversation.marks import Marked
from shared.conversation.patterns import any_of, plain, words
from shared.conversation.slots import Heard, Said, heard_in, visibility

SOURCE: Final = "grammar"
SURE_BP: Final = 9500
LONGEST_TEXT: Final = 1000
_BRIEF: Final = 4
_FREE: Final = frozenset({"text", "note"})
_CLOSED: Final = frozenset({"topic", "channel", "category", "enabled"})
_AFFIRM, _DENY, _HELP = any_of(AFFIRM), any_of(DENY), any_of(HELP)
_TAKING_BACK: Final = any_of(TAKING_BACK)
_REFUSED_YES: Final = any_of(("i|we do|would|am|will not", "not .. okay|ok|right|fine"))
_OWN: Final = words("oh well um uh hm hmm ah so and then my answer is i we say am")
"""What may come before a yes that makes a wish somebody's own; "the merchant says yes" does not."""
_CHANGE: Final = any_of(("make it|that", "change|correct|update it|that|the", "instead", "i meant|mean", "no to|from"))
_GOODBYE, _SMALL_TALK = any_of(GOODBYE), any_of(SMALL_TALK)
_GOES_ON: Final = any_of(
    ("and|what|how about|on|at|in|for|from|with|last|this|since", "and", "same for|in|with", "on|in|at|for")
)
_EITHER: Final = frozenset({"category", "merchant"})
_NO_HINDRANCE: Final = frozenset({"negated", "told"})


def sure(*intents: Intent) -> Reading:
    """A reading without a doubt; without an intent it is small talk, to be answered in kind."""
    return Reading(intents, SOURCE, SURE_BP)


def unsure(why: str, candidate: Intent | None = None) -> Reading:
    """Asks back. why: a clause that completes "I am not sure, because ..."."""
    return Reading((), SOURCE, 0, why, candidate)


def revising(reading: Reading, intent: Intent) -> Reading:
    """The same, which goes on with what was pending: `intent` is what that has become."""
    return reading._replace(revises=intent)


def free_text(text: str, heard: Context) -> Reading | None:
    """The whole message as the text that our last reply asked for; None when it asked for none, or is called off."""
    if heard.pending is None or heard.asked not in _FREE:
        return None
    words = plain(text)
    if not words or (_DENY.match(words) and len(words.split()) <= 4):
        return None
    worded = intent_of(heard.pending.name, {**heard.pending.slots, heard.asked: text.strip()[:LONGEST_TEXT]})
    return revising(sure(worded), worded)


def choice(marked: Marked, clauses: Sequence[Clause], heard: Context) -> Reading | None:
    """A brief message that names one of the things our last reply let them choose from, whatever else the words could
    mean; else None."""
    brief = len(marked.text.split()) < _BRIEF and not marked.text.rstrip().endswith("?")
    if heard.pending is None or heard.asked not in _CLOSED or not brief:
        return None
    answer = _filled(heard.pending, marked, clauses, heard)
    return answer if answer and answer.revises and heard.asked in answer.revises.slots else None


def going_on(marked: Marked, heard: Context) -> Reading | None:
    """The last question with what this message has otherwise: "and on fuel?", "what about February?"; else None."""
    question = heard.question
    if question is None or marked.amounts or not _GOES_ON.match(plain(marked.text)):
        return None
    found = heard_in(question.name, Said(marked.text, marked, heard.categories, ""))
    if not found.slots or found.problem:
        return None
    replaced = {slot for alike in (_EITHER, frozenset(SPAN)) if alike & found.slots.keys() for slot in alike}
    slots = {slot: value for slot, value in question.slots.items() if slot not in replaced}
    return sure(intent_of(question.name, {**slots, **found.slots}))


def reading(marked: Marked, clauses: Sequence[Clause], heard: Context) -> Reading:
    """What a message without an intent of its own says to our last reply, or after our last answer."""
    answer = _answering(marked, clauses, heard)
    return (going_on(marked, heard) or answer) if answer.unsure and answer.candidate is None else answer


def _answering(marked: Marked, clauses: Sequence[Clause], heard: Context) -> Reading:
    words = plain(marked.text)
    if heard.pending is not None:
        answer = _filled(heard.pending, marked, clauses, heard)
        if answer is not None:
            return answer
    yes, no = _AFFIRM.match(words), _DENY.match(words)
    if heard.pending is not None or heard.asked:
        return _yes_or_no(words, heard)
    for name, found in (("help", _HELP), ("goodbye", _GOODBYE)):
        if found.search(words):
            return sure(Intent(name, {}))
    brief = len(words.split()) <= _BRIEF
    if (no and brief and not (yes and yes.end() > no.end())) or _TAKING_BACK.match(words.removeprefix("please ")):
        return sure(Intent("deny", {}))
    if yes and brief:
        return sure(Intent("affirm", {}))
    if _SMALL_TALK.match(words) and len(words.split()) <= 8:
        return sure()
    return unsure(NOTHING_TO_CHANGE if _CHANGE.match(words) else NOT_UNDERSTOOD)


def _yes_or_no(words: str, heard: Context) -> Reading:
    """A "yes" only when there is no "no" in it as well; a longer match wins ("no objections")."""
    yes, no = _AFFIRM.search(words), _DENY.search(words) or _TAKING_BACK.search(words)
    if _REFUSED_YES.search(words):
        yes = None
    if yes and no and yes.start() <= no.start() and yes.end() >= no.end():
        no = None
    if no and not (yes and yes.start() < no.start()):
        return sure(Intent("deny", {}))
    if yes and no:
        return unsure("it says both yes and no")
    if yes and heard.asked == WISH and heard.pending is not None:
        wished = intent_of(heard.pending.name, heard.pending.slots, heard.pending.missing)
        own = _OWN.issuperset(words[: yes.start()].split())
        return revising(sure(wished) if own else unsure("that is no plain yes of yours", wished), wished)
    if yes:
        return sure(Intent("affirm", {}))
    for name, found in (("goodbye", _GOODBYE), ("help", _HELP)):
        if found.search(words):
            return sure(Intent(name, {}))
    return sure() if _SMALL_TALK.match(words) else unsure(NOT_UNDERSTOOD)


def _filled(pending: Intent, marked: Marked, clauses: Sequence[Clause], heard: Context) -> Reading | None:
    """The pending intent with what this message adds or corrects; None when it says nothing about it."""
    telling = [clause for clause in clauses if "not" not in clause.moods or visibility(clause.text)]
    text = " , ".join(clause.text for clause in telling)
    named = str(pending.slots.get("recipient", "")).casefold()
    if named and any(named in clause.text.casefold() for clause in clauses if clause not in telling):
        pending = pending._replace(missing=(*pending.missing, "recipient"))  # "not Anna, Bob"
    found = heard_in(pending.name, Said(text, marked, heard.categories, heard.asked, pending))
    if not found.slots and not found.problem:
        return None
    filled = filled_in(pending, found)
    if found.problem and filled == heard.pending and not filled.missing:
        return unsure(found.problem)  # nothing of it is any different
    if found.problem:
        return revising(unsure(found.problem, filled), filled)
    hindrance = _hindrance(pending.name, telling) if filled.acts else ""
    if hindrance:
        return revising(unsure(DOUBTS[hindrance], filled), filled)
    if filled == heard.pending and not filled.missing:
        return None
    return revising(sure(filled), filled)


def filled_in(pending: Intent, found: Heard) -> Intent:
    """The pending intent with what was found besides; a slot that became unclear is asked for again."""
    kept = {slot: value for slot, value in pending.slots.items() if slot not in found.unclear}
    return intent_of(pending.name, {**kept, **found.slots}, (*pending.missing, *found.unclear))


def _hindrance(name: str, clauses: Sequence[Clause]) -> str:
    """Why an answer is not simply one: it asks, supposes, reports or leaves open. "How about Anna?" is an answer."""
    for clause in clauses:
        about = plain(clause.text).startswith(("how about", "what about"))
        if clause.asking and not about:
            return "asks"
        doubts = clause.vetoes - UNDAUNTED.get(name, frozenset()) - _NO_HINDRANCE
        if doubts:
            return min(doubts)
    return ""
