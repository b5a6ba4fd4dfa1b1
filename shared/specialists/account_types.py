"""Which of a tenant's accounts somebody means by "savings" or "my card": told from the accounts' names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+")
_NAME: Final = re.compile(r"[^\W_]+")
_SPOKEN: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(words.split())
    for kind, words in {
        "checking": "checking chequing cheque check current giro main everyday debit",
        "savings": "savings saving save deposit reserve",
        "credit card": "credit card visa mastercard amex",
        "debit card": "debit current checking giro card",
        "bank account": "checking current giro main bank",
        "app balance": "wallet app balance",
    }.items()
}


def of_type(kind: str, accounts: Iterable[str]) -> list[str]:
    """The accounts whose name is `kind`, or says that they are of it; in order. Several when the name says no more.

    What is no kind that people speak of is a name: then each of its words must be in the account's.
    """
    accounts = sorted(accounts)
    exact = [one for one in accounts if one.casefold() == kind.casefold()]
    if exact:
        return exact
    words = _SPOKEN.get(kind.casefold())
    if words is None:
        own = set(_NAME.findall(kind.casefold()))
        return [one for one in accounts if own and own <= set(_NAME.findall(one.casefold()))]
    said = {one: len(words & set(_WORD.findall(one.casefold()))) for one in accounts}
    most = max(said.values(), default=0)
    return [one for one in accounts if said[one] == most] if most else []
