"""A policy: everything the guard and the specialists may know that is not code. Read from `policies/*.yaml`, frozen.

`policy_from` refuses what it does not know; `version` is the hash of what was read, so a decision names its policy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from shared.errors import ConfigurationError
from shared.guard.lexicon import Lexicon, Rule, words_of

if TYPE_CHECKING:
    from shared.guard.policy_document import PolicyDocument, RuleLine

LANES: Final = ("categorization", "transfer", "income", "debt", "investment", "anomaly")
DETERMINISTIC: Final = "deterministic"
MEMORY: Final = "memory"
MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Confidences in basis points. At most `max_model_proposals` of the models' proposals are considered."""

    deterministic_auto_bp: int
    semantic_auto_bp: int
    semantic_margin_bp: int
    rule_conflict_bp: int
    max_model_proposals: int
    model_timeout_ms: int


@dataclass(frozen=True, slots=True)
class SpecialistRule:
    """basis: "deterministic" (a rule or statistic), "memory" (people's reviews) or "model"; the last two
    are semantic."""

    basis: str
    enabled: bool
    timeout_ms: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Category:
    """A place money goes to or comes from: `name` is `primary.detailed`."""

    name: str
    primary: str
    description: str


@dataclass(frozen=True, slots=True)
class AnomalyRule:
    """An amount is unusual beyond `mad_multiple` robust deviations, `least_ratio_bp` of the median AND
    `beyond_highest_bp` of the highest, given a history of `minimum_history` amounts.

    spread_floor_bp: the least deviation assumed, as a share of the median: equal amounts have no spread of their own.
    duplicate_days, habitual_repeats: a repeat within so many days is a duplicate unless it happened so often before, or
    twice as often to other prices of the merchant.
    first_seen_limit_minor: per currency; a currency without one has the limit 0.
    """

    mad_multiple_bp: int
    least_ratio_bp: int
    beyond_highest_bp: int
    spread_floor_bp: int
    minimum_history: int
    duplicate_days: int
    habitual_repeats: int
    first_seen_limit_minor: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TransferRule:
    """How an own counterpart is recognised: booked within so many days; the last digits that name an account.

    neutral_words: what banks print on any movement; a text of nothing else names nobody.
    """

    counterpart_days: int
    account_tail_digits: int
    neutral_words: frozenset[str]


@dataclass(frozen=True)
class Policy:
    """What judged a transaction. Amounts are minor units of the currency; mappings cannot be changed.

    lanes: enabled or not. mcc: four digits → category and confidence; lane_mcc: lane → codes at home in it.
    memory: what the policy sets of the merchant memory's thresholds. instruction_*: words that make a text an order.
    """

    version: str
    name: str
    thresholds: Thresholds
    lanes: Mapping[str, bool]
    specialists: Mapping[str, SpecialistRule]
    categories: Mapping[str, Category]
    mcc: Mapping[str, tuple[str, int]]
    lane_mcc: Mapping[str, frozenset[str]]
    lexicon: Lexicon = field(repr=False, compare=False)
    review_limit_minor: Mapping[str, int]
    anomaly: AnomalyRule
    transfer: TransferRule
    memory: Mapping[str, int]
    instruction_verbs: frozenset[str]
    instruction_objects: frozenset[str]

    @cached_property
    def chart(self) -> frozenset[str]:
        """The categories of a tenant that has no chart of its own."""
        return frozenset(self.categories)


def for_tenant(policy: Policy, rules: str, review_limit_minor: Mapping[str, int]) -> Policy:
    """The policy with a tenant's own limits; its version names both. rules: the hash of the tenant's chart and
    limits, "" for a tenant without rules of its own."""
    if not rules:
        return policy
    limits = MappingProxyType({**policy.review_limit_minor, **review_limit_minor})
    return replace(policy, version=f"{policy.version}+{rules}", review_limit_minor=limits)


def policy_from(document: Mapping[str, Any]) -> Policy:
    """The policy of an already loaded document; anything unknown, double or out of range is a `ConfigurationError`."""
    from shared.guard.policy_document import read_document  # pydantic: not when the function app is imported

    shape = read_document(document)
    categories = _categories(shape)
    return Policy(
        version=f"{shape.name}@{_digest(document)}",
        name=shape.name,
        thresholds=Thresholds(**shape.thresholds.model_dump()),
        lanes=_lanes(shape),
        specialists=MappingProxyType({k: SpecialistRule(**v.model_dump()) for k, v in shape.specialists.items()}),
        categories=categories,
        mcc=_mcc(shape, categories),
        lane_mcc=_lane_mcc(shape),
        lexicon=_lexicon(shape, categories),
        review_limit_minor=MappingProxyType(dict(shape.review_limit_minor)),
        anomaly=AnomalyRule(**{**shape.anomaly.model_dump(), "first_seen_limit_minor": _first_seen(shape)}),
        transfer=TransferRule(
            shape.transfer.counterpart_days, shape.transfer.account_tail_digits, _words(shape.transfer.neutral_words)
        ),
        memory=MappingProxyType(dict(shape.memory)),
        instruction_verbs=_words(shape.instruction.verbs),
        instruction_objects=_words(shape.instruction.objects),
    )


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _first_seen(shape: PolicyDocument) -> Mapping[str, int]:
    return MappingProxyType(dict(shape.anomaly.first_seen_limit_minor))


