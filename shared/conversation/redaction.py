"""What leaves for a language model carries no account numbers: placeholders stand for them, and come back as they were.

`redact` before anything is sent, `restored` (or `Restoring`, for words as they arrive) before a person or a tool sees
what came back. What the placeholders hide stays here. Merchants' names, dates and amounts are left alone. When it is
not clear what a run of digits is, it is hidden: that costs a model a little, and a person nothing.

What is hidden: the tenant's own accounts (those whose id holds a digit and is four characters or more: the rest are
names), IBANs (ISO 13616), card numbers (Luhn, ISO/IEC 7812), other runs of eight digits or more, and e-mail addresses.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

Hidden = Mapping[str, str]
"""Placeholder to what it stands for. It never leaves."""
NOTHING: Hidden = MappingProxyType({})

_PLACEHOLDER = re.compile(r"\[(?:account|iban|card|number|email|text) [1-9]\d{0,3}\]", re.IGNORECASE)
_LONGEST = len("[account 9999]")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_IBAN = re.compile(r"(?<![A-Z0-9])(?=([A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30})(?![A-Z0-9]))", re.IGNORECASE | re.ASCII)
_CARD = re.compile(r"(?<!\d)(?:\d{13,19}|\d{4}([ .-])\d{4,6}(?:\1\d{3,6}){1,3})(?!\d)")
_DIGITS = re.compile(r"(?<!\d)\d{8,}(?!\d)")
_GROUPS = re.compile(r"(?<!\d)\d{1,10}([ -])\d{2,10}(?:\1\d{2,10})*(?!\d)")
_GROUPED_DIGITS = 9
"""A date has eight digits in three groups; nine or more are somebody's number."""
_MONEY_BEFORE = re.compile(r"[$€£¥₹] ?[+-]?$")
_MONEY_AFTER = re.compile(r"[.,]\d{2}(?!\d|[.,]\d)| ?[$€£¥₹]")
"""A currency's code beside the digits is not enough: `my EUR 12345678` is an account as likely as a sum."""
_FLEXIBLE = 8
"""So many characters of an own account are recognised however they are spaced; fewer only as they are spelled."""
_VERBATIM = ("email", "text")


class Redacted(NamedTuple):
    """`text` may leave; `hidden` may not. Give `hidden` on to the next text, so that a placeholder means one thing."""

    text: str
    hidden: Hidden


class _Find(NamedTuple):
    start: int
    end: int
    kind: str


def redact(text: str, accounts: Sequence[str], hidden: Hidden = NOTHING) -> Redacted:
    """`text` with placeholders. accounts: the tenant's own ids, `[account 1]` the first of them in sorted order.

    The same number, however it is spaced, always gets the same placeholder. Text that looks like a placeholder is
    hidden too: nobody can write one that would turn into a number.
    """
    own = _own(tuple(sorted(accounts)))
    known = dict(hidden)
    names = {_key(_kind(name), value): name for name, value in known.items()}
    parts, end = [], 0
    for find in _finds(text, own):
        value = text[find.start : find.end]
        key = _key(find.kind, value)
        if key not in names:
            number = own.numbers.get(key, 0)
            names[key] = _free("account" if number else find.kind, number, known)
            known[names[key]] = own.ids[number - 1] if number else value
        parts += [text[end : find.start], names[key]]
        end = find.end
    return Redacted("".join(parts) + text[end:], known)


def redact_values(value: Any, accounts: Sequence[str], hidden: Hidden = NOTHING) -> tuple[Any, Hidden]:
    """A JSON value with every text in it redacted; numbers and the names of members stay as they are."""
    match value:
        case str():
            return redact(value, accounts, hidden)
        case Mapping():
            members = {}
            for name, one in value.items():
                members[name], hidden = redact_values(one, accounts, hidden)
            return members, hidden
        case list() | tuple():
            items = []
            for one in value:
                item, hidden = redact_values(one, accounts, hidden)
                items.append(item)
            return items, hidden
    return value, hidden


def restored(text: str, hidden: Hidden) -> str:
    """`text` as the person is to see it. A placeholder that stands for nothing stays as it is."""
    return _PLACEHOLDER.sub(lambda found: hidden.get(found.group().lower(), found.group()), text)


def restored_values(value: Any, hidden: Hidden) -> Any:
    """A JSON value, such as the arguments of a tool's call, with every text in it restored."""
    match value:
        case str():
            return restored(value, hidden)
        case Mapping():
            return {name: restored_values(one, hidden) for name, one in value.items()}
        case list() | tuple():
            return [restored_values(one, hidden) for one in value]
    return value


