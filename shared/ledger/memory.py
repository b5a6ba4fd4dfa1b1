"""Merchant memory: what people have said about a merchant, and whether that is enough to say it again. Pure.

It answers from the most specific thing it knows (this account at this merchant), backing off to the more general (the
account's group, the merchant, merchants of a like name, merchants of the same first words), and weighs the account's
own habits and the amount beside that. It has no authority: it proposes, with a confidence that means what it says, and
it says nothing when it has nothing to say. What it reads is described in `memory_entries`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final, NamedTuple

from shared.ledger.descriptor import normalised
from shared.ledger.memory_entries import (
    MAX_PART,
    MAX_RECENT,
    Entry,
    Source,
    bucket_of,
    corrected,
    learned,
    memory_keys,
    unlearned,
)
from shared.ledger.memory_thresholds import DEFAULT_THRESHOLDS, MemoryThresholds

__all__ = [
    "DEFAULT_THRESHOLDS", "Entry", "MemoryThresholds", "Recollection", "Source", "corrected", "learned", "memory_keys",
    "recalled", "unlearned",
]  # fmt: skip

FAR: Final = 12
"""Quarter octaves (a factor of eight): an amount further off than this is no less alike than one at this distance."""
RULES: Final = {
    "am": "account_merchant",
    "gm": "group_merchant",
    "m": "merchant",
    "n": "similar_merchant",
    "b": "first_words",
}
"""Key kind to the name of the back-off level, most specific first."""
PRIOR: Final = 2
"""Items that the more general levels together count for at a more specific one."""
_SPECIFIC_FIRST: Final = ("am", "gm", "m", "n", "b", "a")


@dataclass(frozen=True, slots=True)
class Recollection:
    """What memory proposes. `seen` and `agreeing` count items at the level that `rule` names."""

    label: str
    confidence_bp: int
    rule: str
    seen: int
    agreeing: int
    runner_up_bp: int
    evidence: tuple[str, ...]


def recalled(
    entries: Mapping[str, Entry],
    *,
    keys: Sequence[str],
    descriptor: str,
    amount_minor: int,
    thresholds: MemoryThresholds = DEFAULT_THRESHOLDS,
) -> Recollection | None:
    """What the entries found under `keys` (see `memory_keys`; absent ones may be missing) say about this transaction.

    None when they say nothing worth hearing. Missing entries are not evidence either way.
    """
    known = {key.partition("|")[0]: entries[key] for key in keys if key in entries}
    bucket = bucket_of(amount_minor)
    grouped = any(key.startswith("gm|") for key in keys)
    by_review = _reviewed(known, grouped, bucket, thresholds)
    return by_review or _weighed(known, descriptor, bucket, thresholds)


def _reviewed(
    known: Mapping[str, Entry], grouped: bool, bucket: int, thresholds: MemoryThresholds
) -> Recollection | None:
    """A person decided this merchant here, nothing speaks against it, and the amount is of the same kind."""
    # In an organisation one department's answer says little of another's (measured: 43 to 54 in 100 agree after one
    # review); there it is weighed with the rest. Where accounts have no group, as at home, a merchant is a merchant.
    kinds = ("am",) if grouped else ("am", "m")
    kind = next((each for each in kinds if each in known and known[each]["reviewed"]), None)
    if kind is None:
        return None
    entry = known[kind]
    ring = entry["reviewed"]
    label = ring[-1]
    mine = entry["labels"].get(label)
    agreeing = next((at for at, other in enumerate(reversed(ring)) if other != label), len(ring))
    if not mine or _contested(known, kind, label, agreeing, thresholds):
        return None
    if not _plausible(mine["a"], bucket, thresholds):
        return None
    steps = max(1, thresholds.settled_reviews - 1)
    gained = (thresholds.reviewed_often_bp - thresholds.reviewed_once_bp) * min(agreeing - 1, steps) // steps
    sure = thresholds.reviewed_once_bp + gained - (kind != "am") * thresholds.reviewed_elsewhere_less_bp
    evidence = (f"last {agreeing} of {len(ring)} reviews agree", "amount is like those reviewed")
    return Recollection(label, sure, "reviewed_" + RULES[kind], _seen(entry), _count(mine), 0, evidence)


def _contested(known: Mapping[str, Entry], kind: str, label: str, agreeing: int, thresholds: MemoryThresholds) -> bool:
    """Whether what is known of this merchant at any level says something else, loudly enough to be heard."""
    for level in ("am", "gm", "m"):
        if level not in known:
            continue
        if agreeing >= thresholds.drifted_reviews and level == kind:
            continue
        if agreeing >= thresholds.settled_reviews and kind == "am" != level:
            continue
        labels, other = known[level]["labels"], known[level]["other"]
        weights = {name: each["h"] + thresholds.review_weight * each["r"] for name, each in labels.items()}
        total = other + sum(weights.values())
        if 10_000 * weights.get(label, 0) < thresholds.reviewed_min_purity_bp * total:
            return True
    return False


def _plausible(amounts: Sequence[int], bucket: int, thresholds: MemoryThresholds) -> bool:
    """Within reach of what was seen, on the same side of zero: a refund is not a purchase."""
    same_side = [each for each in amounts if (each < 0) == (bucket < 0)]
    slack = thresholds.plausible_quarter_octaves
    return bool(same_side) and min(same_side) - slack <= bucket <= max(same_side) + slack


class Candidate(NamedTuple):
    """The label that all levels together favour, before anything is said about how sure that is."""

    label: str
    share: float
    next_share: float
    level: str
    seen: int
    agreeing: int
    merchant_seen: int


def candidate(known: Mapping[str, Entry], descriptor: str, thresholds: MemoryThresholds) -> Candidate | None:
    """The likeliest label, with the most specific level that has ever seen it; `known` is by key kind."""
    levels = {kind: known[kind]["labels"] for kind in _SPECIFIC_FIRST if kind in known and kind != "n"}
    others = {kind: known[kind]["other"] for kind in levels}
    if "m" not in known and "n" in known:
        levels["n"], others["n"] = _alike(known["n"], descriptor, thresholds)
    shares = _shares(levels, others, thresholds.review_weight)
    if not shares:
        return None
    # By name where two are equal: the same entries must give the same answer in whatever order they were stored.
    share, label = max(zip(shares.values(), shares, strict=True))
    next_share = max((each for name, each in shares.items() if name != label), default=0.0)
    level = next(kind for kind in RULES if label in levels.get(kind, ()))
    seen = others[level] + sum([each["h"] + each["r"] for each in levels[level].values()])
    everyone = max(seen, _seen(known["m"])) if "m" in known else seen
    return Candidate(label, share, next_share, level, seen, _count(levels[level][label]), everyone)


def _weighed(
    known: Mapping[str, Entry], descriptor: str, bucket: int, thresholds: MemoryThresholds
) -> Recollection | None:
    """The likeliest label over all levels, with the confidence that like cases have earned."""
    best = candidate(known, descriptor, thresholds)
    if best is None:
        return None
    found = signals(known, best.share, best.label, bucket)
    logit = thresholds.weight_constant + sum(map(mul, weights_of(thresholds), found))
    sure = round(10_000 / (1 + math.exp(-logit / 1_000)))
    pure = 10_000 * best.agreeing >= thresholds.history_min_purity_bp * best.seen
    if best.merchant_seen < thresholds.history_min_count or not pure:
        sure = min(sure, thresholds.capped_bp)
    if sure < thresholds.speak_min_bp:
        return None
    runner_up = min(sure, round((10_000 - sure) * best.next_share / max(1e-9, 1 - best.share)))
    evidence = (f"{best.agreeing} of {best.seen} agree",)
    return Recollection(best.label, sure, RULES[best.level], best.seen, best.agreeing, runner_up, evidence)


def weights_of(thresholds: MemoryThresholds) -> tuple[int, ...]:
    """The weight of each signal, in the order of `signals`."""
    return (
        thresholds.weight_share,
        thresholds.weight_account_recent,
        thresholds.weight_account_share,
        thresholds.weight_merchant_recent,
        thresholds.weight_merchant_days,
        thresholds.weight_own_days,
        thresholds.weight_own_contrary,
        thresholds.weight_amount,
    )


def signals(known: Mapping[str, Entry], share: float, label: str, bucket: int) -> tuple[float, ...]:
    """What speaks for `label`: each grows with agreement. Days and not items are counted: ten rooms booked on one day
    are one decision.
    """
    account, merchant, own = known.get("a"), known.get("m"), known.get("am")
    return (
        math.log((share + 0.01) / (1.01 - share)),
        _recent_logit(account, label, 8),
        _days_logit(account, label),
        _recent_logit(merchant, label, MAX_RECENT),
        math.log1p(_days(merchant, label)),
        math.log1p(_days(own, label)),
        -math.log1p(sum([each["d"] for name, each in own["labels"].items() if name != label])) if own else 0.0,
        -float(_distance(own or merchant or known.get("b"), label, bucket)),
    )


def _shares(levels: Mapping[str, Entry], others: Mapping[str, int], review_weight: int) -> dict[str, float]:
    """Each label's share: the general levels are the prior of the specific ones (Dirichlet back-off, PRIOR items).

    The account's habit is the first prior; it raises no label of its own, which no merchant level has seen.
    """
    shares: dict[str, float] = {}
    left = 1.0
    present = [kind for kind in _SPECIFIC_FIRST if levels.get(kind)]
    for kind in present:
        labels = levels[kind]
        weights = [each["h"] + review_weight * each["r"] for each in labels.values()]
        total = sum(weights) + others[kind] + (PRIOR if kind != present[-1] else 0)
        gained = left / total
        left *= PRIOR / total
        if kind == "a":
            for label in shares.keys() & labels.keys():
                shares[label] += gained * (labels[label]["h"] + review_weight * labels[label]["r"])
        else:
            for label, weight in zip(labels, weights, strict=True):
                shares[label] = shares.get(label, 0.0) + gained * weight
    return shares


def _alike(entry: Entry, descriptor: str, thresholds: MemoryThresholds) -> tuple[Entry, int]:
    """The labels of the known merchant most like this one in name, and its other items; none if none is like enough."""
    from rapidfuzz import fuzz, process

    merchant = normalised(descriptor)[:MAX_PART]
    found = process.extractOne(
        merchant, entry["near"].keys(), scorer=fuzz.ratio, score_cutoff=thresholds.similarity_min
    )
    if found is None:
        return {}, 0
    _, other, rows = entry["near"][found[0]]
    return {entry["labels"][at]: {"h": history, "r": review} for at, history, review in rows}, other


def _days(entry: Entry | None, label: str) -> int:
    return entry["labels"][label]["d"] if entry and label in entry["labels"] else 0


def _days_logit(entry: Entry | None, label: str) -> float:
    if not entry:
        return 0.0
    mine = _days(entry, label)
    total = sum([each["d"] for each in entry["labels"].values()]) + entry["other"]
    return math.log((mine + 0.5) / (total - mine + 0.5))


def _recent_logit(entry: Entry | None, label: str, latest: int) -> float:
    if not entry:
        return 0.0
    ring = entry["recent"][-latest:]
    mine = ring.count(label)
    return math.log((mine + 0.5) / (len(ring) - mine + 0.5))


def _distance(entry: Entry | None, label: str, bucket: int) -> int:
    amounts = entry["labels"][label]["a"] if entry and label in entry["labels"] else ()
    return min(FAR, min([abs(bucket - each) for each in amounts], default=FAR))


def _seen(entry: Entry) -> int:
    seen: int = entry["other"] + sum([each["h"] + each["r"] for each in entry["labels"].values()])
    return seen


def _count(known: Entry) -> int:
    return int(known["h"]) + int(known["r"])
