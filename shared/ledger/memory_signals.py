"""What speaks for a label that memory might propose, as numbers, and what each of them weighs. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from shared.ledger.memory_entries import MAX_RECENT, Entry
from shared.ledger.memory_thresholds import MemoryThresholds

FAR: Final = 12
"""Quarter octaves (a factor of eight): an amount further off than this is no less alike than one at this distance."""
LATEST: Final = 8
"""So many of the account's latest labels tell what it buys now."""
_LOGITS: Final = [math.log((at + 0.5) / 0.5) for at in range(MAX_RECENT + 1)]


def weights_of(thresholds: MemoryThresholds) -> tuple[int, ...]:
    """The weight of each signal, in the order of `signals`."""
    return (
        thresholds.weight_share,
        thresholds.weight_own_days,
        thresholds.weight_own_contrary,
        thresholds.weight_group_days,
        thresholds.weight_account_recent,
        thresholds.weight_account_knows,
        thresholds.weight_account_keeps,
        thresholds.weight_amount,
    )


def signals(known: Mapping[str, Entry], share: float, label: str, bucket: int, *, grouped: bool) -> tuple[float, ...]:
    """What speaks for `label`: each grows with agreement. Days and not items are counted: ten rooms booked on one day
    are one decision. Where accounts have no group all of them are one: what one has bought speaks for the other.
    """
    account, merchant, own = known.get("a"), known.get("m"), known.get("am")
    group = known.get("gm") if grouped else merchant
    own = own if grouped else own or merchant
    own_mine, own_others = _days(own, label) if own else (0, 0)
    group_mine, group_others = _days(group, label) if group else (0, 0)
    times, kept = account["again"] if account else (0, 0)
    return (
        math.log((share + 0.01) / (1.01 - share)),
        math.log1p(own_mine),
        -math.log1p(own_others),
        math.log((group_mine + 0.5) / (group_others + 0.5)),
        _recent_logit(account["recent"][-LATEST:], label) if account else 0.0,
        1.0 if account and label in account["labels"] else 0.0,
        math.log((kept + 1.5) / (times - kept + 0.5)),
        -float(_distance(own or merchant or known.get("b"), label, bucket)),
    )


def _days(entry: Entry, label: str) -> tuple[int, int]:
    """Days of this label, and of the others together."""
    labels = entry["labels"]
    mine: int = labels[label]["d"] if label in labels else 0
    return mine, entry["all"][2] - mine


def _recent_logit(ring: Sequence[str], label: str) -> float:
    mine = ring.count(label)
    return _LOGITS[mine] - _LOGITS[len(ring) - mine]


def _distance(entry: Entry | None, label: str, bucket: int) -> int:
    amounts = entry["labels"][label]["a"] if entry and label in entry["labels"] else ()
    if bucket in amounts:
        return 0
    nearest: int = min([abs(bucket - each) for each in amounts], default=FAR)
    return min(nearest, FAR)
