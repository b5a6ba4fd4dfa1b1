"""The merchant that a question is about: "at Lidl", "why was Netflix flagged", a quotation; or its id. Pure.

The name is only ever looked up in the tenant's own ledger; whatever it says is not read further.
"""

from __future__ import annotations

import re
from typing import Final

from shared.conversation.marks import Marked
from shared.conversation.patterns import words

_TOKEN: Final = re.compile(r"[\w'&@.\-*]*[\w']|[\ue000-\ue2ff]|[,?]")
_LEADS: Final = words(
    "at from with by to on for of about was is were are my the put move did mark file categorise categorize paid pay "
    "spent"
)
_NO_MERCHANT: Final = words(
    "i i'm my the a an it this that these those all any each every me us you he she they we what how much "
    "many why when where which who usd eur gbp atm please thanks ok january february march april may june "
    "july august september october november december monday tuesday wednesday thursday friday saturday sunday "
    "show list find explain did have do can under as in into to for on of and or is was are were month week "
    "year day last past total average more less than"
)
_ENDS: Final = words("? , this last in on under as to into and since for during from between flagged marked put sent")
_LOWER_LEADS: Final = words("at")


_NAMED_ID: Final = re.compile(
    r"\b(?:transaction|payment|charge|id|txn)\s+(?:id\s+|number\s+)?#?([\w.:-]*[0-9][\w.:-]*)\b", re.IGNORECASE
)
_BARE_ID: Final = re.compile(
    r"(?<![\w.:@/-])((?=[\w.:-]*[A-Za-z])(?:[A-Za-z0-9]+[-_:.])+[A-Za-z0-9]*[0-9][A-Za-z0-9]*|[0-9]{3,}[-_][0-9]{5,})"
    r"(?![\w@/-])"
)
"""An id by its form: letters and figures in parts, such as "s-113" or "tx_99812"."""


def transaction_id_in(text: str) -> str:
    """The id of a transaction, "" for none; whether there is such a one, others know."""
    found = _NAMED_ID.search(text) or _BARE_ID.search(text)
    return found[1] if found else ""


def merchant_in(text: str, marked: Marked, *, verb_ahead: bool = False) -> str:
    """The name, "" for none. verb_ahead: one in small letters counts too behind a verb ("put lidl under")."""
    quotes = marked.quotes_of(text)
    if quotes:
        return quotes[0][:80] if len(quotes) == 1 else ""
    tokens = _TOKEN.findall(text)
    for at, token in enumerate(tokens):
        follows = at > 0 and tokens[at - 1].lower() in _LEADS | _NO_MERCHANT
        if _is_name(token) and (follows or at == 0) and not (at == 0 and token.lower() in _LEADS):
            return _whole(tokens, at)
    return _lower(tokens, verb_ahead=verb_ahead)


def _is_name(token: str) -> bool:
    return token[:1].isalpha() and not token[:1].islower() and token.lower() not in _NO_MERCHANT | _VERBS


_VERBS: Final = words(
    "recategorise recategorize reclassify categorise categorize put move mark file label tag treat count "
    "change fix could would will help tell give get see search look pull display spending transactions budget "
    "notify turn"
)


def _whole(tokens: list[str], at: int) -> str:
    parts: list[str] = []
    while at < len(tokens) and len(parts) < 5 and (_is_name(tokens[at]) or (parts and tokens[at] in {"&", "of"})):
        parts.append(tokens[at].removesuffix("'s"))
        at += 1
    return " ".join(parts)


def _lower(tokens: list[str], *, verb_ahead: bool) -> str:
    """ "at lidl last month": one or two words in small letters, up to a word that ends a name."""
    leads = _LOWER_LEADS | (_VERBS | {"all", "my"} if verb_ahead else frozenset())
    for at, token in enumerate(tokens[:-1]):
        if token.lower() not in leads or tokens[at + 1].lower() in _NO_MERCHANT:
            continue
        name = [word for word in tokens[at + 1 : at + 3] if word[0].isalnum()]
        if len(name) == 2 and tokens[at + 2].lower() in _ENDS | _NO_MERCHANT:
            name = name[:1]
        return " ".join(name)
    return ""
