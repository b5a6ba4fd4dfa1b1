"""The guard's single rules. Each looks at one thing and names what it found; `evaluate` puts them together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.guard.decision import BASIS_POINTS, Answer, Proposal
from shared.guard.policy import DETERMINISTIC, LANES, MODEL, Policy
from shared.guard.reasons import NEEDS_REVIEW, REASONS

if TYPE_CHECKING:
    from shared.contracts.transactions import TransactionFacts

ALONE: Final = "categorization"
"""The only lane that may decide without a person."""
OPEN_STATE: Final = "Unclassified"
IN_REVIEW: Final = "NeedsReview"
_ACTIONS: Final = ("send_", "notify_external")
_FAILED: Final = {"timed_out": "specialist_timed_out", "raised": "specialist_raised", "rubbish": "specialist_rubbish"}
_WELL: Final = frozenset({"answered", "abstained"})


def asks_for_action(target: object) -> bool:
    """Whether the target is an effect on the outside world in a category's clothes, however it is spelt."""
    return isinstance(target, str) and _is_action(target)


@lru_cache(maxsize=1024)
def _is_action(target: str) -> bool:
    return target.strip().casefold().replace("-", "_").replace(" ", "_").startswith(_ACTIONS)


def is_confidence(value: object) -> bool:
    """Basis points, 0 to 10000; True is no number here."""
    return type(value) is int and 0 <= value <= BASIS_POINTS


def fault_of(proposal: Proposal, policy: Policy, chart: frozenset[str]) -> str | None:
    """Why a proposal must be dropped, or None. The tenant's chart is the authority on what categories exist for it."""
    code, rationale = proposal.rationale_code, proposal.rationale
    if not (isinstance(proposal.target, str) and isinstance(code, str) and isinstance(rationale, str)):
        return "proposal_malformed"
    if proposal.target not in chart:
        return "proposal_outside_chart" if proposal.target in policy.categories else "proposal_unknown_target"
    if not (is_confidence(proposal.confidence_bp) and is_confidence(proposal.runner_up_bp)):
        return "proposal_confidence_missing"
    if not (code.strip() and rationale.strip()):
        return "proposal_without_rationale"
    return None


def transaction_findings(facts: TransactionFacts, policy: Policy, chart: frozenset[str], state: str) -> Iterator[str]:
    """What the transaction itself calls for, whatever anybody proposes."""
    if not chart:
        yield "chart_missing"
    limit = policy.review_limit_minor.get(facts.currency)
    if limit is None:
        yield "currency_without_limit"
    elif abs(facts.amount_minor) > limit:
        yield "amount_over_limit"
    if state == IN_REVIEW:
        yield "already_in_review"
    elif state != OPEN_STATE:
        yield "state_not_open"


def lane_findings(lane: str, answers: Sequence[Answer], policy: Policy) -> Iterator[str]:
    """Whether the lane's own specialist is listed, switched on, and was heard. It bears the lane's name."""
    listed = policy.specialists.get(lane)
    if lane not in policy.lanes or listed is None:
        yield "routing_specialist_not_registered"
    elif not (policy.lanes[lane] and listed.enabled):
        yield "routing_specialist_disabled"
    elif not any(answer.specialist == lane for answer in answers):
        yield "routing_specialist_not_registered"


def answer_findings(answers: Sequence[Answer], policy: Policy) -> Iterator[str]:
    """Concerns first, then failures. Any failed specialist forces a review: what it would have said is not known."""
    for answer in answers:
        for concern in answer.concerns:
            listed = REASONS.get(concern.code) if isinstance(concern.code, str) else None
            yield concern.code if listed is not None and listed.leads_to == NEEDS_REVIEW else "unlisted_concern"
    for answer in answers:
        if answer.outcome not in _WELL:
            yield _FAILED.get(answer.outcome, "specialist_rubbish")
        rule = policy.specialists.get(answer.specialist)
        if rule is None:
            yield "specialist_not_listed"
        elif not rule.enabled and (answer.proposals or answer.concerns):
            yield "routing_specialist_disabled"


def best_by_target(proposals: Iterable[Proposal]) -> list[Proposal]:
    """The most confident proposal for each target, best first. Ties go to the name, so that order decides nothing."""
    best: dict[str, Proposal] = {}
    for proposal in proposals:
        known = best.get(proposal.target)
        if known is None or proposal.confidence_bp > known.confidence_bp:
            best[proposal.target] = proposal
    if len(best) < 2:
        return list(best.values())
    return sorted(best.values(), key=lambda proposal: (-proposal.confidence_bp, proposal.target))


def sorted_by_basis(
    proposals: Sequence[Proposal], policy: Policy
) -> tuple[list[Proposal], list[Proposal], dict[str, None]]:
    """(deterministic, semantic, notes), each best first, one per target; of the models' no more than may be considered.

    Cutting after one-per-target keeps the runner-up: repeating a favourite cannot push its rival out of sight.
    """
    notes: dict[str, None] = {}
    bases: dict[str, list[Proposal]] = {}
    if len(proposals) == 1 and policy.specialists[proposals[0].specialist].basis == DETERMINISTIC:
        return list(proposals), [], notes  # most purchases: one rule, and nobody else
    for proposal in proposals:
        bases.setdefault(policy.specialists[proposal.specialist].basis, []).append(proposal)
    fixed = best_by_target(bases.pop(DETERMINISTIC, ()))
    models = best_by_target(bases.pop(MODEL, ()))
    most = policy.thresholds.max_model_proposals
    if len(models) > most:
        notes["model_proposals_truncated"] = None
    rest = [proposal for group in bases.values() for proposal in group]
    return fixed, best_by_target([*models[:most], *rest]), notes


def deterministic_finding(fixed: Sequence[Proposal], semantic: Sequence[Proposal], policy: Policy) -> str:
    """A rule spoke: it decides if it is confident and alone in its view. Agreement of others does not lift it."""
    if len(fixed) > 1:
        return "rules_disagree"
    if any(proposal.target != fixed[0].target for proposal in semantic):
        return "rules_and_memory_disagree"
    if fixed[0].confidence_bp < policy.thresholds.deterministic_auto_bp:
        return "deterministic_below_threshold"
    return "deterministic_accepted"


def semantic_finding(semantic: Sequence[Proposal], policy: Policy) -> str:
    """No rule spoke: memory or a model decides if it is confident and well ahead of its runner-up."""
    best = semantic[0]
    rival = max(best.runner_up_bp, semantic[1].confidence_bp if len(semantic) > 1 else 0)
    if best.confidence_bp < policy.thresholds.semantic_auto_bp:
        return "semantic_below_threshold"
    if best.confidence_bp - rival < policy.thresholds.semantic_margin_bp:
        return "semantic_margin_thin"
    return "semantic_accepted"


def speaks_for_another_lane(proposals: Iterable[Proposal]) -> bool:
    """Whether a specialist of a lane that may not decide alone has a proposal here."""
    return any(proposal.specialist != ALONE and proposal.specialist in LANES for proposal in proposals)
