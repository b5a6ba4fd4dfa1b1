"""Which account money leaves and which kind of account it reaches. Pure.

"from my savings", "use my Visa" is the source; "to her savings account", "Anna's checking" is the other side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from shared.conversation.patterns import any_of, plain, words

_TYPES: Final = {
    "checking": "checking chequing current",
    "savings": "savings saving",
    "credit card": "visa mastercard amex jcb discover maestro unionpay diners",
    "app balance": "wallet in-app",
}
_ONE_WORD: Final = {word: kind for kind, line in _TYPES.items() for word in line.split()}
_TWO_WORDS: Final = {
    ("credit", "card"): "credit card", ("debit", "card"): "debit card", ("check", "card"): "debit card",
    ("bank", "card"): "debit card", ("visa", "debit"): "debit card", ("master", "card"): "credit card",
    ("american", "express"): "credit card", ("bank", "account"): "bank account", ("app", "balance"): "app balance",
    ("app", "cash"): "app balance", ("app", "account"): "app balance", ("in", "app"): "app balance",
    ("my", "balance"): "app balance", ("app", "money"): "app balance", ("the", "app"): "app balance",
}  # fmt: skip
_MINE: Final = words("my our own mine")
_THEIRS: Final = words(
    "she he they their his her hers theirs someone's somebody's someones else's friend's another's recipient receiver "
    "receiving destination beneficiary payee"
)
_HAVE: Final = words("has uses wants prefers holds")
_SOURCE: Final = words("from use using via with out through by")
_CARDS: Final = words("visa mastercard amex jcb discover maestro unionpay diners card")
_TARGET: Final = words("to into in for onto towards")
_BETWEEN: Final = words(
    "the a an of different other another some primary main joint new old personal account money have got is type one "
    "kind called banks it"
)
_PUTS: Final = words("put deposit place drop go goes going land arrive send transfer")
_OWNERLESS: Final = words("please it is ok okay yes no just and or that this go be send pay transfer check checking")


_ELSEWHERE: Final = re.compile(r"\b(?:from|via|using)\s+(?:my\s+|the\s+)?([A-Z][\w-]+)")


_BY_NAME: Final = re.compile(
    r"\b(?:from|via|using|use)\s+(?:my\s+|the\s+|account\s+)*"
    r"([a-z][a-z0-9]*(?:[-_.:][a-z0-9]+)+(?!\S*\w)|[a-z][a-z0-9]*(?=\s+to\b))"
)
"""An account by its own name: "from acc-savings", or a lone word before "to"."""
_REACHED_BY_NAME: Final = re.compile(
    r"\bto\s+(?:account\s+)?([a-z][a-z0-9]*(?:[-_:][a-z0-9]+)+)(?![\w@.-]*\w)|\A\s*([a-z]+(?:[-_:][a-z0-9]+)+)[\s.]*\Z"
)
_ASKED_BY_NAME: Final = re.compile(
    r"\b(?:in|of|on|about|for)\s+(?:my\s+|the\s+|account\s+)*([a-z]+(?:[-_][a-z0-9]+)+)\b"
)
_SAID_OF_IT: Final = re.compile(
    r"\b(?:from|via|using|use|out of)\s+(?:my|our|the)\s+((?:[a-z-]+\s+){0,2}?[a-z-]+)\s+account\b", re.IGNORECASE
)
"""What an account of the speaker's is called: "from my joint account", "from our joint savings account"."""
_NO_NAME: Final = words("me us my mine the here there now today account them him her it this that")
_ANY: Final = words("main primary own personal regular usual normal bank money current-account")
"""Says no more of an account than that it is one."""


class Sides(NamedTuple):
    """source and target: kinds of account, "" unknown. own: the target is the speaker's own. problem: to ask back."""

    source: str = ""
    target: str = ""
    own: bool = False
    problem: str = ""


_SWITCHED: Final = any_of(("change|switch|correct|update|edit .. to|into", "make it"))


class _Mention(NamedTuple):
    """side: "" when nothing around it says which."""

    kind: str
    side: str


