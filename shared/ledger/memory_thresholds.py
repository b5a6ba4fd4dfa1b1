"""When merchant memory may speak and how sure it is: plain integers, so that a policy file can hold them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class MemoryThresholds:
    """When memory may speak, and how sure it is: policy data, integers only. `_bp` is basis points of 10,000.

    The `weight_*` are thousandths of a logit for one unit of each signal (see `memory_signals`), fitted on human labels
    by `evals/tune_memory.py`; none is negative, so more agreement never lowers the confidence. `weight_constant` moves
    the whole scale: it is set above the fitted value (-170), where what reaches 9,200 agreed with people in 96 to 97.5
    of 100 on later months, not learned; a case just at that bar agrees less often, in about 85 of 100.
    """

    speak_min_bp: int = 6_000
    """Below this memory says nothing at all: a person is better served by an empty field than by a coin."""
    reviewed_once_bp: int = 9_400
    reviewed_often_bp: int = 9_700
    reviewed_elsewhere_less_bp: int = 100
    """Taken off when the review was for another account than this one."""
    settled_reviews: int = 3
    """So many latest reviews that agree, of this account, outweigh what others do at the merchant."""
    drifted_reviews: int = 8
    """So many latest reviews that agree outweigh everything older that does not: people changed their mind."""
    review_weight: int = 4
    """One review stands for so many imported items."""
    reviewed_min_purity_bp: int = 9_000
    plausible_quarter_octaves: int = 12
    """How far outside the reviewed amounts one may lie: 12 is eight times as much, or an eighth."""
    history_min_count: int = 2
    """With fewer items than this of the merchant, by anyone, a proposal is capped: shown, and never decided alone."""
    history_min_purity_bp: int = 5_000
    capped_bp: int = 9_000
    prior_items: int = 4
    """Items that the more general levels together count for at a more specific one."""
    similarity_min: int = 88
    """How like (0 to 100) the names of two merchants must be for one to speak for the other."""
    weight_constant: int = 350
    weight_share: int = 340
    weight_own_days: int = 350
    weight_own_contrary: int = 620
    weight_group_days: int = 200
    weight_account_recent: int = 200
    weight_account_knows: int = 660
    weight_account_keeps: int = 280
    weight_amount: int = 30


DEFAULT_THRESHOLDS: Final = MemoryThresholds()
