"""Sets aside what must not be read as words: quoted text, days and amounts each become one character. Pure.

What stands between quotation marks, in a quoted line or after "the note says:" is somebody's text, a merchant's or a
stranger's: from here on it is one character, and no phrase can match inside it.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final, NamedTuple

from shared.conversation.amounts import Money, amounts_in
from shared.conversation.days import Span, spans_in
from shared.conversation.patterns import AMOUNT, DAYS, QUOTE

MOST: Final = 16
_PRIVATE: Final = re.compile(r"[\ue000-\uf8ff\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_TITLE: Final = re.compile(r"\b(?:mr|mrs|ms|mx|dr|prof)\b\.? ?(?=[^\W\d_])", re.IGNORECASE)
_QUOTED: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`]*`|\"[^\"]*(?:\"|\Z)|“[^”]*(?:”|\Z)|„[^“”]*(?:[“”]|\Z)|«[^»]*(?:»|\Z)"
    r"|(?<!\w)'(?=\S)[^'\n]{3,}'(?!\w)|^[ \t]*>[^\n]*$"
    r"|\b(?:says|said|reads|wrote|states|note|memo|text|message|subject|email|letter|description)\s*:.*\Z",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_IN_A_WORD: Final = re.compile(r"[\w-]")
"""Before what looks like a day and is part of an id: "t-2024-07"."""
_DOTS: Final = re.compile(r"\.{2,}|\u2026")
_LEAD: Final = re.compile(r"\A\w+\s*:")


class Marked(NamedTuple):
    """The text with its marks, and what they stand for in the order written.

    originals: mark to what was written. crowded: more than `MOST` of a kind.
    """

    text: str
    amounts: tuple[Money, ...]
    days: tuple[Span, ...]
    quotes: tuple[str, ...]
    originals: dict[str, str]
    crowded: bool = False

    def restored(self, text: str) -> str:
        """A part of the text as it was written, with the spaces that a mark has brought taken away."""
        for mark, was in reversed(self.originals.items()):
            for marked in (f" {mark} ", f" {mark}", f"{mark} ", mark):
                text = text.replace(marked, was)
        return text

    def amounts_of(self, text: str) -> tuple[Money, ...]:
        """The amounts that stand in a part of the text."""
        return tuple(self.amounts[ord(one) - ord(AMOUNT[0])] for one in text if AMOUNT[0] <= one <= AMOUNT[-1])

    def days_of(self, text: str) -> tuple[Span, ...]:
        """The spans that stand in a part of the text."""
        return tuple(self.days[ord(one) - ord(DAYS[0])] for one in text if DAYS[0] <= one <= DAYS[-1])

    def quotes_of(self, text: str) -> tuple[str, ...]:
        """The quotations that stand in a part of the text, without their marks."""
        return tuple(self.quotes[ord(one) - ord(QUOTE[0])] for one in text if QUOTE[0] <= one <= QUOTE[-1])


def mark(text: str, *, home: str, today: date, expected: bool) -> Marked:
    """home: the tenant's currency. expected: whether our last reply asked for an amount."""
    text = _DOTS.sub(". ", _straight(_PRIVATE.sub("", text)))
    originals: dict[str, str] = {}
    quoted = [(hit.start(), hit.end()) for hit in _QUOTED.finditer(text)]
    quotes = tuple(_LEAD.sub("", text[start:end]).strip(" `\"'“”„«»>\n\t") for start, end in quoted[:MOST])
    text = _TITLE.sub("", _with_marks(text, quoted, QUOTE, originals))
    spans = [one for one in spans_in(text, today) if not _IN_A_WORD.match(text[max(0, one.start - 1) : one.start])]
    text = _with_marks(text, [(one.start, one.end) for one in spans], DAYS, originals)
    money = amounts_in(text, home=home, expected=expected)
    text = _with_marks(text, [(one.start, one.end) for one in money], AMOUNT, originals)
    crowded = max(len(quoted), len(spans), len(money)) > MOST
    amounts, days = tuple(one.money for one in money), tuple(one.span for one in spans)
    return Marked(text, amounts, days, quotes, originals, crowded)


def without_quotations(text: str) -> str:
    """The writer's own words: what is quoted is left out."""
    return _QUOTED.sub(" ", _straight(text))


def _straight(text: str) -> str:
    return text.replace("\u2019", "'").replace("\u2018", "'")


def _with_marks(text: str, places: list[tuple[int, int]], marks: str, originals: dict[str, str]) -> str:
    """Each place replaced by a character of its own; what is beyond `MOST` is left out."""
    parts, at = [], 0
    for index, (start, end) in enumerate(places):
        mark = chr(ord(marks[0]) + index)
        parts += [text[at:start], f" {mark} " if index < MOST else " "]
        if index < MOST:
            originals[mark] = text[start:end]
        at = end
    return "".join(parts) + text[at:]
