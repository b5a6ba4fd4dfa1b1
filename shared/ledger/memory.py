"""Merchant memory: what people have said about a merchant, and whether that is enough to say it again. Pure.

It answers from the most specific thing it knows (this account at this merchant), backing off to the more general (the
account's group, the merchant, merchants of a like name, merchants of the same first words), and weighs the account's
own habits and the amount beside that. It has no authority: it proposes, with a confidence that means what it says, and
it says nothing when it has nothing to say. What it reads is described in `memory_entries`.
"""

import math
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Final, NamedTuple

from shared.ledger.descriptor import normalised
from shared.ledger.memory_entries import (
    MAX_PART,
    Entry,
    Source,
    bucket_of,
    corrected,
    learned,
    memory_keys,
    unlearned,
)
from shared.ledger.memory_signals import signals, weights_of
from shared.ledger.memory_thresholds import DEFAULT_THRESHOLDS, MemoryThresholds

__all__ = [
    "DEFAULT_THRESHOLDS", "Entry", "MemoryThresholds", "Recollection", "Source", "corrected", "learned", "memory_keys",
    "recalled", "unlearned",
]  # fmt: skip

RULES: Final = {
    "am": "account_merchant",
    "gm": "group_merchant",
    "m": "merchant",
    "n": "similar_merchant",
    "b": "first_words",
}
"""Key kind to the name of the back-off level, most specific first."""
NEGLIGIBLE: Final = 0.02
"""Where the more specific levels leave less than this to the others, the others are not asked."""
_SPECIFIC_FIRST: Final = ("am", "gm", "m", "n", "b", "a")


class Recollection(NamedTuple):
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
    known = by_kind(entries, keys)
    if not known:
        return None
    bucket = bucket_of(amount_minor)
    grouped = any(key.startswith("gm|") for key in keys[:2])
    by_review = _reviewed(known, grouped, bucket, thresholds)
    return by_review or _weighed(known, grouped, descriptor, bucket, thresholds)


def by_kind(entries: Mapping[str, Entry], keys: Sequence[str]) -> dict[str, Entry]:
    """The entries that there are, by the kind of their key."""
    return {key[: key.index("|")]: entries[key] for key in keys if key in entries}


def _reviewed(
    known: Mapping[str, Entry], grouped: bool, bucket: int, thresholds: MemoryThresholds
) -> Recollection | None:
    """A person decided this merchant here, nothing speaks against it, and the amount is of the same kind."""
    # In an organisation one department's answer says little of another's (measured: 43 to 54 in 100 agree after one
    # review); there it is weighed with the rest. Where accounts have no group, as at home, a merchant is a merchant.
    kind, entry = "am", known.get("am")
    if (entry is None or not entry["reviewed"]) and not grouped:
        kind, entry = "m", known.get("m")
    if entry is None or not entry["reviewed"]:
        return None
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


class Level(NamedTuple):
    """What one key knows. history: with the items whose labels were pushed out."""

    kind: str
    labels: Entry
    history: int
    reviews: int


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
    levels = _levels(known, descriptor, thresholds)
    shares = _shares(levels, thresholds.review_weight, thresholds.prior_items)
    if not shares:
        return None
    # By name where two are equal: the same entries must give the same answer in whatever order they were stored.
    ranked = sorted(zip(shares.values(), shares, strict=True))
    share, label = ranked[-1]
    next_share = ranked[-2][0] if len(ranked) > 1 else 0.0
    kind, labels, history, reviews = next(level for level in levels if label in level[1])
    seen = history + reviews
    everyone = max(seen, _seen(known["m"])) if "m" in known else seen
    return Candidate(label, share, next_share, kind, seen, _count(labels[label]), everyone)


def _weighed(
    known: Mapping[str, Entry], grouped: bool, descriptor: str, bucket: int, thresholds: MemoryThresholds
) -> Recollection | None:
    """The likeliest label over all levels, with the confidence that like cases have earned."""
    best = candidate(known, descriptor, thresholds)
    if best is None:
        return None
    found = signals(known, best.share, best.label, bucket, grouped=grouped)
    logit = thresholds.weight_constant + sum(map(mul, weights_of(thresholds), found))
    sure = round(10_000 / (1 + math.exp(-logit / 1_000)))
    if sure < thresholds.speak_min_bp:
        return None
    pure = 10_000 * best.agreeing >= thresholds.history_min_purity_bp * best.seen
    if best.merchant_seen < thresholds.history_min_count or not pure:
        sure = min(sure, thresholds.capped_bp)
    runner_up = min(sure, round((10_000 - sure) * best.next_share / max(1e-9, 1 - best.share)))
    evidence = (f"{best.agreeing} of {best.seen} agree",)
    return Recollection(best.label, sure, RULES[best.level], best.seen, best.agreeing, runner_up, evidence)


def _levels(known: Mapping[str, Entry], descriptor: str, thresholds: MemoryThresholds) -> list[Level]:
    """What is known at each level that knows a label, most specific first, and the account's own habit last."""
    levels = []
    for kind in _SPECIFIC_FIRST:
        entry = known.get(kind)
        if entry is None:
            continue
        if kind != "n":
            level = Level(kind, entry["labels"], entry["other"] + entry["all"][0], entry["all"][1])
        elif "m" in known:
            continue
        else:
            level = _alike(entry, descriptor, thresholds)
        if level.labels:
            levels.append(level)
    return levels


def _shares(levels: Sequence[Level], review_weight: int, prior: int) -> dict[str, float]:
    """Each label's share: the general levels are the prior of the specific ones (Dirichlet back-off).

    The account's habit is the first prior; it raises no label of its own, which no merchant level has seen.
    """
    shares: dict[str, float] = {}
    left = 1.0
    for kind, labels, history, reviews in levels:
        total = history + review_weight * reviews + (prior if labels is not levels[-1].labels else 0)
        gained = left / total
        left *= prior / total
        if kind != "a":
            for label, each in labels.items():
                shares[label] = shares.get(label, 0.0) + gained * (each["h"] + review_weight * each["r"])
        else:
            for label in shares.keys() & labels.keys():
                shares[label] += gained * (labels[label]["h"] + review_weight * labels[label]["r"])
        if left < NEGLIGIBLE and labels is not levels[-1].labels:
            return {label: share / (1 - left) for label, share in shares.items()}
    return shares


def _alike(entry: Entry, descriptor: str, thresholds: MemoryThresholds) -> Level:
    """What is known of the merchant most like this one in name; without labels if none is like enough."""
    from rapidfuzz import fuzz, process

    merchant = normalised(descriptor)[:MAX_PART]
    found = process.extractOne(
        merchant, entry["near"].keys(), scorer=fuzz.ratio, score_cutoff=thresholds.similarity_min
    )
    if found is None:
        return Level("n", {}, 0, 0)
    _, other, rows = entry["near"][found[0]]
    labels = {entry["labels"][at]: {"h": history, "r": review} for at, history, review in rows}
    return Level("n", labels, other + sum([row[1] for row in rows]), sum([row[2] for row in rows]))


def _seen(entry: Entry) -> int:
    history, reviews, _ = entry["all"]
    seen: int = entry["other"] + history + reviews
    return seen


def _count(known: Entry) -> int:
    return int(known["h"]) + int(known["r"])
