"""What several specialists read in the same way from a case: the text, its sellers' words, the merchant's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.guard.lexicon import Hit, Reading

if TYPE_CHECKING:
    from shared.specialists.specialist import Case

FIRST_WORD_ONLY: Final = 1
"""A hit of a single word is no more than a hint; two words in a row rarely stand in a name by chance."""


def reading_of(case: Case) -> Reading:
    """The statement's text as the policy's terms see it; the last texts' readings are kept by the lexicon."""
    reading: Reading = case.policy.lexicon.read(case.facts.descriptor)
    return reading


def bought_elsewhere(case: Case, lane: str) -> bool:
    """Whether the merchant's code says that something else was bought than what this lane deals in."""
    code = case.facts.mcc
    return bool(code) and code not in case.policy.lane_mcc.get(lane, frozenset())


def lane_hit(case: Case, lane: str) -> Hit | None:
    """The lane's best hit that is not just a word in a seller's name ("Loan Star Steakhouse"), or None.

    The code outweighs the name. Without a code, a single lane word beside a word for a shop is a name.
    """
    reading = reading_of(case)
    hit = reading.best(lane, case.facts.amount_minor)
    if hit is None or bought_elsewhere(case, lane):
        return None
    if hit.words == FIRST_WORD_ONLY and "store" in reading.hits and lane != "income":  # a shop pays wages too
        longer = [other for other in reading.hits[lane] if other.words > FIRST_WORD_ONLY]
        return longer[0] if longer else None
    return hit
