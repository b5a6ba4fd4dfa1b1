"""The shape of a policy file: closed and strict. Imported by `policy_from` alone, when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from shared.contracts.shape import SAFE_INTEGER, Currency, Shape
from shared.errors import ConfigurationError
from shared.guard.decision import BASIS_POINTS

BasisPoints = Annotated[int, Field(ge=0, le=BASIS_POINTS)]
Minor = Annotated[int, Field(ge=0, le=SAFE_INTEGER)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Target = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$", max_length=80)]
Term = Annotated[str, Field(min_length=1, max_length=80)]
Terms = Annotated[tuple[Term, ...], Field(strict=False, min_length=1)]
Words = Annotated[tuple[Term, ...], Field(strict=False)]
Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
RuleKind = Literal["category", "transfer", "income", "debt", "investment", "anomaly", "refund", "instruction", "store"]


class ThresholdLines(Shape):
    """See `policy.Thresholds`."""

    deterministic_auto_bp: BasisPoints
    semantic_auto_bp: BasisPoints
    semantic_margin_bp: BasisPoints
    rule_conflict_bp: BasisPoints
    max_model_proposals: Annotated[int, Field(ge=0, le=8)]
    model_timeout_ms: Milliseconds


class LaneLine(Shape):
    """Whether the lane's specialist may be asked."""

    enabled: bool


class SpecialistLine(Shape):
    """See `policy.SpecialistRule`."""

    basis: Literal["deterministic", "memory", "model"]
    enabled: bool
    timeout_ms: Milliseconds
    concurrency: Annotated[int, Field(ge=1, le=1000)]


class MccLine(Shape):
    """codes: "5411, 5422-5499"."""

    codes: str
    category: Target
    confidence_bp: BasisPoints


class RuleLine(Shape):
    """See `lexicon.Rule`."""

    target: Target
    confidence_bp: BasisPoints
    terms: Terms
    flow: Literal["in", "out", "any"] = "any"
    needs: Words = ()
    unless: Words = ()


class AnomalyLines(Shape):
    """See `policy.AnomalyRule`."""

    mad_multiple_bp: Annotated[int, Field(ge=BASIS_POINTS, le=100 * BASIS_POINTS)]
    least_ratio_bp: Annotated[int, Field(ge=BASIS_POINTS, le=100 * BASIS_POINTS)]
    beyond_highest_bp: Annotated[int, Field(ge=BASIS_POINTS, le=100 * BASIS_POINTS)]
    spread_floor_bp: BasisPoints
    minimum_history: Annotated[int, Field(ge=3, le=24)]
    duplicate_days: Annotated[int, Field(ge=0, le=14)]
    habitual_repeats: Annotated[int, Field(ge=1, le=24)]
    first_seen_limit_minor: dict[Currency, Minor]


class TransferLines(Shape):
    """See `policy.TransferRule`."""

    counterpart_days: Annotated[int, Field(ge=0, le=14)]
    account_tail_digits: Annotated[int, Field(ge=3, le=12)]
    neutral_words: Words


class InstructionLines(Shape):
    """A verb and, soon after it, an object make a text an attempt to give orders."""

    verbs: Terms
    objects: Terms


class PolicyDocument(Shape):
    """The whole file."""

    name: Name
    thresholds: ThresholdLines
    lanes: dict[Name, LaneLine]
    specialists: dict[Name, SpecialistLine]
    review_limit_minor: dict[Currency, Minor]
    anomaly: AnomalyLines
    transfer: TransferLines
    memory: dict[Name, Annotated[int, Field(ge=0, le=SAFE_INTEGER)]]
    instruction: InstructionLines
    categories: dict[Name, dict[Name, Annotated[str, Field(min_length=1, max_length=200)]]]
    mcc: Annotated[tuple[MccLine, ...], Field(strict=False)]
    lane_mcc: dict[Name, str]
    rules: dict[RuleKind, Annotated[tuple[RuleLine, ...], Field(strict=False)]]


def read_document(document: Mapping[str, Any]) -> PolicyDocument:
    """The document in its shape; the first thing wrong with it is named with its place."""
    try:
        return PolicyDocument.model_validate(dict(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigurationError(f"policy: {place}: {first['msg']}") from error
