"""Ordinary purchases: merchant category code and words of the text, by rule. The one lane that may decide alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.guard.decision import BASIS_POINTS, Proposal
from shared.specialists.reading import reading_of

if TYPE_CHECKING:
    from shared.specialists.specialist import Case, Opinions

NAME: Final = "categorization"
_AGREED: Final = 300
"""What agreement of code and words adds, in basis points, to the surer of the two that are each sure enough."""

type Match = tuple[str, int, str]
"""Category, confidence in basis points, and the code or term that matched."""


def code_match(case: Case) -> Match | None:
    """What the merchant category code says, if the tenant's chart has that category."""
    code = case.facts.mcc
    found = case.policy.mcc.get(code) if code else None
    if found is None or found[0] not in case.chart:
        return None
    return found[0], found[1], code


def word_matches(case: Case) -> tuple[Match, ...]:
    """What the words say: the best match, and a rival of the same length in another primary category, if there is one.

    A longer term is more specific than a surer short one, so length comes first.
    """
    hits = reading_of(case).hits.get("category")
    if not hits:
        return ()
    amount = case.facts.amount_minor
    fit = [
        hit
        for hit in hits
        if hit.rule.target in case.chart and (hit.rule.flow == "any" or (hit.rule.flow == "in") == (amount > 0))
    ]
    if not fit:
        return ()
    best = max(fit, key=lambda hit: (hit.words, hit.rule.confidence_bp))
    match = (best.rule.target, best.rule.confidence_bp, best.term)
    primary = best.rule.target.partition(".")[0]
    for hit in fit:
        if hit.words == best.words and hit.rule.target.partition(".")[0] != primary:
            return match, (hit.rule.target, hit.rule.confidence_bp, hit.term)
    return (match,)


def rules_conflict(case: Case) -> bool:
    """Whether the code and the words, both sure, name different primary categories."""
    code = code_match(case)
    return code is not None and _conflict(code, word_matches(case), case.policy.thresholds.rule_conflict_bp)


def _conflict(code: Match, words: tuple[Match, ...], sure: int) -> bool:
    if not words or code[1] < sure or words[0][1] < sure:
        return False
    primary = code[0].partition(".")[0]
    return all(match[0].partition(".")[0] != primary for match in words)


class Categorization:
    """Proposes what the rules agree on; where sure rules disagree, both, so that the guard sees the conflict."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """Zero, one or (in conflict) two proposals. Money that comes in is not a purchase: then nothing."""
        if case.facts.amount_minor > 0:
            return None
        code, words = code_match(case), word_matches(case)
        if code is None:
            return _from_words(words)
        if not words:
            return _proposal(code, "mcc_rule", f"Merchant category code {code[2]} stands for {code[0]}.")
        return _both(code, words, conflict=_conflict(code, words, case.policy.thresholds.rule_conflict_bp))


def _from_words(words: tuple[Match, ...]) -> Opinions:
    if not words:
        return None
    best = words[0]
    rival = words[1][1] if len(words) > 1 else 0
    confidence = best[1] - 2000 if rival else best[1]  # two readings of one text: a person chooses
    return _proposal((best[0], confidence, best[2]), "keyword_rule", f'The text says "{best[2]}".', rival)


def _both(code: Match, words: tuple[Match, ...], *, conflict: bool) -> Opinions:
    agreeing = [match for match in words if match[0] == code[0]]
    if agreeing:
        match = agreeing[0]
        confidence = min(max(code[1], match[1]) + _AGREED, BASIS_POINTS)
        text = f'Merchant category code {code[2]} and the word "{match[2]}" agree.'
        return _proposal((code[0], confidence, f"{code[2]}, {match[2]}"), "mcc_and_keyword", text)
    word = words[0]
    by_code = _proposal(code, "mcc_rule", f"Merchant category code {code[2]} stands for {code[0]}.")
    by_word = _proposal(word, "keyword_rule", f'The text says "{word[2]}".')
    if conflict:
        return by_code, by_word
    return by_word if word[1] > code[1] else by_code


def _proposal(match: Match, rationale_code: str, rationale: str, rival: int = 0) -> Proposal:
    return Proposal(NAME, match[0], match[1], rationale_code, rationale, (match[2],), rival)
