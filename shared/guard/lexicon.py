"""Which of a policy's terms stand in a statement's text: one pass over its words, whatever the number of terms.

A term is one or more words; `stem*` and `*stem` match the start or the end of one word (compound nouns); scripts
written without spaces are searched as they stand. A short term inside a longer one that also matched is not read:
where "airport transfer" is a term, its "transfer" says nothing. So a trap is answered by naming it, as data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

ANY_FLOW: Final = "any"
_FLOWS: Final = {"in": 1, "out": -1, ANY_FLOW: 0}
_STEM: Final = 4
"""A stem has at least four letters: the first (or last) four are the key it is found by."""
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_POSSESSIVE: Final = re.compile(r"['\u2019`](?=s\b)")
_LETTERS: Final = str.maketrans({"ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "\u0131": "i", "þ": "th"})
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Thai, Japanese, Chinese, Korean: no spaces between words, or none that banks keep."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the policy that reads text. kind: "category", a lane's name, or a kind of sign ("refund", ...).

    target: what it speaks for. flow: "in" (money comes), "out" or "any". needs: one of these words must stand beside
    the term, when there are any; unless: none of these may.
    """

    kind: str
    target: str
    confidence_bp: int
    terms: tuple[str, ...]
    flow: str = ANY_FLOW
    needs: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()


class Hit(NamedTuple):
    """A rule's term that was read, and how many words it has."""

    rule: Rule
    term: str
    words: int


class Reading(NamedTuple):
    """A text's words in their order and the hits by the kind of rule, best first."""

    words: tuple[str, ...]
    hits: Mapping[str, tuple[Hit, ...]]

    def best(self, kind: str, amount_minor: int) -> Hit | None:
        """The most confident, then the longest hit of this kind that fits the direction of the money."""
        for hit in self.hits.get(kind, ()):
            if _FLOWS[hit.rule.flow] * amount_minor >= 0:
                return hit
        return None


def words_of(text: str) -> tuple[str, ...]:
    """Lower-case words without accents; digits are words of their own; "sainsbury's" is "sainsburys"."""
    folded = text.casefold()
    if not folded.isascii():
        apart = unicodedata.normalize("NFKD", folded.translate(_LETTERS))
        folded = unicodedata.normalize("NFC", "".join(char for char in apart if not unicodedata.combining(char)))
    if "'" in folded or "\u2019" in folded or "`" in folded:
        folded = _POSSESSIVE.sub("", folded)
    return tuple(_WORD.findall(folded))


class Lexicon:
    """Compiled from a policy's rules. `read` is a pure function of its text; its last answers are kept."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._singles: dict[str, list[Hit]] = {}
        self._phrases: dict[str, dict[str, list[tuple[tuple[str, ...], Hit]]]] = {}
        self._starts: dict[str, list[tuple[str, Hit]]] = {}
        self._ends: dict[str, list[tuple[str, Hit]]] = {}
        self._unspaced: dict[str, list[Hit]] = {}
        for rule in rules:
            for term in rule.terms:
                self._add(term, rule)
        self.read = lru_cache(maxsize=512)(self._read)

    def _add(self, term: str, rule: Rule) -> None:
        words = words_of(term)
        if not words:
            raise ValueError(f"the term {term!r} has no word")
        hit = Hit(rule, " ".join(words), len(words))
        if "*" in term:
            stem = words[0]
            if len(words) > 1 or len(stem) < _STEM or term.count("*") > 1 or not (term[0] == "*" or term[-1] == "*"):
                raise ValueError(f"the stem {term!r} must be one word of four letters or more, with * at one end")
            if term.endswith("*"):
                self._starts.setdefault(stem[:_STEM], []).append((stem, hit))
            else:
                self._ends.setdefault(stem[-_STEM:], []).append((stem, hit))
        elif _UNSPACED.search(term):
            self._unspaced.setdefault("".join(words), []).append(hit)
        elif len(words) == 1:
            self._singles.setdefault(words[0], []).append(hit)
        else:
            self._phrases.setdefault(words[0], {}).setdefault(words[1], []).append((words, hit))

    def _read(self, text: str) -> Reading:
        words = words_of(text)
        spans = self._spans(words)
        if len(spans) > 1:
            spans = [span for span in spans if not _covered(span, spans)]
        hits = [span[2] for span in spans]
        if not text.isascii() and _UNSPACED.search(text):
            joined = "".join(words)
            hits += [hit for term, found in self._unspaced.items() if term in joined for hit in found]
        return Reading(words, _by_kind(hits, words))

    def _spans(self, words: tuple[str, ...]) -> list[tuple[int, int, Hit]]:
        spans: list[tuple[int, int, Hit]] = []
        singles, phrases, starts, ends = self._singles, self._phrases, self._starts, self._ends
        last = len(words) - 1
        for at, word in enumerate(words):
            if found := singles.get(word):
                spans += [(at, at + 1, hit) for hit in found]
            if at < last and word in phrases:
                for term, hit in phrases[word].get(words[at + 1], ()):
                    if words[at : at + hit.words] == term:
                        spans.append((at, at + hit.words, hit))
            for stem, hit in starts.get(word[:_STEM], ()):
                if word.startswith(stem):
                    spans.append((at, at + 1, hit))
            for stem, hit in ends.get(word[-_STEM:], ()):
                if word.endswith(stem):
                    spans.append((at, at + 1, hit))
        return spans


def _covered(span: tuple[int, int, Hit], spans: list[tuple[int, int, Hit]]) -> bool:
    start, end, _ = span
    return any(a <= start and end <= b and b - a > end - start for a, b, _ in spans)


def _beside(hit: Hit, words: tuple[str, ...]) -> list[str]:
    """The words that do not belong to the term itself: "cash app" is not in the company of "cash"."""
    term = hit.term.split(" ")
    return [word for word in words if word not in term]


def _by_kind(hits: list[Hit], words: tuple[str, ...]) -> dict[str, tuple[Hit, ...]]:
    kinds: dict[str, list[Hit]] = {}
    for hit in hits:
        rule = hit.rule
        if rule.needs and rule.needs.isdisjoint(_beside(hit, words)):
            continue
        if rule.unless and not rule.unless.isdisjoint(words):
            continue
        kinds.setdefault(rule.kind, []).append(hit)
    return {kind: tuple(found) if len(found) == 1 else tuple(sorted(found, key=_rank)) for kind, found in kinds.items()}


def _rank(hit: Hit) -> tuple[int, int, str]:
    return -hit.rule.confidence_bp, -hit.words, hit.rule.target
