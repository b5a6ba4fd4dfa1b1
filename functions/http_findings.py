"""Findings over HTTP: what the nightly sweep wants somebody to look at, and what that person found out."""

import azure.functions as func

from functions.bodies import choice_in, decoded, page_in, reference_in
from functions.caller import caller_of
from functions.replies import answering, json_reply
from functions.roles import WHO_MAY

blueprint = func.Blueprint()


@blueprint.route(route="v1/findings", methods=["GET"])
@answering
async def list_findings(req: func.HttpRequest) -> func.HttpResponse:
    """Findings, the newest first."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_findings"])
    key = ("state", choice_in(req, "state", ("open", "closed")))
    found = await reading.page(
        bootstrap.delivery(), caller.tenant, "finding", view=reading.finding, key=key, **page_in(req)
    )
    return json_reply(found)


@blueprint.route(route="v1/findings/{id}/close", methods=["POST"])
@answering
async def close_finding(req: func.HttpRequest) -> func.HttpResponse:
    """Closes a finding with a note; repeating it changes nothing."""
    from shared import bootstrap
    from shared.contracts.requests import FindingClosure
    from shared.flows import close_finding as flow

    caller = await caller_of(req, needs=WHO_MAY["close_finding"])
    finding_id = reference_in(req, "id")
    note = decoded(req, FindingClosure).note
    closed = await flow.close_finding(bootstrap.delivery(), caller.tenant, finding_id, note=note, by=caller.principal)
    return json_reply(closed)
