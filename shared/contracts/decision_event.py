"""The event `Countersign.TransactionDecisionChanged.v1` as receivers see it (CloudEvents 1.0, structured mode)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class TransactionDecisionChangedData(BaseModel):
    """What was decided. No personal text: whoever may know more reads the transaction."""

    model_config = ConfigDict(extra="allow")

    tenant: str
    transaction_id: str
    decision_version: int
    review_state: Literal["Unclassified", "Categorized", "NeedsReview", "Reviewed"]
    category: str
    reason_codes: list[str]
    policy_version: str
    run_id: str
    correlation_id: str


class TransactionDecisionChanged(BaseModel):
    """`id` is unique per `source` and the same for the same change, however often it is delivered."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: str
    source: str
    type: Literal["Countersign.TransactionDecisionChanged.v1"]
    subject: str
    time: str
    datacontenttype: Literal["application/json"]
    traceparent: str = ""
    data: TransactionDecisionChangedData
