"""The event that tells the world of a decision: `Countersign.TransactionDecisionChanged.v1` (CloudEvents 1.0)."""

from __future__ import annotations

from shared.contracts.identity import deterministic_id
from shared.ports.document_store import Body
from shared.ports.event_publisher import CloudEvent

DECISION_CHANGED = "Countersign.TransactionDecisionChanged.v1"


def decision_changed(
    partition: str, body: Body, *, at: str, run_id: str, correlation_id: str, traceparent: str
) -> CloudEvent:
    """The event of the transaction's newest decision. One id per decision change: the same change, the same id.

    It carries no personal text: a receiver that may know more reads the transaction.
    """
    transaction_id = body["facts"]["transaction_id"]
    version = body["decision_version"]
    event: CloudEvent = {
        "specversion": "1.0",
        "id": deterministic_id(partition, "decision-changed", f"{transaction_id}:{version}"),
        "source": f"/countersign/tenants/{partition}",
        "type": DECISION_CHANGED,
        "subject": f"transactions/{transaction_id}",
        "time": at,
        "datacontenttype": "application/json",
        "data": {
            "tenant": partition,
            "transaction_id": transaction_id,
            "decision_version": version,
            "review_state": body["review_state"],
            "category": body["category"],
            "reason_codes": body["reason_codes"],
            "policy_version": body["policy_version"],
            "run_id": run_id,
            "correlation_id": correlation_id,
        },
    }
    if traceparent:
        event["traceparent"] = traceparent
    return event
