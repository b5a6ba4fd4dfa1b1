"""A bank's raw descriptor, reduced to the words that name the merchant. Pure: text in, text out.

What a bank prints is the merchant's name among noise that differs from one purchase to the next: a payment processor's
prefix, a store number, a date, a reference, the tail of a card, a town. Memory is keyed by what is left, so the rule
here is: remove what varies between purchases of one merchant, keep what tells two merchants apart, and when nothing
would be left keep the text as it was.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_RAW: Final = 200
"""Characters of the raw text that are looked at: a statement line has 18 to 140; longer is not a descriptor."""

_PREAMBLE: Final = re.compile(
    r"(?:(?:card|debit card|credit card|visa|visa debit|mastercard|contactless|pos|online) "
    r"(?:payment|purchase|transaction)(?: (?:to|at))?"
    r"|direct debit(?: to)?|standing order(?: to)?|dd|pos)\b[\s:*-]+(?=\S)"
)
# A processor stands before the merchant it collects for, and says nothing of what was bought.
_PROCESSOR: Final = re.compile(
    r"(?:(?:paypal|pypl|sumup|zettle|izettle|stripe|square|worldpay|gocardless|klarna|adyen)[\s*_:-]+"
    r"|(?:pp|sq|sp|tst|zlr|iz|crv|py)\s*\*\s*)(?=\w)"
)
_WEB: Final = re.compile(  # whole addresses, and those the bank cut off
    r"https?://|\bwww?[.\s]|\.(?:co|org|gov|ac|net|com)\.(?:uk?|au|nz|za|in|jp|br)?\b"
    r"|\.(?:com|co|org|net|eu|gov|de|fr|ie|io|c)\b(?:/\S*)?"
)
_DIGIT: Final = re.compile(r"\d")
_MONTH: Final = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_NUMBERED: Final = re.compile(  # dates, times, references that name themselves, the tail of a card
    r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?\b|\b\d{1,2}:\d\d(?::\d\d)?\b"
    rf"|\b(?:on )?\d{{1,2}}\s?{_MONTH}(?:\s?\d{{2,4}})?\b|\b{_MONTH}\d{{1,4}}\b"
    r"|\b(?:card )?(?:ending|no|ref|reference|auth|mandate|invoice|inv|order)\b[\s:.#]*(?=\w*\d\d)[\w-]+"
    r"|[x*]{2,}[\s-]*\d{2,}"
)
_REFERENCE: Final = re.compile(r"\d{2,}|[a-z]\d{3,}|(?=.{5})(?:\d+[a-z]+\d|[a-z]+\d+[a-z]+\d?)\w*|fs\d+|x{3,}\w*")
# Named ranges and not `\W`, which would cut words of the scripts that write vowels and tones as marks.
_APART: Final = re.compile(r"[\s!-/:-@\[-`{-~\xa0-\xbf\u2000-\u206f\u3000-\u303f]+")
_LEGAL: Final = frozenset({"ltd", "limited", "limite", "plc", "llp", "llc", "inc", "corp", "gmbh", "bv", "sarl", "pty"})
_PLACES: Final = frozenset(
    {"gb", "gbr", "uk", "us", "usa", "ie", "irl", "de", "deu", "fr", "fra", "nl", "nld", "es", "esp", "it", "ita", "eu"}
    | {"london", "birmingham", "manchester", "leeds", "glasgow", "edinburgh", "liverpool", "bristol", "sheffield"}
    | {"cardiff", "belfast", "dublin", "paris", "berlin", "madrid", "amsterdam", "luxembourg", "lux", "york"}
    | {"seattle", "chicago", "boston", "sydney", "melbourne", "toronto"}
)
# "bank of london" is a name; "costa coffee london" is a place where one was drunk.
_BINDS: Final = frozenset({"of", "in", "the", "at", "for", "and", "new", "de", "la"})


@lru_cache(maxsize=8192)
def normalised(descriptor: str) -> str:
    """The merchant's words, casefolded, single-spaced, letters and digits only; "" for a descriptor without any.

    The same text always gives the same words, and normalised words are left as they are in all but rare cases:
    callers normalise the raw text once and never the result.
    """
    text = _folded(descriptor[:MAX_RAW])
    bare = text
    if opening := _PREAMBLE.match(bare):
        bare = bare[opening.end() :]
    if opening := _PROCESSOR.match(bare):
        bare = bare[opening.end() :]
    plain = _WEB.sub(" ", bare) if "." in bare or "www" in bare else bare
    if _DIGIT.search(plain):
        plain = _NUMBERED.sub(" ", plain)
    words = _words(plain)
    kept = [word for word in words if word.isalpha() or not _REFERENCE.fullmatch(word)]
    return " ".join(_without_tail(kept) or words or _words(bare) or _words(text))


def first_words(merchant: str, count: int) -> str:
    """The first `count` words of normalised text: what branches and departments of one merchant tend to share."""
    return " ".join(merchant.split(" ", count)[:count])


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower().strip()
    # Banks drop accents at will; marks outside the Latin block carry vowels in other scripts and stay.
    apart = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(char for char in apart if not "\u0300" <= char <= "\u036f")
    return unicodedata.normalize("NFKC", plain).replace("\u2019", "'").strip()


def _words(text: str) -> list[str]:
    return [word for word in _APART.split(text.replace("'", "")) if word]


def _without_tail(words: list[str]) -> list[str]:
    """Without the legal form and the place at the end, as long as a word remains that is neither."""
    end = len(words)
    while end > 1 and (words[end - 1] in _LEGAL or (words[end - 1] in _PLACES and words[end - 2] not in _BINDS)):
        end -= 1
    return words[:end]
