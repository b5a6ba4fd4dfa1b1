"""Events as they come back to us: only their reference is believed, and only when it is well formed."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, ValidationError

from shared.contracts.shape import ReferenceId, Shape, TenantId

DECISION_CHANGED_PREFIX = "Countersign.TransactionDecisionChanged."


class DecisionChangedReference(Shape):
    """What of the event is used: the rest is read from the store. Later versions may say more."""

    model_config = ConfigDict(extra="ignore")
    tenant: TenantId
    transaction_id: ReferenceId


def decision_changed_in(kind: str | None, data: Any) -> DecisionChangedReference | None:
    """The reference in an event's data, or None for an event of another type or without a usable reference."""
    if not (kind or "").startswith(DECISION_CHANGED_PREFIX):
        return None
    try:
        return DecisionChangedReference.model_validate(data)
    except ValidationError:
        return None