class Restoring:
    """Restores words while they arrive: `feed` gives back what may be shown now, `rest` what was held back at the end.

    Only the beginning of what may become a placeholder is held back.
    """

    def __init__(self, hidden: Hidden) -> None:
        self._hidden = hidden
        self._held = ""

    def feed(self, words: str) -> str:
        text = self._held + words
        opened = text.rfind("[")
        waits = opened >= 0 and "]" not in text[opened:] and len(text) - opened < _LONGEST
        cut = opened if waits else len(text)
        self._held = text[cut:]
        return restored(text[:cut], self._hidden)

    def rest(self) -> str:
        held, self._held = self._held, ""
        return restored(held, self._hidden)


class _Own(NamedTuple):
    """The tenant's accounts that are hidden: in order, by their compact spelling, and as one pattern."""

    ids: tuple[str, ...]
    numbers: Mapping[str, int]
    pattern: re.Pattern[str] | None


def _kind(name: str) -> str:
    return name[1:].partition(" ")[0]


def _key(kind: str, value: str) -> str:
    """What makes two finds the same: their characters, but for the spacing of numbers."""
    return value if kind in _VERBATIM else _compact(value)


def _free(kind: str, wanted: int, known: Hidden) -> str:
    """The placeholder with the wanted number (0: the next one), or the first after it that stands for nothing yet."""
    number = wanted or 1 + sum(_kind(name) == kind for name in known)
    while f"[{kind} {number}]" in known:
        number += 1
    return f"[{kind} {number}]"


@lru_cache(maxsize=256)
def _own(accounts: tuple[str, ...]) -> _Own:
    ids = tuple(one for one in accounts if len(one) >= 4 and any(character.isdigit() for character in one))
    spelled = [
        "[ .-]?".join(map(re.escape, _compact(one))) if len(_compact(one)) >= _FLEXIBLE else re.escape(one)
        for one in sorted(ids, key=len, reverse=True)
    ]
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(spelled)})(?![A-Za-z0-9])", re.IGNORECASE) if ids else None
    return _Own(ids, {_compact(one): number for number, one in reversed([*enumerate(ids, 1)])}, pattern)


def _compact(value: str) -> str:
    return re.sub(r"[ .-]", "", value).casefold()


def _finds(text: str, own: _Own) -> Iterator[_Find]:
    """What to hide, in order and without overlaps: the kinds that are surest take their place first."""
    taken: list[_Find] = []
    for kind, spans in (
        ("text", _spans(_PLACEHOLDER, text)),
        ("account", _spans(own.pattern, text)),
        ("email", _spans(_EMAIL, text)),
        ("iban", _ibans(text)),
        ("", _spans(_UUID, text)),
        ("card", _cards(text)),
        ("number", _numbers(text)),
    ):
        for start, end in spans:
            if all(end <= one.start or one.end <= start for one in taken):
                taken.append(_Find(start, end, kind))
    return iter(sorted(find for find in taken if find.kind))


def _spans(pattern: re.Pattern[str] | None, text: str) -> Iterable[tuple[int, int]]:
    return [found.span() for found in pattern.finditer(text)] if pattern else []


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """The longest beginning of each candidate that passes the check (words may follow it)."""
    for found in _IBAN.finditer(text):
        start, candidate = found.start(), found.group(1)
        for end in range(len(candidate), 14, -1):
            if not candidate[end : end + 1].isalnum() and _is_iban(_compact(candidate[:end])):
                yield start, start + end
                break


def _is_iban(compact: str) -> bool:
    """ISO 7064 modulo 97-10 over the rearranged characters, letters as 10 to 35."""
    return 15 <= len(compact) <= 34 and int("".join(str(int(one, 36)) for one in compact[4:] + compact[:4])) % 97 == 1


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for found in _CARD.finditer(text):
        if _passes_luhn([int(one) for one in found.group() if one.isdigit()]):
            yield found.span()


def _passes_luhn(digits: Sequence[int]) -> bool:
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _numbers(text: str) -> Iterator[tuple[int, int]]:
    for found in _DIGITS.finditer(text):
        before, after = text[max(found.start() - 6, 0) : found.start()], text[found.end() :][:8]
        if not (_MONEY_BEFORE.search(before) or _MONEY_AFTER.match(after)):
            yield found.span()
    for found in _GROUPS.finditer(text):
        if sum(one.isdigit() for one in found.group()) >= _GROUPED_DIGITS:
            yield found.span()
