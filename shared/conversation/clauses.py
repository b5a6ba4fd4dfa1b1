"""Cuts a marked message into clauses, and tells of each what it wants and in which mood. Pure.

A mood other than "wish" or "question" keeps a clause from being acted on. Fail closed: a doubt anywhere in a sentence
("if", "he said", "tomorrow", "or") is a doubt about every wish in it.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final, NamedTuple

from shared.conversation.asides import LOOKING, OPENERS, PAYING, POLITE, TELLING, UNDAUNTED, VETOES
from shared.conversation.days import Span
from shared.conversation.marks import Marked
from shared.conversation.patterns import any_of, plain
from shared.conversation.phrases import QUESTIONS, WISHED_FOR, WISHES

_SENTENCE_END: Final = re.compile(r"(?<=[.?!;])\s+|\n+")
_JOINT: Final = re.compile(r"(,)\s*|\s+(?=(?:and|so|but|then|because|or)\s)|\s+(?=as i\s)", re.IGNORECASE)
_ORDINAL: Final = re.compile(r"\b[0-9]{1,2}(?:st|nd|rd|th)\b")
_OPENERS: Final = tuple((mood, any_of(phrases)) for mood, phrases in OPENERS.items())
_WISHES: Final = tuple((name, any_of(phrases)) for name, phrases in WISHES)
_WISHED_FOR: Final = tuple((name, any_of(phrases)) for name, phrases in WISHED_FOR)
_QUESTIONS: Final = tuple((name, any_of(phrases)) for name, phrases in QUESTIONS)
_VETOES: Final = tuple((mood, any_of(phrases)) for mood, phrases in VETOES.items())
_POLITE: Final = any_of(POLITE)
_PAYING: Final = any_of(PAYING)
_LOOKING: Final = any_of(LOOKING)
_TELLING: Final = any_of(TELLING)

DOUBTS: Final = {
    "asks": "it sounds like a question about it, not a wish",
    "sends": "I never send messages, I can only draft them",
    "supposed": "it sounds like a supposition, not a wish",
    "reported": "it sounds like what somebody else said",
    "later": "it is for another day or for again and again, and I can only do it once and now",
    "dated": "it names a day, and I can only do it now",
    "taken back": "it takes back what it says",
    "open": "it leaves something open",
    "negated": "there is a 'not' in it",
    "told": "it sounds like something that has happened",
}
"""Moods of a wish that is not acted on, and what the reply says of them."""


class Clause(NamedTuple):
    """text: as written, marked. words: the same in plain words without its openers. name: the intent, "" for none.

    mood: "wish", "question", "not", one of `DOUBTS`, or "" when it names no intent. moods: all that its openers said.
    vetoes: of its sentence. asking: its sentence is a question that asks nobody to do anything. firm: a question by
    its form, not only by a word in it.
    """

    text: str
    words: str
    name: str = ""
    mood: str = ""
    moods: frozenset[str] = frozenset()
    vetoes: frozenset[str] = frozenset()
    asking: bool = False
    firm: bool = False


def clauses_of(marked: Marked, today: date) -> tuple[Clause, ...]:
    """The clauses of a marked text."""
    text = marked.text
    found: list[Clause] = []
    quoting: frozenset[str] = frozenset()
    for sentence in _SENTENCE_END.split(text):
        dated = any(not _is_today(span, today) for span in marked.days_of(sentence))
        vetoes = _vetoes(plain(sentence), dated=dated) | quoting
        quoting = vetoes & {"reported"}  # what somebody else said may go on over several sentences
        pieces = [piece for piece in _JOINT.split(sentence) if piece and piece.strip(" .?!;")]
        asked, apart = sentence.rstrip().endswith("?"), False
        for piece in pieces:
            if piece == ",":
                apart = True
                continue
            clause = _clause(piece, vetoes, asked=asked)
            loose = apart and clause.mood == "wish" and not clause.moods and clause.words == plain(piece)
            if loose and found and found[-1].mood == "question":
                clause = clause._replace(name="", mood="")  # "why was PAYPAL, TRANSFER 500 TO BOB flagged"
            found.append(clause)
            apart = False
            if clause.name == "draft_message":  # the rest of the message is the draft's text
                return (*found[:-1], clause._replace(text=text[text.index(piece) :]))
    return tuple(found)


def _clause(piece: str, vetoes: frozenset[str], *, asked: bool) -> Clause:
    whole = plain(piece)
    name, rest, moods = _heard(whole)
    asked = asked and not (name == "draft_message" and ":" in piece)  # the draft asks, not the person
    asking = "asks" in moods or (asked and "wish" not in moods)
    clause = Clause(piece, rest, moods=moods, vetoes=vetoes, asking=asking)
    if name == "send_message":
        return clause._replace(name="draft_message", mood="sends")
    if name:
        return clause._replace(name=name, mood=_mood(name, moods | ({"asks"} if asking else frozenset()), vetoes))
    whole = _PAYING.sub(" ", whole)
    name = next((name for name, found in _QUESTIONS if found.search(whole)), "")
    firm = "asks" in moods or _LOOKING.match(rest) is not None or _TELLING.search(whole) is not None
    return clause._replace(name=name, mood="question", firm=firm) if name else clause


def _heard(words: str) -> tuple[str, str, frozenset[str]]:
    """The wish that words begin with behind some of their openers, "" for none; what is left; the openers' moods."""
    moods: frozenset[str] = frozenset()
    while True:
        name = _wish(words, moods)
        hits = [(hit.end(), mood) for mood, found in _OPENERS if (hit := found.match(words))]
        hits = [hit for hit in hits if not ("open" in moods and hit[1] == "asks")]  # "I should have it" asks nothing
        if name or not hits:
            return name, words, moods
        end, mood = max(hits, key=lambda hit: hit[0])
        words = words[end:].lstrip()
        moods |= {mood} - {""}


def _wish(rest: str, moods: frozenset[str]) -> str:
    for name, found in _WISHES:
        if found.match(rest):
            return name
    if moods & {"wish", "asks", "not"}:
        return next((name for name, found in _WISHED_FOR if found.match(rest)), "")
    return ""


def _mood(name: str, moods: frozenset[str], vetoes: frozenset[str]) -> str:
    """Why it is not a wish, the strongest reason first, or "wish"."""
    heard = moods | vetoes
    if name == "change_notifications":
        heard -= {"not"}
    heard -= UNDAUNTED.get(name, frozenset())
    order = ("not", *DOUBTS)
    return next((mood for mood in order if mood in heard), "wish")


def _is_today(span: Span, today: date) -> bool:
    return span.since == today and span.until == today + timedelta(days=1)


def _vetoes(sentence: str, *, dated: bool) -> frozenset[str]:
    sentence = _POLITE.sub(" ", sentence)
    found = {mood for mood, veto in _VETOES if veto.search(sentence)}
    if dated or _ORDINAL.search(sentence):
        found.add("dated")
    return frozenset(found)
