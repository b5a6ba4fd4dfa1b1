"""Amounts of money in a sentence: "$1,630", "250 euros", "1.234,56 €", "two hundred dollars", "a grand". Pure.

A number without a currency is money only where money is expected ("send 50 to Anna", an answer to "how much?"), and
then in the tenant's base currency. What is ambiguous is found all the same, with its problem: it must be asked back.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shared.contracts.currencies import EXPONENTS
from shared.conversation.currency_names import CENTS, candidates, dots_group, meant
from shared.conversation.numbers import SCALES, TWO_WAYS, Number, figure, spoken
from shared.conversation.patterns import words

_TOKEN: Final = re.compile(
    r"[0-9]{1,3}(?: [0-9]{3})+(?:[.,][0-9]+)?(?![0-9])|[0-9](?:[0-9.,'\u00a0\u202f]*[0-9])?"
    r"|(?:us|ca|nz|hk|[acsr])\$(?=\s?[0-9])|[^\W\d_]+|[^\s\w]",
    re.IGNORECASE,
)
_MONEY_FOLLOWS: Final = words(
    "send transfer pay give wire remit move request demand make it of to for is was amount about around over "
    "under above below than at exactly by approximately roughly lend owe owes owing them him her me with be"
)
_NOT_MONEY_BEFORE: Final = words(
    "account number no nr card ending invoice order ref reference iban transaction id in on section version"
)
_COUNTS: Final = words(
    "% percent times time days day months month weeks week years year people persons transactions payments "
    "charges st nd rd th am pm x hours minutes items things of / : #"
)
_BOUNDS: Final = {
    "over": "at_least", "above": "at_least", "exceeding": "at_least", "least": "at_least",
    "under": "at_most", "below": "at_most", "most": "at_most", "maximum": "at_most", "than": "than",
    "about": "about", "around": "about", "roughly": "about", "approximately": "about", "nearly": "about",
    "almost": "about", "maybe": "about",
    "between": "about", "perhaps": "about", "circa": "about",
}  # fmt: skip
_THAN: Final = {
    "more": "at_least",
    "greater": "at_least",
    "larger": "at_least",
    "less": "at_most",
    "smaller": "at_most",
}
_UNLESS: Final = {"at_least": "at_most", "at_most": "at_least"}
"""The same behind a no: "no more than"."""
_HYPHEN: Final = re.compile(r"(?<=[a-z])-(?=[a-z])")
_OVER: Final = [[verb, "over"] for verb in ("transfer", "send", "wire", "move", "sending", "it")]
_SIGNS: Final = words("$ € £ ¥ ₹ ₩ ₺ ₴ ₪ us$ a$ c$ ca$ nz$ hk$ s$ r$")
_PARTS: Final = words("half quarter couple few dozen")
LARGEST_MINOR: Final = 2**53 - 1


class Money(NamedTuple):
    """minor: integer in the currency's minor unit. currency: ISO code, "" when it stays open.

    bound: "" exactly, else "at_least", "at_most" or "about". problem: what must be asked back, "" for none.
    """

    minor: int
    currency: str
    bound: str = ""
    problem: str = ""


class Found(NamedTuple):
    """start and end: where in the text, as of a slice."""

    start: int
    end: int
    money: Money


class _Scan(NamedTuple):
    texts: list[str]
    lowers: list[str]
    starts: list[int]
    ends: list[int]
    home: str
    expected: bool


def amounts_in(text: str, *, home: str, expected: bool = False) -> tuple[Found, ...]:
    """Every amount, in the order written. home: the tenant's currency. expected: we asked for an amount."""
    tokens = list(_TOKEN.finditer(_HYPHEN.sub(" ", text)))
    texts = [token[0] for token in tokens]
    lowers = [word.lower() for word in texts]
    scan = _Scan(texts, lowers, [t.start() for t in tokens], [t.end() for t in tokens], home, expected)
    found: list[Found] = []
    at = 0
    while at < len(tokens):
        hit = _amount_at(scan, at)
        if hit is None:
            at += 1
            continue
        money, at, first = hit[0], hit[1], at
        found.append(Found(scan.starts[first], scan.ends[at - 1], money))
    return tuple(found)


def _amount_at(scan: _Scan, at: int) -> tuple[Money, int] | None:
    """The amount that begins at this token, and the token after it."""
    before = candidates(scan.texts[at], leading=True)
    first = at + 1 if before else at
    home = meant(before, scan.home) or scan.home
    number = _number_at(scan, first, home)
    if number is None:
        return None
    end = first + number.length
    after = candidates(scan.texts[end]) if end < len(scan.texts) and not _leads_on(scan, end) else ()
    if not before and not after and end < len(scan.lowers) and scan.lowers[end] in CENTS:
        return _cents(scan, at, number, end)
    if not before and not after and not _stands_for_money(scan, at, end, number):
        return None
    if after:
        end += 1
        number = _number_at(scan, first, meant(after, scan.home)) or number
    currency, problem = _currency(before, after, scan.home)
    money = _money(scan, at, number, currency, problem)
    return _with_cents(scan, money, end) if after or before else (money, end)


