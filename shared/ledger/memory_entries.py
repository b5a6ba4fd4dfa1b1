"""The documents merchant memory is made of: their keys, and how a label given by a person changes them. Pure.

They learn only labels that a person gave: `review` (somebody decided this very item here: strong) and `history`
(labels imported with old data: many, and noisy).

Everything needed to answer lies in at most six documents whose keys `memory_keys` computes from the transaction alone.

An entry under any key but `n|...` counts labels, bounded in every direction:

    {"schema": 2, "other": 0, "all": [12, 1, 9],   # other: items of labels that were pushed out by newer ones;
                                                   # all: items from history, from review, and days, of the labels below
     "labels": {"L220": {"h": 12, "r": 1,          # items from history, from review
                         "d": 9, "on": "2016-12-30",  # distinct days, the latest one
                         "a": [44, 45, 44]}},      # latest amounts, in signed quarter octaves of the minor unit
     "recent": ["L220", ...], "reviewed": ["L220"]}  # latest labels, oldest first: of all, of reviews alone

An account's own (`a|...`) also knows whether it keeps to its labels, the best sign that an answer will hold:

    "again": [40, 37],                             # bought again on a later day; of these, given the label of last time
    "last": {"5f3a09c1": ["1be4", "2016-12-30"]}   # per merchant, by digests, the last used last: its label and its day

An entry under `n|...` lists the merchants that share a first word; a label is named by its place in `labels`:

    {"schema": 2, "labels": ["L220"], "near": {"tesco stores": ["2016-12-30", 0, [[0, 12, 1]]]}}
                                                   # merchant: [latest day, other, [[label, history, review], ...]]
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal

from shared.ledger.descriptor import first_words, normalised

type Entry = dict[str, Any]
type Source = Literal["review", "history"]

SCHEMA: Final = 2
MAX_LABELS: Final = 12
MAX_AMOUNTS: Final = 16
MAX_RECENT: Final = 16
MAX_REVIEWED: Final = 8
MAX_NEIGHBOURS: Final = 40
MAX_NEIGHBOUR_LABELS: Final = 2
MAX_PART: Final = 40
MAX_LAST: Final = 24
MAX_AGAIN: Final = 64
"""When so many repeats are counted both counts are halved: what an account did lately weighs more."""
_FIELDS: Final[dict[Source, str]] = {"review": "r", "history": "h"}


def memory_keys(descriptor: str, account: str, group: str = "") -> tuple[str, ...]:
    """The keys to read and to teach, at most six, most specific first; none for a descriptor without a word.

    Keys are ASCII without `/ \\ ? #`, under 100 characters. `group` is who the account belongs to, if anyone.
    """
    merchant = normalised(descriptor)
    if not merchant:
        return ()
    named, who, team = _part(merchant), _part(account), _part(group.casefold())
    general = (f"m|{named}", f"b|{_part(first_words(merchant, 2))}", f"n|{_part(first_words(merchant, 1))}")
    grouped = (f"gm|{team}|{named}",) if team else ()
    return (f"am|{who}|{named}", *grouped, *general, f"a|{who}") if who else (*grouped, *general)


def learned(
    entry: Entry | None,
    *,
    key: str,
    descriptor: str,
    label: str,
    amount_minor: int,
    booked_on: str,
    source: Source,
) -> Entry:
    """The entry under `key` after one more label by a person; `booked_on` is an ISO date. The input stays as it was."""
    if key.startswith("n|"):
        return _neighbour_learned(entry, normalised(descriptor)[:MAX_PART], label, booked_on, _FIELDS[source])
    before = entry or {"other": 0, "all": (0, 0, 0), "labels": {}, "recent": [], "reviewed": []}
    labels = dict(before["labels"])
    old = labels.get(label) or {"h": 0, "r": 0, "d": 0, "on": "", "a": []}
    review = source == "review"
    another_day = old["on"] != booked_on
    history, reviews, days = before["all"]
    total = [history + (not review), reviews + review, days + another_day]
    labels[label] = {
        "h": old["h"] + (not review),
        "r": old["r"] + review,
        "d": old["d"] + another_day,
        "on": max(old["on"], booked_on),
        "a": [*old["a"], bucket_of(amount_minor)][-MAX_AMOUNTS:],
    }
    other = before["other"]
    if len(labels) > MAX_LABELS:
        # What is pushed out still counts against everything else: forgetting must not make a mixed merchant look pure.
        least = min((name for name in labels if name != label), key=lambda name: _rank(labels[name]))
        gone = labels.pop(least)
        other += gone["h"] + gone["r"]
        total = [all_ - gone[field] for all_, field in zip(total, "hrd", strict=True)]
    reviewed = [*before["reviewed"], label][-MAX_REVIEWED:] if review else before["reviewed"]
    recent = [*before["recent"], label][-MAX_RECENT:]
    after = {"schema": SCHEMA, "other": other, "all": total, "labels": labels}
    after |= {"recent": recent, "reviewed": list(reviewed)}
    if key.startswith("a|"):
        after |= _habit_learned(before, normalised(descriptor), label, booked_on)
    return after


def unlearned(
    entry: Entry | None, *, key: str, descriptor: str, label: str, amount_minor: int, source: Source
) -> Entry | None:
    """The entry without one item that was learned before; None stays None, and what is not there cannot be taken."""
    if entry is None:
        return None
    field = _FIELDS[source]
    if key.startswith("n|"):
        return _neighbour_unlearned(entry, normalised(descriptor)[:MAX_PART], label, field)
    old = entry["labels"].get(label)
    if old is None or old[field] == 0:
        return {**entry, "labels": dict(entry["labels"])}
    labels = {name: known for name, known in entry["labels"].items() if name != label}
    left = {**old, field: old[field] - 1, "a": _without_last(old["a"], bucket_of(amount_minor))}
    if left["h"] + left["r"]:
        labels[label] = {**left, "d": min(old["d"], left["h"] + left["r"])}
    reviewed = _without_last(entry["reviewed"], label) if source == "review" else list(entry["reviewed"])
    total = [sum([each[field] for each in labels.values()]) for field in "hrd"]
    recent = _without_last(entry["recent"], label)
    after = {**entry, "all": total, "labels": labels, "recent": recent, "reviewed": reviewed}
    return after | _habit_unlearned(after, normalised(descriptor)) if "again" in entry else after


def corrected(
    entry: Entry | None,
    *,
    key: str,
    descriptor: str,
    was: str,
    was_source: Source,
    label: str,
    amount_minor: int,
    booked_on: str,
) -> Entry:
    """The entry after a person changed an earlier label: the old one is taken back, the new one is a review."""
    without = unlearned(entry, key=key, descriptor=descriptor, label=was, amount_minor=amount_minor, source=was_source)
    return learned(
        without,
        key=key,
        descriptor=descriptor,
        label=label,
        amount_minor=amount_minor,
        booked_on=booked_on,
        source="review",
    )


def bucket_of(amount_minor: int) -> int:
    """The amount's size in quarter octaves, with its sign: 1.00 and 1.19 are neighbours in any currency."""
    size = round(4 * math.log2(abs(amount_minor) + 1))
    return -size if amount_minor < 0 else size


