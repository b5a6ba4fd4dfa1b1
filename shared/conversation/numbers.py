"""Numbers as people write and say them: "1,630", "1.234,56", "2.5k", "two hundred", "a grand". Pure.

What can be read in two ways ("1.234", "one fifty") is a `Number` with a problem, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.conversation.patterns import in_order

UNITS: Final = {
    word: value
    for value, word in enumerate(
        in_order(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        )
    )
}
TENS: Final = {
    word: 20 + 10 * at for at, word in enumerate(in_order("twenty thirty forty fifty sixty seventy eighty ninety"))
}
SCALES: Final = {"hundred": 100, "thousand": 1000, "grand": 1000, "k": 1000, "million": 1_000_000, "m": 1_000_000}
_SPOKEN_SCALES: Final = {word for word in SCALES if len(word) > 1}
_GROUPED: Final = re.compile(
    r"([0-9]{1,3}(?:(?P<mark>[.,' \u00a0\u202f])[0-9]{3})(?:(?P=mark)[0-9]{3})*)(?:[.,]([0-9]+))?"
)
_PLAIN: Final = re.compile(r"([0-9]+)(?:[.,]([0-9]+))?")
TWO_WAYS: Final = "the number can be read in two ways"


class Number(NamedTuple):
    """digits / 10^decimals, both integers. length: how many tokens it took. problem: why it must not be used."""

    digits: int
    decimals: int = 0
    length: int = 1
    problem: str = ""

    def times(self, scale: int) -> Number:
        return self._replace(digits=self.digits * scale, length=self.length + 1)


def figure(raw: str, *, exponent: int, dots_group: bool) -> Number:
    """A number in figures. exponent: decimals of its currency. dots_group: whether "1.234" means 1234 there."""
    grouped = _GROUPED.fullmatch(raw)
    if grouped is None or raw[0] == "0":  # nobody groups what begins with a nought: "0.001" is a small part
        plain = _PLAIN.fullmatch(raw)
        return Number(0, problem="the number cannot be read") if plain is None else _decimal(plain[1], plain[2] or "")
    whole = re.sub(r"[^0-9]", "", grouped[1])
    if grouped[3] is not None:
        return _decimal(whole, grouped[3])
    if grouped["mark"] != " " and raw.count(grouped["mark"]) > 1:
        return Number(int(whole))
    if grouped["mark"] == "." and exponent == 3:
        return Number(int(whole), 3)
    sure = (grouped["mark"] in ". " and dots_group) or (grouped["mark"] == "," and exponent < 3)
    return Number(int(whole), problem="" if sure or grouped["mark"] not in "., " else TWO_WAYS)


def _decimal(whole: str, fraction: str) -> Number:
    return Number(int(whole + fraction), len(fraction))


def spoken(words: Sequence[str]) -> Number | None:
    """The number that these lower-case words begin with, None when they begin with none."""
    at = 1 if _article(words) else 0
    total, group, spoken_any, problem = 0, 1 if at else 0, bool(at), ""
    last = "unit" if at else ""
    end = at
    while end < len(words):
        word = words[end]
        if word == "and" and spoken_any and last == "scale" and _is_number(words[end + 1 : end + 2]):
            end += 1
            continue
        if word in _SPOKEN_SCALES and spoken_any:
            total, group = _scaled(total, group, SCALES[word])
            last = "scale"
        elif word in UNITS or word in TENS:
            kind = "unit" if word in UNITS else "tens"
            if last == "unit" or (last == "tens" and (kind == "tens" or not 0 < UNITS[word] < 10)):
                problem = TWO_WAYS
            group, last, spoken_any = group + UNITS.get(word, TENS.get(word, 0)), kind, True
        else:
            break
        end += 1
    return Number(total + group, length=end, problem=problem) if spoken_any and end > at else None


def _article(words: Sequence[str]) -> bool:
    return words[:1] == ["a"] and len(words) > 1 and words[1] in _SPOKEN_SCALES


def _is_number(words: Sequence[str]) -> bool:
    return bool(words) and (words[0] in UNITS or words[0] in TENS)


def _scaled(total: int, group: int, scale: int) -> tuple[int, int]:
    """Hundreds stay in the group ("two hundred thousand"); a thousand closes it."""
    return (total, group * scale) if scale == 100 else (total + group * scale, 0)
