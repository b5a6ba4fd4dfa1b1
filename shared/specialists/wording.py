"""How advisors speak: amounts, days, categories and other people's text in plain English. Pure.

Text from outside (a merchant's name, a note, a model's words) is always quoted, on one line, without invisible
characters and cut: it can be read, and it cannot be mistaken for our own words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from shared.contracts.currencies import money_text

MAX_QUOTED: Final = 60
MAX_NAMED: Final = 4
_VAGUE: Final = frozenset(
    {"other", "general", "services", "public", "personal", "fund", "post", "agency", "gifts", "own_account", "savings"}
    | {"wallet", "to_person", "proceeds", "support", "vehicle", "student", "equipment", "professional"}
)
"""Last words of a category's name that say nothing without the first."""
_LIKE: Final = 72
"""Of 100: names less alike than this are not the same name misspelt."""
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS: Final = str.maketrans({"“": "'", "”": "'", '"': "'", "`": "'"})


def visible(text: str, most: int = MAX_QUOTED) -> str:
    """Text from outside as one short line of visible characters, for facts: not for our own sentences."""
    seen = (" " if char.isspace() else char for char in text)
    plain = " ".join("".join(char for char in seen if unicodedata.category(char) not in _INVISIBLE).split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def quoted(text: str, most: int = MAX_QUOTED) -> str:
    """The same in quotation marks of which it has none itself."""
    return f"“{visible(text, most).translate(_MARKS)}”"


def category_text(category: str) -> str:
    """ "food.groceries" is "groceries", "income.other" is "other (income)", "TRAVEL.TRAVEL_LODGING" is "lodging"."""
    branch, _, last = (category.lower() if category.isupper() else category).rpartition(".")
    last = last.removeprefix(f"{branch}_")
    words = last.replace("_", " ")
    return f"{words} ({branch.replace('_', ' ').replace('.', ', ')})" if branch and last in _VAGUE else words


def count_text(number: int, one: str, many: str = "") -> str:
    """1, "transaction" is "1 transaction"; 1200 is "1,200 transactions"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """ "a, b and c"; "nothing" for none."""
    if not parts:
        return "nothing"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def amounts_text(amounts: Mapping[str, int]) -> str:
    """Amounts by currency, side by side: they are never added."""
    return listed([money_text(amount, currency) for currency, amount in sorted(amounts.items())])


def day_text(day: date | str) -> str:
    """28 March 2026."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    return f"{day.day} {day:%B %Y}"


def span_text(since: date | None, until: date | None) -> str:
    """A span of days whose `until` is excluded: "in March 2026", "from 2 to 9 March 2026", "since 2 March 2026"."""
    if since is None:
        return "on record" if until is None else f"up to {day_text(until - timedelta(days=1))}"
    if until is None:
        return f"since {day_text(since)}"
    last = until - timedelta(days=1)
    if last <= since:
        return f"on {day_text(since)}"
    if since.day == 1 and until.day == 1:
        if (last.year, last.month) == (since.year, since.month):
            return f"in {since:%B %Y}"
        if (since.month, until.month, until.year) == (1, 1, since.year + 1):
            return f"in {since.year}"
    if (last.year, last.month) == (since.year, since.month):
        return f"from {since.day} to {day_text(last)}"
    first = f"{since.day} {since:%B}" if since.year == last.year else day_text(since)
    return f"from {first} to {day_text(last)}"


def nearest(name: str, known: Iterable[str], most: int = MAX_NAMED) -> list[str]:
    """The known names that are most like `name`, best first; none that is quite different."""
    from rapidfuzz import fuzz, process  # not when the function app is imported

    choices = {one: " ".join(one.replace(".", " ").replace("_", " ").split()) for one in sorted(known)}
    wanted = name.casefold().replace(".", " ").replace("_", " ")[:MAX_QUOTED]
    found = process.extract(wanted, choices, scorer=fuzz.WRatio, limit=most, score_cutoff=_LIKE)
    return [key for _, _, key in found]
