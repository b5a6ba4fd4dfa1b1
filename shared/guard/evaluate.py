"""The guard: what specialists said, against the policy, becomes a decision. Pure, total, and the strictest wins.

Only one way leads to `Applied`: the categorization lane, an open transaction within its limits, every specialist heard,
no concern, nothing dropped, and either one confident rule that nothing contradicts, or, when no rule spoke, memory or a
model that is confident and well ahead. Whatever else is found sends the transaction to a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.guard.decision import Answer, Decision, Proposal
from shared.guard.policy import Policy
from shared.guard.reasons import APPLIED, NEEDS_REVIEW, NOTE, REASONS, REJECTED, strictest_first
from shared.guard.rules import (
    ALONE,
    answer_findings,
    asks_for_action,
    best_by_target,
    deterministic_finding,
    fault_of,
    lane_findings,
    semantic_finding,
    sorted_by_basis,
    speaks_for_another_lane,
    transaction_findings,
)

if TYPE_CHECKING:
    from shared.contracts.transactions import TransactionFacts

_RATIONALE_LIMIT = 500


def evaluate(
    *,
    lane: str,
    answers: Sequence[Answer],
    facts: TransactionFacts,
    policy: Policy,
    chart: frozenset[str],
    previous_state: str,
) -> Decision:
    """The decision on one transaction. previous_state: its review state before ("Unclassified", "NeedsReview", ...).

    Never raises for what a specialist said; a broken opinion is a finding like any other.
    """
    denied = any(asks_for_action(proposal.target) for answer in answers for proposal in answer.proposals)
    found: dict[str, None] = {"external_action_denied": None} if denied else {}
    found.update(dict.fromkeys(answer_findings(answers, policy)))
    found.update(dict.fromkeys(lane_findings(lane, answers, policy)))
    accepted = _accepted(answers, policy, chart, found)
    found.update(dict.fromkeys(transaction_findings(facts, policy, chart, previous_state)))
    suggestion = _weigh(lane, accepted, policy, found)
    codes = strictest_first(found)
    outcome = REASONS[codes[0]].leads_to
    if outcome == REJECTED:
        suggestion = None
    return _decision(outcome, lane, codes, suggestion, policy)


def _accepted(
    answers: Sequence[Answer], policy: Policy, chart: frozenset[str], found: dict[str, None]
) -> list[Proposal]:
    """The proposals that may count. What is dropped is found, and so leads to a review."""
    accepted: list[Proposal] = []
    for answer in answers:
        rule = policy.specialists.get(answer.specialist)
        if rule is None or not rule.enabled:
            continue
        for proposal in answer.proposals:
            if asks_for_action(proposal.target):
                continue
            fault = fault_of(proposal, policy, chart)
            if fault is None and proposal.specialist != answer.specialist:
                fault = "proposal_malformed"
            if fault is None:
                accepted.append(proposal)
            else:
                found[fault] = None
    return accepted


def _weigh(lane: str, accepted: list[Proposal], policy: Policy, found: dict[str, None]) -> Proposal | None:
    """Adds the verdict on the proposals to what was found; gives the proposal to apply or to suggest."""
    if not accepted:
        found["no_proposal"] = None
        return None
    fixed, semantic, notes = sorted_by_basis(accepted, policy)
    if lane != ALONE or speaks_for_another_lane(accepted):
        found["lane_needs_person"] = None
        own = best_by_target(proposal for proposal in accepted if proposal.specialist == lane)
        best = (own or fixed or semantic)[:1]
    elif fixed:
        found[deterministic_finding(fixed, semantic, policy)] = None
        best = fixed[:1]
    elif semantic:
        found[semantic_finding(semantic, policy)] = None
        best = semantic[:1]
    else:  # the policy lets no model proposal be considered, and nobody else spoke
        found["no_proposal"] = None
        best = []
    found.update(notes)
    return best[0] if best else None


def _decision(outcome: str, lane: str, codes: tuple[str, ...], suggestion: Proposal | None, policy: Policy) -> Decision:
    """An accepting code is told only where it won: beside a review it would read as a contradiction."""
    if outcome != APPLIED:
        codes = tuple(code for code in codes if REASONS[code].leads_to != APPLIED)
    first = REASONS[codes[0]].explanation
    if suggestion is None:
        return Decision(outcome or NEEDS_REVIEW, "", 0, "", lane, codes, first, policy.version)
    why = REASONS.get(suggestion.rationale_code)
    if why is not None and why.leads_to == NOTE:  # a specialist cannot put a verdict among the reasons
        codes = (*codes, suggestion.rationale_code)
    return Decision(
        outcome=outcome,
        category=suggestion.target,
        confidence_bp=suggestion.confidence_bp,
        decided_by=suggestion.specialist,
        lane=lane,
        reason_codes=codes,
        rationale=f"{first} {suggestion.rationale}"[:_RATIONALE_LIMIT],
        policy_version=policy.version,
    )