def sides_in(text: str, *, asked: str = "") -> Sides:
    """The accounts that these words name. asked: the slot that our last reply asked for."""
    said = plain(text).split()
    mentions, at = [], 0
    while at < len(said):
        kind, length = _kind_at(said, at)
        if kind and "not" not in said[max(0, at - 3) : at]:
            mentions.append(_Mention(kind, _side(said, at, at + length)))
        at += max(length, 1)
    guessed = "target" if asked == "recipient_account_type" else "source"
    open_ = any(not one.side for one in mentions) and len({one.kind for one in mentions}) > 1
    mentions = [one if one.side else one._replace(side=guessed) for one in mentions]
    source = {one.kind for one in mentions if one.side == "source"}
    target = {one.kind for one in mentions if one.side in {"target", "own"}}
    if not target and source and any(pair in _pairs(said) for pair in _TO_THEIRS):
        target = source
    unknown = not source and any(_kind_at([name.lower()], 0)[0] == "" for name in _ELSEWHERE.findall(text))
    foreign = any(one.side == "theirs" for one in mentions)  # nobody pays from somebody else's account
    switched = bool(mentions) and _SWITCHED.search(" ".join(said)) is not None
    problem = "which account" if len(source) > 1 or len(target) > 1 or unknown or switched or foreign or open_ else ""
    own = any(one.side == "own" for one in mentions)
    return Sides("".join(sorted(source)[:1]), "".join(sorted(target)[:1]), own, problem)


def account_named_in(text: str, *, asking: bool = False) -> str:
    """An account of the speaker's own by a name, which only others can tell to be one. asking: in a question about it;
    else it is what money shall leave.

    A kind with a word of its own ("joint savings") is such a name; a kind alone ("savings") is for `sides_in`.
    """
    named = next((one for one in _BY_NAME.findall(text) if one not in _NO_NAME and not _ONE_WORD.get(one)), "")
    if not named and asking:
        named = next(iter(_ASKED_BY_NAME.findall(text)), "")
    called = _SAID_OF_IT.search(text)
    if named or called is None:
        return named
    said = [word for word in called[1].lower().split() if word not in _ANY]
    pairs = {word for pair in _TWO_WORDS for word in pair} | _CARDS
    return "" if all(word in _ONE_WORD or word in pairs for word in said) else " ".join(said)


def account_reached_in(text: str) -> str:
    """An account of the speaker's own that money shall reach, by its name: "to acc-savings". Only others can tell
    whether it is one. Words such as "my co-worker" are people."""
    found = _REACHED_BY_NAME.search(text)
    return (found[1] or found[2]) if found else ""


_TO_THEIRS: Final = frozenset({("to", "hers"), ("to", "theirs"), ("into", "hers"), ("into", "theirs")})


def _pairs(said: Sequence[str]) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(said))


def _kind_at(said: Sequence[str], at: int) -> tuple[str, int]:
    two = _TWO_WORDS.get((said[at], said[at + 1]), "") if at + 1 < len(said) else ""
    if two == "app balance" and said[at] in {"my", "the", "in"}:
        paying = at > 0 and said[at - 1] in _SOURCE | {"of", "money"}
        two = two if paying else ""
    if two:
        return two, 2
    one = _ONE_WORD.get(said[at], "")
    if said[at] in {"checking", "current"} and said[at + 1 : at + 2] in (["on"], ["my"], ["the"]):
        return "", 1
    return one, 1


def _side(said: Sequence[str], start: int, end: int) -> str:
    """source, target, own (a target of the speaker's own) or "", read from the words around the mention."""
    after = said[end : end + 3]
    if "of" in after and after.index("of") + 1 < len(after) and after[after.index("of") + 1] not in _MINE:
        return "target"
    if after[:1] == ["is"] and set(after[1:2]) & (_THEIRS | _MINE):  # "savings is hers, checking is mine"
        return "target" if after[1] in _THEIRS else "source"
    preposition, owner = _led_by(said[max(0, start - 5) : start])
    if said[start] == "my":
        owner = "mine"
    if owner == "theirs":
        return "target" if preposition != "source" else "theirs"
    if owner == "mine":
        card = said[end - 1] == "card" or said[start] in _CARDS
        lies_in = said[start - 2 : start - 1] in (["in"], ["for"])
        return "own" if preposition == "target" and not card and not lies_in else "source"
    if preposition == "target" and said[start - 1] == "in" and not _PUTS & set(said[:start]):
        return "source"  # "the money is in savings"
    return preposition


def _led_by(before: Sequence[str]) -> tuple[str, str]:
    """The side that a preposition names, and whose it is: "mine", "theirs" or "", told by the words before a kind."""
    owner = ""
    for back, word in enumerate(reversed(before)):
        if word in _SOURCE or word in _TARGET:
            return "source" if word in _SOURCE else "target", owner
        if word in _MINE or word in _THEIRS or word in _HAVE or word.endswith(("'s", "s'")):
            owner = owner or ("mine" if word in _MINE else "theirs")
        elif word not in _BETWEEN:
            return "", owner or ("theirs" if back == 0 and word not in _OWNERLESS and word.isalpha() else "")
    return "", owner
