"""Finds the tenant's categories in a sentence: people say "groceries", the chart says "food.groceries". Pure.

A name that stands for several categories ("personal") finds none of them: it is asked back.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

SPOKEN: Final = {
    "groceries": ("grocery", "supermarket", "food shopping"),
    "restaurant": ("eating out", "dining", "dining out", "meals out"),
    "fast_food": ("takeaway", "take-away", "takeout"), "coffee": ("cafe", "coffee shop"),
    "bar": ("pub", "drinks", "bars and pubs"), "delivery": ("food delivery",), "fuel": ("gas", "petrol", "diesel"),
    "public": ("public transport", "transit", "bus", "metro"), "rail": ("train",),
    "taxi": ("uber", "cab", "ride hailing"), "energy": ("electricity", "gas and electricity", "heating"),
    "telephone": ("phone", "mobile", "cell phone"), "internet": ("broadband", "wifi"),
    "clothing": ("clothes", "shoes"), "hair_beauty": ("hairdresser", "haircut", "beauty"), "fitness": ("gym",),
    "streaming": ("streaming service",), "pharmacy": ("medicine", "drugstore", "chemist"),
    "flight": ("flying", "airfare"), "lodging": ("hotel",), "pets": ("pet food", "vet"), "furnishing": ("furniture",),
    "public_transport": ("transit",), "dining": ("eating out",),
}  # fmt: skip
"""The chart's last word to what people say besides."""

_MOST: Final = 8


class Category(NamedTuple):
    """name: as in the chart, "" when none is named. problem: what to ask back when several could be meant."""

    name: str = ""
    problem: str = ""


class _Chart(NamedTuple):
    pattern: re.Pattern[str]
    meanings: dict[str, frozenset[str]]


def category_in(plain_text: str, chart: tuple[str, ...], *, leaf: bool) -> Category:
    """The category that plain words name. leaf: a whole branch ("food") will not do, as for an action."""
    if not chart:
        return Category()
    known = _chart(chart)
    text = " ".join(stem(word) for word in plain_text.split())
    found: set[frozenset[str]] = set()
    for hit in known.pattern.finditer(text):
        found.add(known.meanings[hit[1]])
        if len(found) > _MOST:
            break
    if leaf:
        found = {one for one in found if one <= frozenset(chart)} or found
    if len(found) != 1:
        return Category(problem="several categories are named" if found else "")
    meaning = next(iter(found))
    if len(meaning) > 1 or (leaf and not meaning <= frozenset(chart)):
        return Category(problem="several categories bear that name")
    return Category(next(iter(meaning)))


def stem(word: str) -> str:
    """Without its plural: "groceries" and "grocery" are one."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


@lru_cache(maxsize=16)
def _chart(chart: tuple[str, ...]) -> _Chart:
    meanings: dict[str, set[str]] = {}
    for name in chart:
        branch, _, last = name.rpartition(".")
        for spoken in {name, last, name.replace(".", " "), *SPOKEN.get(last, ())}:
            meanings.setdefault(_stems(spoken), set()).add(name)
        if branch:
            meanings.setdefault(_stems(branch), set()).add(branch)
    longest_first = sorted(meanings, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\S)({'|'.join(re.escape(one) for one in longest_first)})(?!\S)")
    return _Chart(pattern, {spoken: frozenset(names) for spoken, names in meanings.items()})


def _stems(spoken: str) -> str:
    return " ".join(stem(word) for word in spoken.lower().replace("_", " ").split())
