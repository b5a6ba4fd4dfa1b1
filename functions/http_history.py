"""Old transactions with known categories over HTTP: they become reviewed history, and merchant memory learns them."""

import azure.functions as func

from functions.bodies import UPLOAD_BODY, decoded, fingerprint_of, key_of
from functions.caller import caller_of
from functions.replies import answering, json_reply
from functions.roles import WHO_MAY

blueprint = func.Blueprint()


@blueprint.route(route="v1/history", methods=["POST"])
@answering
async def post_history(req: func.HttpRequest) -> func.HttpResponse:
    """At most 1,000 rows, oldest first, each with a category of the tenant's chart. 200: all are stored and learned."""
    from shared import bootstrap
    from shared.contracts.history import HistoryImport
    from shared.flows.import_history import import_history

    caller = await caller_of(req, needs=WHO_MAY["post_history"])
    rows = decoded(req, HistoryImport, limit=UPLOAD_BODY).rows
    fingerprint = fingerprint_of("history", [one.model_dump() for one in rows])
    answer = await import_history(
        bootstrap.delivery(),
        caller.tenant,
        rows,
        key=key_of(req, fingerprint),
        fingerprint=fingerprint,
        caller=caller.principal,
        policy_chart=frozenset(bootstrap.policy().categories),
    )
    return json_reply(answer)
