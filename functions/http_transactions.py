"""Transactions over HTTP: a statement comes in, decisions are looked at, a person reviews."""

import azure.functions as func

from functions.bodies import (
    CSV_TYPE,
    JSON_TYPE,
    UPLOAD_BODY,
    choice_in,
    content,
    decoded,
    fingerprint_of,
    key_of,
    media_type,
    page_in,
    reference_in,
)
from functions.caller import caller_of, traceparent_of
from functions.people import command_of
from functions.replies import accepted, answering, json_reply
from functions.roles import WHO_MAY

blueprint = func.Blueprint()


@blueprint.route(route="v1/transactions", methods=["POST"])
@answering
async def post_transactions(req: func.HttpRequest) -> func.HttpResponse:
    """A statement as JSON or CSV, all rows valid or none taken. 202: every row is stored and will be decided."""
    from shared import bootstrap
    from shared.contracts.requests import MAX_ROWS, TransactionBatch
    from shared.flows.ingest_statement import ingest

    caller = await caller_of(req, needs=WHO_MAY["post_transactions"])
    if media_type(req) == CSV_TYPE:
        from functions.csv_statement import facts_in

        rows = facts_in(content(req, limit=UPLOAD_BODY, types=(JSON_TYPE, CSV_TYPE)), max_rows=MAX_ROWS)
    else:
        rows = decoded(req, TransactionBatch, limit=UPLOAD_BODY).transactions
    fingerprint = fingerprint_of("transactions", [one.model_dump() for one in rows])
    answer = await ingest(
        bootstrap.delivery(),
        caller.tenant,
        rows,
        key=key_of(req, fingerprint),
        fingerprint=fingerprint,
        caller=caller.principal,
        traceparent=traceparent_of(req),
    )
    return accepted(answer, location=f"/api/v1/ingestions/{answer['ingestion_id']}")


@blueprint.route(route="v1/ingestions/{id}", methods=["GET"])
@answering
async def get_ingestion(req: func.HttpRequest) -> func.HttpResponse:
    """How far an upload has come."""
    from shared import bootstrap
    from shared.flows import reading
    from shared.flows.upload import answer

    caller = await caller_of(req, needs=WHO_MAY["get_ingestion"])
    key = reference_in(req, "id")
    found = await reading.one(
        bootstrap.delivery(), caller.tenant, "ingestion", key, view=lambda document: answer(document.body)
    )
    return json_reply(found)


@blueprint.route(route="v1/transactions", methods=["GET"])
@answering
async def list_transactions(req: func.HttpRequest) -> func.HttpResponse:
    """Transactions, the latest day first."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_transactions"])
    states = ("Unclassified", "Categorized", "NeedsReview", "Reviewed")
    key = ("state", choice_in(req, "review_state", states))
    found = await reading.page(
        bootstrap.delivery(), caller.tenant, "transaction", view=reading.transaction, key=key, **page_in(req)
    )
    return json_reply(found)


@blueprint.route(route="v1/transactions/{id}", methods=["GET"])
@answering
async def get_transaction(req: func.HttpRequest) -> func.HttpResponse:
    """One transaction with its decision."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["get_transaction"])
    key = reference_in(req, "id")
    return json_reply(
        await reading.one(bootstrap.delivery(), caller.tenant, "transaction", key, view=reading.transaction)
    )


@blueprint.route(route="v1/transactions/{id}/review", methods=["POST"])
@answering
async def review_transaction(req: func.HttpRequest) -> func.HttpResponse:
    """A person's answer: one commit with its audit record; the reviewer is the caller."""
    from shared import bootstrap
    from shared.contracts.commands import ReviewTransactionEnvelope
    from shared.contracts.requests import ReviewRequest
    from shared.delivery.inbox import execute

    caller = await caller_of(req, needs=WHO_MAY["review_transaction"])
    payload = {"transaction_id": reference_in(req, "id"), **decoded(req, ReviewRequest).model_dump()}
    fingerprint = fingerprint_of("review", payload)
    delivery = bootstrap.delivery()
    command = command_of(
        "ReviewTransaction",
        {**payload, "reviewer": caller.principal},
        caller=caller,
        delivery=delivery,
        purpose="review",
        key=key_of(req, fingerprint),
        traceparent=traceparent_of(req),
    )
    envelope = ReviewTransactionEnvelope.model_validate(command)
    return json_reply(await execute(delivery, envelope, fingerprint=fingerprint))
