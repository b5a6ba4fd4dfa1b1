"""How people name currencies, and which one is meant. Pure data and one look-up.

"$" and "dollars" name a family: the tenant's own currency when it belongs to the family, otherwise nobody knows.
"""

from __future__ import annotations

from typing import Final

from shared.contracts.currencies import EXPONENTS
from shared.conversation.patterns import in_order, words

_DOLLARS: Final = in_order("USD CAD AUD NZD SGD HKD TWD BBD BMD BND BSD BZD FJD GYD JMD KYD LRD NAD SBD SRD TTD XCD")
_PESOS: Final = in_order("MXN ARS CLP COP CUP DOP PHP UYU")
_RUPEES: Final = in_order("INR LKR MUR NPR PKR SCR")
_FRANCS: Final = ("CHF", "XAF", "XOF", "XPF", "BIF", "CDF", "DJF", "GNF", "KMF", "RWF")
_KRONER: Final = ("SEK", "NOK", "DKK", "ISK")

NAMES: Final = {
    "$": _DOLLARS, "dollar": _DOLLARS, "dollars": _DOLLARS, "buck": _DOLLARS, "bucks": _DOLLARS,
    "us$": ("USD",), "a$": ("AUD",), "c$": ("CAD",), "ca$": ("CAD",), "nz$": ("NZD",), "hk$": ("HKD",), "s$": ("SGD",),
    "€": ("EUR",), "euro": ("EUR",), "euros": ("EUR",),
    "£": ("GBP",), "pound": ("GBP",), "pounds": ("GBP",), "quid": ("GBP",),
    "¥": ("JPY", "CNY"), "yen": ("JPY",), "yuan": ("CNY",), "renminbi": ("CNY",),
    "₹": ("INR",), "rupee": _RUPEES, "rupees": _RUPEES, "rs": _RUPEES,
    "franc": _FRANCS, "francs": _FRANCS, "r$": ("BRL",), "reais": ("BRL",), "real": ("BRL",),
    "peso": _PESOS, "pesos": _PESOS, "krona": _KRONER, "kronor": _KRONER, "kroner": _KRONER, "krone": _KRONER,
    "kr": _KRONER, "zloty": ("PLN",), "zł": ("PLN",), "₩": ("KRW",), "won": ("KRW",), "rand": ("ZAR",),
    "₺": ("TRY",), "lira": ("TRY",), "₴": ("UAH",), "hryvnia": ("UAH",), "₪": ("ILS",), "shekels": ("ILS",),
    "dinar": ("KWD", "BHD", "JOD", "TND", "IQD", "DZD", "RSD", "LYD"),
    "dinars": ("KWD", "BHD", "JOD", "TND", "IQD", "DZD", "RSD", "LYD"),
}  # fmt: skip
CENTS: Final = {"cent": "", "cents": "", "pence": "GBP", "penny": "GBP"}

_ALSO_WORDS: Final = words("ALL BOB TOP TRY CUP MOP GEL BAM SOS PEN LAK COP MAD RON")
_DOTS_GROUP: Final = words("EUR DKK NOK SEK ISK BRL ARS CLP COP UYU IDR VND TRY PLN CZK HUF RON RSD CHF")


def candidates(token: str, *, leading: bool = False) -> tuple[str, ...]:
    """The currencies that a token may name; () when it names none.

    An ISO code counts in capitals or in small letters; one that is also a word or a name only in capitals and behind
    the number. leading: the token stands before the number.
    """
    code = token.upper()
    if len(token) == 3 and code in EXPONENTS and token in {code, code.lower()}:
        word = code in _ALSO_WORDS
        return () if word and (leading or token != code) else (code,)
    return NAMES.get(token.lower(), ())


def meant(names: tuple[str, ...], home: str) -> str:
    """The one currency that is meant, "" when it stays open. home: the tenant's base currency, "" unknown."""
    if len(names) == 1:
        return names[0]
    return home if home in names else ""


def dots_group(currency: str) -> bool:
    """Whether "1.234" is how its users write 1234."""
    return currency in _DOTS_GROUP