def _lanes(shape: PolicyDocument) -> Mapping[str, bool]:
    for lane in shape.lanes:
        if lane not in LANES:
            raise ConfigurationError(f"lanes.{lane}: no such lane; they are {', '.join(LANES)}")
    for name in LANES:
        if name in shape.lanes and name not in shape.specialists:
            raise ConfigurationError(f"specialists: the lane {name!r} has no specialist of its name")
    return MappingProxyType({lane: line.enabled for lane, line in shape.lanes.items()})


def _categories(shape: PolicyDocument) -> Mapping[str, Category]:
    return MappingProxyType(
        {
            f"{primary}.{detailed}": Category(f"{primary}.{detailed}", primary, description)
            for primary, group in shape.categories.items()
            for detailed, description in group.items()
        }
    )


def _codes(text: str, where: str) -> Iterator[str]:
    """ "5411, 5422-5499" → each code. A range's ends are included."""
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        last = last or first
        if not (len(first) == len(last) == 4 and (first + last).isdecimal() and (first + last).isascii()):
            raise ConfigurationError(f"{where}: {part.strip()!r} is not a code of four digits or a range of them")
        if first > last:
            raise ConfigurationError(f"{where}: the range {part.strip()!r} runs backwards")
        yield from (f"{code:04d}" for code in range(int(first), int(last) + 1))


def _mcc(shape: PolicyDocument, categories: Mapping[str, Category]) -> Mapping[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for at, line in enumerate(shape.mcc):
        where = f"mcc[{at}]"
        _known(line.category, categories, where)
        for code in _codes(line.codes, where):
            if code in found:
                raise ConfigurationError(f"{where}: {code} is listed twice, for {found[code][0]} and {line.category}")
            found[code] = (line.category, line.confidence_bp)
    return MappingProxyType(found)


def _lane_mcc(shape: PolicyDocument) -> Mapping[str, frozenset[str]]:
    for lane in shape.lane_mcc:
        if lane not in LANES:
            raise ConfigurationError(f"lane_mcc.{lane}: no such lane")
    return MappingProxyType(
        {lane: frozenset(_codes(text, f"lane_mcc.{lane}")) for lane, text in shape.lane_mcc.items()}
    )


def _known(category: str, categories: Mapping[str, Category], where: str) -> None:
    if category not in categories:
        raise ConfigurationError(f"{where}: {category!r} is not a category of this policy")


def _words(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word for text in texts for word in words_of(text))


def _lexicon(shape: PolicyDocument, categories: Mapping[str, Category]) -> Lexicon:
    seen: dict[tuple[str, str, str], str] = {}
    rules: list[Rule] = []
    for kind, lines in shape.rules.items():
        for at, line in enumerate(lines):
            where = f"rules.{kind}[{at}]"
            if kind in ("category", "transfer", "income", "debt", "investment"):
                _known(line.target, categories, where)
            _once(kind, line, where, seen)
            rules.append(_rule(kind, line))
    try:
        return Lexicon(rules)
    except ValueError as error:
        raise ConfigurationError(f"rules: {error}") from error


def _once(kind: str, line: RuleLine, where: str, seen: dict[tuple[str, str, str], str]) -> None:
    """A term speaks once for its kind, direction and company: twice would be a rule that argues with itself."""
    for term in line.terms:
        key = (kind, f"{line.flow}/{sorted(line.needs)}/{sorted(line.unless)}", _normal(term))
        if key in seen:
            raise ConfigurationError(f"{where}: the term {term!r} is already in {seen[key]}")
        seen[key] = where


def _normal(term: str) -> str:
    return " ".join(words_of(term)) + ("*" if term.endswith("*") else "") + ("<" if term.startswith("*") else "")


def _rule(kind: str, line: RuleLine) -> Rule:
    return Rule(kind, line.target, line.confidence_bp, line.terms, line.flow, _words(line.needs), _words(line.unless))
