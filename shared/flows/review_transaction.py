"""ReviewTransaction: a person answers. The reviewer comes from authentication, and the answer is one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.audit.record import Entry
from shared.delivery.handling import Left, Outcome, Work
from shared.errors import InvalidInputError, NotFoundError, StateConflictError
from shared.flows.classify_transaction import decision_changed_by
from shared.guard.policy import Policy
from shared.ledger import transactions as ledger
from shared.ports.document_store import Body, Document
from shared.runs.life_cycle import Run, moved_to, stage, with_stages

if TYPE_CHECKING:
    from shared.contracts.commands import ReviewTransaction, ReviewTransactionEnvelope


@dataclass(frozen=True, slots=True)
class ReviewTransactionFlow:
    """approve: the suggestion is right. reclassify: into another category. route: back to a person's list."""

    policy: Policy

    def needs(self, command: ReviewTransactionEnvelope) -> tuple[str, ...]:
        return (ledger.transaction_doc_id(command.payload.transaction_id), ledger.PROFILE_ID)

    async def handle(self, work: Work) -> Outcome:
        review: ReviewTransaction = work.command.payload
        stored = work.documents.get(ledger.transaction_doc_id(review.transaction_id))
        if stored is None or stored.body["review_state"] == ledger.ERASED:
            raise NotFoundError(f"no transaction {review.transaction_id}")
        if stored.body["decision_version"] != review.decision_version:
            raise StateConflictError(
                f"the transaction is at decision {stored.body['decision_version']}, the review saw "
                f"{review.decision_version}: read it again",
                code="decision_version_stale",
            )
        profile = work.documents.get(ledger.PROFILE_ID)
        chart = frozenset(profile.body["chart"]) if profile else frozenset()
        changed = self._reviewed(stored.body, review, chart or self.policy.chart, work)
        return _outcome(work, stored, changed, review)

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        del command, documents, run, reason  # a review never travels on a lane, so it is never parked
        return Left()

    def _reviewed(self, body: Body, review: ReviewTransaction, chart: frozenset[str], work: Work) -> Body:
        at = work.at
        said = {"reviewed_by": review.reviewer, "review_note": review.note, "run_id": work.run["run_id"]}
        if review.action == "route":
            return ledger.decided(body, "NeedsReview", at=at, category="", reason_codes=["routed_by_person"], **said)
        if review.action == "approve" and review.category:
            raise InvalidInputError(
                "an approval takes the suggestion: leave the category out, or reclassify", code="category_not_expected"
            )
        category = body["suggested_category"] if review.action == "approve" else review.category
        if not category:
            raise InvalidInputError(
                "there is no suggestion to approve: reclassify and name a category"
                if review.action == "approve"
                else "a reclassification needs a category",
                code="category_missing",
            )
        if category not in chart:
            raise InvalidInputError(f"category {category!r} is not in this tenant's chart", code="category_unknown")
        return ledger.decided(
            body,
            "Reviewed",
            at=at,
            category=category,
            decided_by="person",
            confidence_bp=10_000,
            reason_codes=[f"person_{review.action}"],
            **said,
        )


def _outcome(work: Work, stored: Document, changed: Body, review: ReviewTransaction) -> Outcome:
    at = work.at
    done = stage(
        "review", "Succeeded", order=1, at=at, code=f"person_{review.action}", rationale=review.note or "reviewed"
    )
    ids = {
        "run": work.run["run_id"],
        "command": work.command.command_id,
        "transaction": review.transaction_id,
        "correlation": work.command.correlation_id,
    }
    payload = {
        "action": review.action,
        "note": review.note,
        "was": {"review_state": stored.body["review_state"], "category": stored.body["category"]},
        "is": {"review_state": changed["review_state"], "category": changed["category"]},
        "decision_version": changed["decision_version"],
    }
    answer = {name: changed[name] for name in ("review_state", "category", "decision_version", "reviewed_by")}
    return Outcome(
        run=moved_to(with_stages(work.run, [done]), "Completed", at=at),
        entries=[Entry("transaction_reviewed", {"kind": "person", "id": review.reviewer}, ids, payload)],
        writes=[ledger.transaction_document(work.partition, changed, etag=stored.etag)],
        events=[decision_changed_by(work, changed)],
        answer={"transaction_id": review.transaction_id, "run_id": work.run["run_id"], **answer},
    )
