"""Who is to be paid, or who is to pay: names in a sentence. Pure.

Names are told by their capital letter, or by their place ("to anna", the whole answer to "who?"). A relation alone
("my brother") names nobody: the name is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from shared.conversation.asides import AFFIRM, DENY, SMALL_TALK
from shared.conversation.patterns import any_of, in_order, plain, words

_TOKEN: Final = re.compile(r"[\w'&@.\-]*[\w']|&|[\ue000-\ue2ff]|,")
_NO_NAME: Final = words(
    "i i'm i'd i'll please thanks thank my the it this that visa mastercard amex jcb checking savings saving "
    "account monday tuesday wednesday thursday friday saturday sunday usd eur gbp ok okay yes no send "
    "transfer pay and also now from use using can could would make let's let hello hi bank him her them they "
    "he she who whom what to for with atm iban asap fyi public private credit debit app his their our your is"
)
_SKIPPED: Final = words(
    "my our the a an friend friends contact contacts named called person recipient payee account accounts "
    "savings saving checking current bank credit debit of name brother sister wife husband partner boss "
    "landlord son daughter colleague neighbour neighbor roommate flatmate cousin uncle aunt buddy pal "
    "friend's good old new contact's my's company firm business in this that following user customer"
)
_KIN: Final = {
    word: word.capitalize() for word in in_order("mom mum dad mommy mummy daddy grandma grandpa granny mama papa")
}
_NOT_PEOPLE: Final = words(
    "me you us him her them it someone somebody anyone anybody everyone whoever all any this that these those "
    "both one same other another be do go get make pay cover buy help settle send have see keep use eat save "
    "invest spend give spare transfer complete confirm check the a an my his their our your its account "
    "accounts funds fund money cash bank card today tomorrow now later private public please contact work "
    "date on in at by from for and or so as with savings saving checking current theirs hers mine yours home "
    "rent bills"
)
_LEADS_TO: Final = words(
    ", it them money funds fund transfer payment send sent pay wire go going this that sending payable make "
    "no not instead but and please request demand collect ask asking cash like"
)
_ENDS: Final = words(
    "please from for now today and using with via in on , thanks thank by out so right privately his her their at's"
)
_OWNED: Final = words("account accounts savings saving checking current bank credit debit way please and")
_PARTICLES: Final = words("de da del della di van von der den la le of & bin ibn al el")
_COPULAS: Final = words("is be name named called contact recipient it's name's")
_RECEIVES: Final = words("needs gets should needed wants receives to will is")
_TO_RECEIVE: Final = [["to", "have"], ["to", "get"], ["to", "receive"], ["to", "be"]]
_VERBS: Final = words("pay send give owe lend repay wire tip transfer sending paying giving owes deposit forward sent")
_ASKS: Final = words("ask charge bill invoice request")
_YES_OR_NO: Final = any_of((*AFFIRM, *DENY, *SMALL_TALK))
_ELSEWHERE: Final = words("from at via using by not in on since my i")
_THE_ONE: Final = re.compile(r"\b(?:to|for)\s+(?:my|the|our)\s+([a-z]{3,})\b", re.IGNORECASE)
_WITHOUT: Final = words("not except never n't")


class Named(NamedTuple):
    """name: "" when nobody is named. problem: what to ask back when several are."""

    name: str = ""
    problem: str = ""


def payee_in(text: str, *, lacking: bool, asked: bool) -> Named:
    """Who is to be paid. lacking: nobody has been named yet, so a bare name may be the answer. asked: our last reply
    asked for the name, so the one name in the message is the answer, wherever it stands.
    """
    tokens = _tokens(text)
    strong = _after(tokens, {"to", "ot", "into", "onto"}, lower=True) + _after(tokens, _VERBS, lower=False)
    found = (
        strong
        or _owner(tokens)
        or _after(tokens, {"with"}, lower=False)
        or _told(tokens)
        or _after(tokens, {"for"}, lower=False)
    )
    return _one(found or (_bare(tokens) if lacking else []) or (_anywhere(tokens) if asked else []))


def payer_in(text: str, *, lacking: bool, asked: bool) -> Named:
    """Who is asked to pay. lacking and asked: as above."""
    tokens = _tokens(text)
    found = _after(tokens, {"from"}, lower=True) + _after(tokens, _ASKS, lower=True)
    found = found or _after(tokens, {"with", "to", "for", "ot"}, lower=False) or _told(tokens)
    return _one(found or (_bare(tokens) if lacking else []) or (_anywhere(tokens) if asked else []))


def addressee_in(text: str) -> Named:
    """Who a message is for: after "to" or "for", or after the verb. The first named: the rest is its text."""
    tokens = _tokens(text)
    found = _after(tokens, {"to", "for", "email", "text", "message", "write", "tell"}, lower=True)
    found = found or _THE_ONE.findall(text)  # whoever copies the draft knows who that is
    return Named(found[0]) if found else Named()


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _one(found: Sequence[str]) -> Named:
    different = {name.casefold(): name for name in found}
    if len(different) > 1:
        return Named(problem="several people are named")
    return Named(next(iter(different.values()), ""))


def _after(tokens: Sequence[str], leads: frozenset[str] | set[str], *, lower: bool) -> list[str]:
    """Every name that follows one of these words, but for those that are excluded ("not to Bob")."""
    found = []
    for at, token in enumerate(tokens):
        if token.lower() not in leads or (set(map(str.lower, tokens[max(0, at - 2) : at])) & _WITHOUT):
            continue
        name = _name_at(tokens, at + 1, lower=lower)
        if name:
            found += [name, *_listed(tokens, at + 1, name)]
    return found


def _listed(tokens: Sequence[str], at: int, name: str) -> list[str]:
    """A second name beside the first: "to Anna and Bob"."""
    rest = [word for word in tokens[at + 1 : at + 10] if word != ","]
    last = name.rsplit(maxsplit=1)[-1]
    joined = [after for one, after in pairwise(rest) if one in {"and", "or", "plus"} and _is_name(after)]
    behind = bool(rest) and (last in tokens[at : at + 10])
    return joined[:1] if behind else []


def _name_at(tokens: Sequence[str], at: int, *, lower: bool) -> str:
    skipped = False
    while at < len(tokens) and _skips(tokens[at]):
        skipped, at = True, at + 1
    if at >= len(tokens):
        return ""
    if tokens[at].lower().removesuffix("'s") in _KIN:
        return _KIN[tokens[at].lower().removesuffix("'s")]
    if _is_name(tokens[at]):
        return _whole_name(tokens, at)
    led = (
        at < 2
        or (set(map(str.lower, tokens)) & _VERBS and tokens[at - 2].lower() in _LEADS_TO)
        or "\ue000" <= tokens[at - 2] <= "\ue2ff"
    )
    if lower and not skipped and led and _lower_name(tokens, at):
        return tokens[at].removesuffix("'s").removesuffix("'")
    return ""


def _skips(token: str) -> bool:
    return token in _SKIPPED or token.capitalize() in {"The", "My"}


def _is_name(token: str) -> bool:
    letters = token[:1].isalpha() and not token[:1].islower()
    address = "@" in token or bool(re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}", token))
    return address or (letters and token.lower() not in _NO_NAME)


def _whole_name(tokens: Sequence[str], at: int) -> str:
    """The name and what belongs to it: "Maria de la Cruz", "Marks & Spencer"; a possessive ends it."""
    parts: list[str] = []
    while at < len(tokens) and len(parts) < 6:
        token = tokens[at]
        if token.endswith(("'s", "'")):
            owned = tokens[at + 1].lower().removesuffix("'s") if at + 1 < len(tokens) else ""
            known = not owned.isalpha() or owned in _OWNED
            return " ".join([*parts, token.removesuffix("'").removesuffix("'s")]) if known else ""
        joins = token in _PARTICLES and at + 1 < len(tokens) and _is_name(tokens[at + 1])
        if not (_is_name(token) or (parts and joins)):
            break
        parts.append(token)
        at += 1
    return " ".join(parts)


def _lower_name(tokens: Sequence[str], at: int) -> bool:
    """A name in small letters: one word that is no other word, with nothing behind it that it could govern."""
    word = tokens[at]
    following = tokens[at + 1] if at + 1 < len(tokens) else ","
    alone = following.lower() in _ENDS or "\ue000" <= following <= "\ue2ff" or word.endswith("'s")
    return word.removesuffix("'s").isalpha() and alone and word.lower() not in _NOT_PEOPLE


def _owner(tokens: Sequence[str]) -> list[str]:
    """ "Anna's savings account": whose account it goes to."""
    pairs = (one for one, after in pairwise(tokens) if one.endswith(("'s", "'")) and after.lower() in _OWNED)
    return [one.removesuffix("'").removesuffix("'s") for one in pairs if _is_name(one.removesuffix("'s"))]


def _told(tokens: Sequence[str]) -> list[str]:
    """ "the contact is Anna", "Anna needs it", "for Anna to receive", "Anna's way"."""
    found = []
    for at, token in enumerate(tokens):
        if token.lower() in _COPULAS and at + 1 < len(tokens) and _is_name(tokens[at + 1]):
            found.append(_whole_name(tokens, at + 1))
        elif _is_name(token) and tokens[at + 1 : at + 2] == ["way"]:
            found.append(token.removesuffix("'s"))
        elif _is_name(token) and tokens[at + 1 : at + 3] in _TO_RECEIVE:
            found.append(token)
    if len(tokens) > 1 and _is_name(tokens[0]) and tokens[1] in _RECEIVES:
        found.append(tokens[0])
    return found


def _bare(tokens: Sequence[str]) -> list[str]:
    """A name that is the whole answer or one part of it, give or take a courtesy: "Anna, from my savings"."""
    if _YES_OR_NO.match(" ".join(tokens).lower()):
        return []
    parts = " ".join(tokens).split(",")
    return [name for part in parts for name in _lone(part.split())]


def _anywhere(tokens: Sequence[str]) -> list[str]:
    """Names that stand anywhere but at the beginning, where any word has a capital letter."""
    found = []
    for at in range(1, len(tokens)):
        begins = _is_name(tokens[at]) and not _is_name(tokens[at - 1]) and tokens[at - 1] != ","
        if begins and tokens[at - 1].lower() not in _ELSEWHERE:
            found.append(_whole_name(tokens, at))
    return [name for name in found if name]


def _lone(tokens: Sequence[str]) -> list[str]:
    if _YES_OR_NO.search(plain(" ".join(tokens))):
        return []
    said = [word for word in tokens if word.lower() not in _COURTESIES]
    if not said or len(said) > 3 or not all(word.replace("'", "").isalpha() for word in said):
        return []
    if said[0].lower() in _KIN:
        return [_KIN[said[0].lower()]]
    known = all(_is_name(token) for token in said)
    unknown = len(said) == 1 and said[0].lower() not in _NOT_PEOPLE | _SKIPPED | _NO_NAME
    return [" ".join(said)] if known or unknown else []


_COURTESIES: Final = words("please thanks thank you , yes ok okay to it's its my friend")
