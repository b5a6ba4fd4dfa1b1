"""The little language that phrases are written in, and its compiler. Pure.

A phrase is words: `show|list` either word, `please?` perhaps a word, `..` up to six words in between, `<amount>`,
`<days>`, `<quote>` something that was set aside before (`marks.py`). Matching is on plain text: small letters, no
punctuation, short forms written out ("I'd" is "i would"). `<money>`, `<entries>` and so on are one word of a group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

AMOUNT: Final = "\ue000-\ue0ff"
QUOTE: Final = "\ue100-\ue1ff"
DAYS: Final = "\ue200-\ue2ff"
_GROUPS: Final = {
    "notices": "notification notifications alert alerts email emails sms texts push reminder reminders",
    "message": "message email mail note letter reply text sms response reminder",
    "file": "statement statements csv pdf spreadsheet export",
    "make": "make create generate prepare produce process arrange",
    "change": "change fix update adjust raise lower increase decrease reduce bump cut",
    "money": "money funds fund cash amount total",
    "payment": "transfer transfers payment payments remittance",
    "entries": "transactions transaction payments payment purchases purchase charges charge debits refunds refund "
    "deposits withdrawals transfers transfer expenses expense entries orders",
    "judged": "categorised categorized classified flagged marked labelled labeled filed booked counted tagged treated",
    "spent": "spend spent pay paid cost costs costing blow blew drop dropped",
    "bought": "buy bought purchase purchased shop pay paid receive received charge charged",
    "adverb": "also just really actually now only still rather",
    "weekday": "monday tuesday wednesday thursday friday saturday sunday",
    "someone": "i we he she they it someone somebody anyone everyone people",
}
_STANDS_FOR: Final = {
    "<amount>": f"[{AMOUNT}]",
    "<quote>": f"[{QUOTE}]",
    "<days>": f"[{DAYS}]",
    **{f"<{name}>": "|".join(line.split()) for name, line in _GROUPS.items()},
}
_GAP: Final = r"(?: \S+){0,6}?"
_SHORT_FORMS: Final = (
    ("won't", "will not"), ("can't", "can not"), ("cannot", "can not"), ("let's", "let us"), ("n't", " not"),
    ("'ll", " will"), ("'ve", " have"), ("'re", " are"), ("i'd", "i would"), ("i'm", "i am"), ("what's", "what is"),
    ("whats", "what is"), ("that's", "that is"), ("thats", "that is"), ("it's", "it is"), ("where's", "where is"),
    ("how's", "how is"), ("who's", "who is"), ("wanna", "want to"), ("gonna", "going to"), ("gotta", "got to"),
    ("dont ", "do not "), ("didnt ", "did not "), ("e-mail", "email"), ("trasfer", "transfer"),
    ("tranfer", "transfer"), ("transfre", "transfer"), ("trnasfer", "transfer"), ("re-cat", "recat"),
    ("re-class", "reclass"),
)  # fmt: skip
_NOT_A_WORD: Final = re.compile(r"[^\w'&@.\-\ue000-\ue2ff]+|(?<!\w)['.\-]+|['.\-]+(?!\w)")


def words(line: str) -> frozenset[str]:
    """A set of words, as a table writes it."""
    return frozenset(line.split())


def in_order(line: str) -> tuple[str, ...]:
    """A list of words, as a table writes it."""
    return tuple(line.split())


def plain(text: str) -> str:
    """Small letters, words one space apart, short forms written out."""
    text = text.lower().replace("\u2019", "'")
    for short, long in _SHORT_FORMS:
        if short in text:
            text = text.replace(short, long)
    return " ".join(_NOT_A_WORD.sub(" ", text).split())


@cache
def pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """One expression that finds any of these phrases at word boundaries."""
    return re.compile(rf"(?<!\S)(?:{'|'.join(_one(phrase) for phrase in phrases)})(?!\S)")


def any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """As `pattern`, for any iterable."""
    return pattern(tuple(phrases))


def _one(phrase: str) -> str:
    """ "how much .. spend|spent" as a regular expression in which every word but the first brings its space."""
    expression, begun = "", False
    for word in phrase.split():
        if word == "..":
            expression += _GAP
            continue
        either = "|".join(_STANDS_FOR.get(one, re.escape(one)) for one in word.removesuffix("?").split("|"))
        if word.endswith("?"):
            expression += f"(?: (?:{either}))?" if begun else f"(?:(?:{either}) )?"
        else:
            expression += f" (?:{either})" if begun else f"(?:{either})"
            begun = True
    return expression
