"""Runs over HTTP: how a command was handled, stage by stage, and what the record says of it."""

import azure.functions as func

from functions.bodies import choice_in, page_in, reference_in
from functions.caller import caller_of
from functions.replies import answering, json_reply
from functions.roles import WHO_MAY

blueprint = func.Blueprint()


@blueprint.route(route="v1/runs", methods=["GET"])
@answering
async def list_runs(req: func.HttpRequest) -> func.HttpResponse:
    """Runs, the newest first."""
    from shared import bootstrap
    from shared.flows import reading
    from shared.runs.life_cycle import RUN_TRANSITIONS

    caller = await caller_of(req, needs=WHO_MAY["list_runs"])
    key = ("state", choice_in(req, "status", tuple(RUN_TRANSITIONS)))
    found = await reading.page(
        bootstrap.delivery(), caller.tenant, "run", view=reading.run_line, key=key, **page_in(req)
    )
    return json_reply(found)


@blueprint.route(route="v1/runs/{run_id}", methods=["GET"])
@answering
async def get_run(req: func.HttpRequest) -> func.HttpResponse:
    """One run with its stages and signals; of a conversation that the caller may not read, without their words."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["get_run"])
    key = reference_in(req, "run_id")
    person, roles = caller.principal, caller.roles
    return json_reply(await reading.one_run(bootstrap.delivery(), caller.tenant, key, person=person, roles=roles))


@blueprint.route(route="v1/runs/{run_id}/audit", methods=["GET"])
@answering
async def list_run_audit(req: func.HttpRequest) -> func.HttpResponse:
    """The audit records of one run, in order."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_run_audit"])
    run_id, page = reference_in(req, "run_id"), page_in(req)
    delivery = bootstrap.delivery()
    await reading.one(delivery, caller.tenant, "run", run_id, view=reading.as_stored)
    found = await reading.page(
        delivery, caller.tenant, "audit", view=reading.as_stored, key=("run", run_id), descending=False, **page
    )
    return json_reply(found)
