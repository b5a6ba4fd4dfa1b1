"""When merchant memory may speak and how sure it is: plain integers, so that a policy file can hold them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class MemoryThresholds:
    """When memory may speak, and how sure it is: policy data, integers only. `_bp` is basis points of 10,000.

    The `weight_*` are thousandths of a logit for one unit of each signal (see `signals`), fitted on human labels by
    `evals/tune_memory.py`; none is negative, so more agreement never lowers the confidence. `weight_constant` moves the
    whole scale: it is set a little above the fitted value, where what reaches
    9,200 agreed with people in 95 to 96 of 100 on months not learned; a case just at that bar agrees less often.
    """

    speak_min_bp: int = 5_000
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
    history_min_count: int = 3
    """With fewer items than this of the merchant, by anyone, a proposal is capped: shown, and never decided alone."""
    history_min_purity_bp: int = 8_000
    capped_bp: int = 9_000
    similarity_min: int = 88
    """How like (0 to 100) the names of two merchants must be for one to speak for the other."""
    weight_constant: int = 1_000
    weight_share: int = 270
    weight_account_recent: int = 130
    weight_account_share: int = 260
    weight_merchant_recent: int = 290
    weight_merchant_days: int = 60
    weight_own_days: int = 560
    weight_own_contrary: int = 760
    weight_amount: int = 40


DEFAULT_THRESHOLDS: Final = MemoryThresholds()