def _leads_on(scan: _Scan, at: int) -> bool:
    """Whether a currency sign belongs to the number behind it: "$50 $60"."""
    return scan.texts[at] in _SIGNS and at + 1 < len(scan.texts) and scan.texts[at + 1][0].isdigit()


def _number_at(scan: _Scan, at: int, currency: str) -> Number | None:
    """The number at this token, with "k", "hundred", "thousand" or "grand" behind it."""
    if at >= len(scan.texts):
        return None
    if not scan.texts[at][0].isdigit():
        return spoken(scan.lowers[at : at + 16])
    exponent = EXPONENTS.get(currency, 2)
    number = figure(scan.texts[at], exponent=exponent, dots_group=dots_group(currency))
    scale = SCALES.get(scan.lowers[at + 1]) if at + 1 < len(scan.lowers) else None
    return number.times(scale) if scale else number


def _stands_for_money(scan: _Scan, at: int, end: int, number: Number) -> bool:
    """Whether a number without a currency is money: after the words that money follows, before no unit of a count."""
    before = scan.lowers[at - 1] if at else ""
    after = scan.lowers[end] if end < len(scan.lowers) else ""
    lone_word = not scan.texts[at][0].isdigit() and number.digits < 2
    if after in _COUNTS or before in _NOT_MONEY_BEFORE or before in {"-", "#", "/"} or lone_word:
        return scan.expected and len(scan.texts) <= 2
    ranged = at >= 2 and before in {"and", "to", "or", "-", "\u2013"} and scan.texts[at - 2][0].isdigit()
    if ranged or scan.expected or before in _MONEY_FOLLOWS or (number.decimals == 2 and scan.texts[at][0].isdigit()):
        return True
    named = at >= 2 and scan.texts[at - 1][:1].isupper() and scan.lowers[at - 2] in _MONEY_FOLLOWS
    return named and scan.texts[at][0].isdigit()


def _currency(before: tuple[str, ...], after: tuple[str, ...], home: str) -> tuple[str, str]:
    if before and after:
        both = tuple(code for code in after if code in before)
        before, after = both, ()
        if not both:
            return "", "two currencies are named"
    if not before and not after:
        return home, "" if home else "the currency is not named"
    currency = meant(before or after, home)
    return currency, "" if currency else "the currency can be one of several"


def _money(scan: _Scan, at: int, number: Number, currency: str, problem: str) -> Money:
    exponent = EXPONENTS.get(currency, 2)
    shift = exponent - number.decimals
    minor, rest = (number.digits * 10**shift, 0) if shift >= 0 else divmod(number.digits, 10**-shift)
    problem = number.problem or problem
    if at and (scan.lowers[at - 1] in _PARTS or scan.texts[at - 1][0].isdigit()):
        problem = problem or TWO_WAYS
    if rest:
        problem = problem or "the currency has no such small part"
    if minor <= 0 or minor > LARGEST_MINOR or _minus(scan, at):
        problem = problem or "the amount must be above zero and not absurdly large"
    return Money(min(minor, LARGEST_MINOR), currency, _bound(scan, at), problem)


def _minus(scan: _Scan, at: int) -> bool:
    before = scan.lowers[at - 1] if at else ""
    return before == "minus" or (before in {"-", "\u2212"} and (at < 2 or scan.ends[at - 2] < scan.starts[at - 1]))


def _bound(scan: _Scan, at: int) -> str:
    if scan.lowers[max(0, at - 2) : at] in _OVER:
        return ""
    bound = _BOUNDS.get(scan.lowers[at - 1], "") if at else ""
    if bound == "than":
        told = _THAN.get(scan.lowers[at - 2], "") if at > 1 else ""
        return _UNLESS.get(told, "") if at > 2 and scan.lowers[at - 3] in {"no", "not"} else told
    up_to = at > 1 and scan.lowers[at - 2 : at] == ["up", "to"]
    return "at_most" if up_to else bound


def _cents(scan: _Scan, at: int, number: Number, end: int) -> tuple[Money, int]:
    """ "50 cents": hundredths of the home currency, or of the one that calls them so."""
    currency = CENTS[scan.lowers[end]] or scan.home
    problem = "" if currency and EXPONENTS.get(currency) == 2 else "the currency is not named"
    return Money(number.digits, currency, _bound(scan, at), number.problem or problem), end + 1


def _with_cents(scan: _Scan, money: Money, end: int) -> tuple[Money, int]:
    """ "five dollars and fifty cents": the cents belong to the amount before them."""
    at = end + 1 if scan.lowers[end : end + 1] == ["and"] else end
    cents = _number_at(scan, at, money.currency)
    if cents is None or scan.lowers[at + cents.length : at + cents.length + 1] not in (["cents"], ["cent"], ["pence"]):
        return money, end
    problem = money.problem or cents.problem or ("" if cents.digits < 100 and not cents.decimals else "too many cents")
    return money._replace(minor=money.minor + cents.digits, problem=problem), at + cents.length + 1
