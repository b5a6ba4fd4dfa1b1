"""What a person should look at: unusual amounts, repeated charges, costly strangers, alarming or commanding texts.

It raises concerns and proposes nothing, so it can only lower trust. Amounts are compared by median and median absolute
deviation, which a few odd values do not move, and within one currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from shared.guard.decision import BASIS_POINTS, Concern
from shared.specialists.categorization import code_match, word_matches
from shared.specialists.reading import bought_elsewhere, reading_of

if TYPE_CHECKING:
    from shared.guard.policy import AnomalyRule
    from shared.specialists.specialist import Case, Charge, Opinions

NAME: Final = "anomaly"
_TO_DEVIATION: Final = 1.4826
"""A median absolute deviation times this is a standard deviation, for amounts spread like a bell."""
_REACH: Final = 4
"""An object of an order stands within so many words of its verb."""


def instructs(case: Case) -> bool:
    """Whether the text tries to tell us what to do: a known phrase, or a verb and soon after it its object."""
    reading = reading_of(case)
    if "instruction" in reading.hits:
        return True
    verbs, objects = case.policy.instruction_verbs, case.policy.instruction_objects
    words = reading.words
    if verbs.isdisjoint(words) or objects.isdisjoint(words):
        return False
    return any(
        word in verbs and not objects.isdisjoint(words[at + 1 : at + 1 + _REACH]) for at, word in enumerate(words)
    )


def alarming(case: Case) -> str | None:
    """The term of fraud or dispute in the text, or None where it is a word in a shop's name."""
    reading = reading_of(case)
    hits = reading.hits.get("anomaly")
    if not hits:
        return None
    if "store" in reading.hits and (bought_elsewhere(case, NAME) or all(hit.words == 1 for hit in hits)):
        return None
    return hits[0].term


def unusual(amount: int, history: Sequence[int], rule: AnomalyRule) -> bool:
    """Whether an amount is far above everything in a history that is long enough to tell."""
    if len(history) < rule.minimum_history:
        return False
    middle = median(history)
    if (
        amount * BASIS_POINTS < middle * rule.least_ratio_bp
        or amount * BASIS_POINTS < max(history) * rule.beyond_highest_bp
    ):
        return False
    spread = _TO_DEVIATION * median(abs(earlier - middle) for earlier in history)
    floor = middle * rule.spread_floor_bp / BASIS_POINTS
    return amount - middle > max(spread, floor) * rule.mad_multiple_bp / BASIS_POINTS


def repeated(case: Case) -> Charge | None:
    """The earlier charge that this one repeats within days, unless such repeats are a habit of this merchant."""
    facts, rule = case.facts, case.policy.anomaly
    charges = [one for one in case.knowledge.charges if one.transaction_id != facts.transaction_id]
    same = [charge for charge in charges if _alike(charge) == (facts.amount_minor, facts.account, facts.currency)]
    if not same:
        return None
    today = date.fromisoformat(facts.booked_on).toordinal()
    near = [one for one in same if abs(today - date.fromisoformat(one.booked_on).toordinal()) <= rule.duplicate_days]
    # Two equal tickets: ordinary where this very price was paid so, or twice as often any price, by anyone.
    habit = (
        not near
        or _repeats(same, rule.duplicate_days) >= rule.habitual_repeats
        or _repeats(charges, rule.duplicate_days) >= 2 * rule.habitual_repeats
    )
    return None if habit else near[-1]


def _alike(charge: Charge) -> tuple[int, str, str]:
    return charge.amount_minor, charge.account, charge.currency


def _repeats(charges: Sequence[Charge], within: int) -> int:
    """How often an account paid an amount again within so many days."""
    days: dict[tuple[int, str, str], list[int]] = {}
    for charge in charges:
        if charge.amount_minor < 0:
            days.setdefault(_alike(charge), []).append(date.fromisoformat(charge.booked_on).toordinal())
    return sum(later - earlier <= within for each in days.values() for earlier, later in pairwise(sorted(each)))


class Anomaly:
    """Raises concerns; each is one of the listed reason codes."""

    name: Final = NAME
    timeout_seconds: Final = 1.0
    concurrency: Final = 64

    def propose(self, case: Case) -> Opinions:
        """Every concern there is, or None. Money that comes in is judged by its text alone."""
        concerns: list[Concern] = []
        if instructs(case):
            concerns.append(Concern(NAME, "descriptor_instructs", "The text tries to give orders."))
        term = alarming(case)
        if term is not None:
            concerns.append(Concern(NAME, "anomaly_term", f'The text says "{term}".', (term,)))
        if case.facts.amount_minor < 0:
            concerns += _of_amount(case)
        return tuple(concerns) or None


def _of_amount(case: Case) -> list[Concern]:
    found: list[Concern] = []
    earlier = repeated(case) if case.knowledge.charges else None
    if earlier is not None:
        text = f"The same amount was charged on {earlier.booked_on}."
        found.append(Concern(NAME, "duplicate_charge", text, (earlier.transaction_id,)))
    known = case.knowledge.merchant_amounts
    amount, rule = -case.facts.amount_minor, case.policy.anomaly
    if known:
        if unusual(amount, known, rule):
            text = f"The amount is far above the highest of {len(known)} earlier ones."
            found.append(Concern(NAME, "amount_unusual_for_merchant", text))
        elif len(known) < rule.minimum_history and unusual(amount, _category_history(case), rule):
            text = "The amount is far above what was ever spent in its category."
            found.append(Concern(NAME, "amount_unusual_for_category", text))
    elif not case.knowledge.charges and _high_for_a_stranger(case, amount):
        found.append(Concern(NAME, "first_seen_high_amount", "A high amount at a merchant never seen before."))
    return found


def _high_for_a_stranger(case: Case, amount: int) -> bool:
    """Measured by its category where that has a history, else by the policy's limit for the currency."""
    rule = case.policy.anomaly
    history = _category_history(case)
    if len(history) >= rule.minimum_history:
        return unusual(amount, history, rule)
    return amount > rule.first_seen_limit_minor.get(case.facts.currency, 0)


def _category_history(case: Case) -> Sequence[int]:
    """Earlier amounts of the category that the rules name; of the only one given, where they name none."""
    given = case.knowledge.category_amounts
    if not given:
        return ()
    if len(given) == 1:
        return next(iter(given.values()))
    code = code_match(case)
    for category in ([code[0]] if code else []) + [match[0] for match in word_matches(case)]:
        if category in given:
            return given[category]
    return ()