def _part(text: str) -> str:
    """A piece of a key: the text where that is short and plain, else its digest, so that no two pieces meet."""
    if len(text) <= MAX_PART and text.isascii() and text.replace(" ", "").replace("-", "").isalnum():
        return text
    return "~" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest() if text else ""


def _habit_learned(before: Entry, merchant: str, label: str, booked_on: str) -> Entry:
    """Whether the account gave this merchant the label of last time. Ten rooms booked on one day are one decision."""
    last = dict(before.get("last", ()))
    times, kept = before.get("again", (0, 0))
    at, said = _digest(merchant, 4), _digest(label, 2)
    was = last.pop(at, None)
    if was is not None and was[1] != booked_on:
        times, kept = times + 1, kept + (was[0] == said)
        if times > MAX_AGAIN:
            times, kept = times // 2, kept // 2
    # Put back last: the order of the dict is the order of use, and the first is the one to forget.
    last[at] = [said, booked_on]
    if len(last) > MAX_LAST:
        del last[next(iter(last))]
    return {"again": [times, kept], "last": last}


def _habit_unlearned(left: Entry, merchant: str) -> Entry:
    """Without this merchant's last time, and with no more repeats than the items that are left can make."""
    last = {at: was for at, was in left["last"].items() if at != _digest(merchant, 4)}
    items = left["other"] + left["all"][0] + left["all"][1]
    times = min(left["again"][0], max(0, items - 1))
    return {"again": [times, min(left["again"][1], times)], "last": last}


@lru_cache(maxsize=8192)
def _digest(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def _neighbour_learned(entry: Entry | None, merchant: str, label: str, booked_on: str, field: str) -> Entry:
    before = entry or {"labels": [], "near": {}}
    names = list(before["labels"])
    if label not in names and len(names) < MAX_LABELS:
        names.append(label)
    at = names.index(label) if label in names else -1
    near = dict(before["near"])
    seen_on, other, counts = near.pop(merchant, ("", 0, []))
    rows = {index: [history, review] for index, history, review in counts}
    if at < 0 or (at not in rows and len(rows) >= MAX_NEIGHBOUR_LABELS):
        other += 1
    else:
        row = rows.setdefault(at, [0, 0])
        row[field == "r"] += 1
    # Put back last: the order of the dict is the order of use, and the first is the one to forget.
    near[merchant] = [max(seen_on, booked_on), other, [[index, *row] for index, row in rows.items()]]
    if len(near) > MAX_NEIGHBOURS:
        del near[next(iter(near))]
    return {"schema": SCHEMA, "labels": names, "near": near}


def _neighbour_unlearned(entry: Entry, merchant: str, label: str, field: str) -> Entry:
    known = entry["near"].get(merchant)
    if known is None:
        return {**entry, "near": dict(entry["near"])}
    seen_on, other, counts = known
    rows = {index: [history, review] for index, history, review in counts}
    at = entry["labels"].index(label) if label in entry["labels"] else -1
    if at in rows:
        rows[at][field == "r"] = max(0, rows[at][field == "r"] - 1)
    else:
        other = max(0, other - 1)
    left = [[index, *row] for index, row in rows.items() if any(row)]
    near = {name: value for name, value in entry["near"].items() if name != merchant}
    if left or other:
        near[merchant] = [seen_on, other, left]
    return {**entry, "near": near}


def _rank(known: Entry) -> tuple[int, int, str]:
    return known["r"], known["h"], known["on"]


def _without_last[T](items: Iterable[T], item: T) -> list[T]:
    left = list(items)[::-1]
    if item in left:
        left.remove(item)
    return left[::-1]
