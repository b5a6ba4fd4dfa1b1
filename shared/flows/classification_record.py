"""How a classification is written down: the transaction's new body, the run's stages, the audit payload. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.delivery.handling import ScoreOf
from shared.guard.decision import Answer, Decision
from shared.ledger import transactions as ledger
from shared.ports.document_store import Body
from shared.runs.life_cycle import Run, moved_to, signal, stage, with_signals, with_stages

STAGE_STATUS = {"answered": "Succeeded", "abstained": "Skipped"}


def decided_body(body: Body, decision: Decision, *, at: str, run_id: str) -> Body:
    applied = decision.outcome == "Applied"
    return ledger.decided(
        body,
        "Categorized" if applied else "NeedsReview",
        at=at,
        category=decision.category if applied else "",
        suggested_category=decision.category,
        confidence_bp=decision.confidence_bp,
        decided_by=decision.decided_by,
        reason_codes=list(decision.reason_codes),
        policy_version=decision.policy_version,
        run_id=run_id,
    )


def finished(run: Run, answers: Sequence[Answer], decision: Decision, *, at: str) -> Run:
    """The run with a stage per specialist and one for the guard. An uncertain classification is no failed run."""
    stages = [_stage(answer, order, at) for order, answer in enumerate(answers, start=1)]
    guard_status = "Succeeded" if decision.outcome == "Applied" else "NeedsReview"
    stages.append(
        stage(
            "guard",
            guard_status,
            order=len(stages) + 1,
            at=at,
            code=decision.reason_codes[0],
            rationale=decision.rationale,
            confidence_bp=decision.confidence_bp,
            details={"outcome": decision.outcome, "category": decision.category, "lane": decision.lane},
        )
    )
    run = with_stages({**run, "policy_version": decision.policy_version}, stages)
    if decision.outcome == "Applied":
        return moved_to(run, "Completed", at=at)
    code = decision.reason_codes[0]
    severity = "Warning" if decision.outcome == "NeedsReview" else "Error"
    run = with_signals(run, [signal(code, severity, decision.rationale, at=at, requires_human=True)])
    return moved_to(run, "NeedsReview", at=at, code=code, rationale=decision.rationale)


def _stage(answer: Answer, order: int, at: str) -> dict[str, Any]:
    first = answer.proposals[0] if answer.proposals else None
    concern = answer.concerns[0] if answer.concerns else None
    return stage(
        answer.specialist,
        STAGE_STATUS.get(answer.outcome, "Failed"),
        order=order,
        at=at,
        code=first.rationale_code if first else concern.code if concern else f"specialist_{answer.outcome}",
        rationale=first.rationale if first else concern.rationale if concern else answer.detail or answer.outcome,
        confidence_bp=first.confidence_bp if first else None,
        details={"target": first.target, "evidence": list(first.evidence)} if first else {},
    )


def decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "outcome": decision.outcome,
        "category": decision.category,
        "confidence_bp": decision.confidence_bp,
        "decided_by": decision.decided_by,
        "lane": decision.lane,
        "reason_codes": list(decision.reason_codes),
        "rationale": decision.rationale,
        "policy_version": decision.policy_version,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "specialist": answer.specialist,
        "outcome": answer.outcome,
        "detail": answer.detail,
        "proposals": [
            {"target": one.target, "confidence_bp": one.confidence_bp, "rationale_code": one.rationale_code,
             "rationale": one.rationale, "evidence": list(one.evidence), "runner_up_bp": one.runner_up_bp}
            for one in answer.proposals
        ],
        "concerns": [
            {"code": one.code, "rationale": one.rationale, "evidence": list(one.evidence)} for one in answer.concerns
        ],
    }  # fmt: skip


def score(answer: Answer, decision: Decision) -> ScoreOf:
    """What telemetry is told of a specialist's turn."""
    confidence_bp = answer.proposals[0].confidence_bp if answer.proposals else None
    return ScoreOf(answer.specialist, confidence_bp, decision.outcome)
