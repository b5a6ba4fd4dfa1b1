"""recategorise_transactions: a person's word on up to 50 transactions, found before and named by id. Own store."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from shared.actions.action import Action, Description, Effect, Fault, Permit, Situation
from shared.contracts.shape import ReferenceId, Shape
from shared.ledger import transactions as ledger
from shared.ledger.events import decision_changed
from shared.ports.document_store import Body

MAX_TRANSACTIONS = 50


class SeenTransaction(Shape):
    """decision_version: the version that was looked at; another one in the store means that it has changed."""

    transaction_id: ReferenceId
    decision_version: Annotated[int, Field(ge=0)]


class Arguments(Shape):
    """category: of the tenant's chart."""

    category: Annotated[str, Field(min_length=1, max_length=120)]
    transactions: Annotated[list[SeenTransaction], Field(min_length=1, max_length=MAX_TRANSACTIONS)]

    @field_validator("transactions")
    @classmethod
    def _distinct(cls, value: list[SeenTransaction]) -> list[SeenTransaction]:
        if len({one.transaction_id for one in value}) != len(value):
            raise ValueError("a transaction is named twice")
        return value


def _ids(arguments: Body) -> tuple[str, ...]:
    return tuple(one["transaction_id"] for one in arguments["transactions"])


def _describe(arguments: Body) -> Description:
    ids = _ids(arguments)
    many = f"{len(ids)} transaction{'s' if len(ids) > 1 else ''}"
    return Description(
        f"Put {many} into {arguments['category']}",
        (("Category", arguments["category"]), ("Transactions", ", ".join(ids))),
        (f"{many} will count as reviewed.", "Future transactions of these merchants are judged with this in mind."),
    )


def _fault(arguments: Body, situation: Situation) -> Fault | None:
    if arguments["category"] not in situation.chart:
        return Fault("category_unknown", f"there is no category {arguments['category']}")
    for one in arguments["transactions"]:
        stored = situation.documents.get(ledger.transaction_doc_id(one["transaction_id"]))
        if stored is None or stored.body["review_state"] == ledger.ERASED:
            return Fault("transaction_missing", f"there is no transaction {one['transaction_id']}")
        if stored.body["decision_version"] != one["decision_version"]:
            return Fault("decision_version_stale", f"transaction {one['transaction_id']} was decided anew meanwhile")
    return None


def _effect(permit: Permit, situation: Situation) -> Effect:
    """Each transaction goes through `NeedsReview`, as the ledger's states ask, and is `Reviewed` by the requester."""
    category = permit.arguments["category"]
    writes, events, record = [], [], []
    for transaction_id in _ids(dict(permit.arguments)):
        stored = situation.documents[ledger.transaction_doc_id(transaction_id)]
        body = _reviewed(stored.body, permit, situation)
        writes.append(ledger.transaction_document(situation.partition, body, etag=stored.etag))
        told = {name: getattr(situation, name) for name in ("at", "run_id", "correlation_id", "traceparent")}
        events.append(decision_changed(situation.partition, body, **told))
        was = {name: stored.body[name] for name in ("review_state", "category", "decision_version")}
        record.append({"transaction_id": transaction_id, "was": was, "decision_version": body["decision_version"]})
    many = f"{len(writes)} transactions are" if len(writes) > 1 else "1 transaction is"
    return Effect(
        f"Done: {many} now in {category}.",
        {"category": category, "transactions": len(writes)},
        writes,
        events,
        {"transactions": record},
    )


def _reviewed(body: Body, permit: Permit, situation: Situation) -> Body:
    said = {"reviewed_by": permit.requested_by, "review_note": "asked for in a conversation"}
    said["run_id"] = situation.run_id
    if body["review_state"] != "NeedsReview":
        body = ledger.decided(body, "NeedsReview", at=situation.at, reason_codes=["routed_by_person"], **said)
    return ledger.decided(
        body,
        "Reviewed",
        at=situation.at,
        category=permit.arguments["category"],
        decided_by="person",
        confidence_bp=10_000,
        reason_codes=["person_reclassify"],
        **said,
    )


def _documents(action: Body) -> tuple[str, ...]:
    return tuple(ledger.transaction_doc_id(one) for one in _ids(action["arguments"]))


RECATEGORISE_TRANSACTIONS = Action(
    name="recategorise_transactions",
    schema_version=1,
    shape=Arguments,
    describe=_describe,
    documents=_documents,
    fault=_fault,
    effect=_effect,
    mentions=_ids,
    compensation="Recategorise the same transactions again; the record has what each was before.",
)
