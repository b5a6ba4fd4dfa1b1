"""Health, readiness and the description of the interface: no caller, no tenant's data."""

import azure.functions as func

from functions.replies import answering, json_reply, readiness_reply

blueprint = func.Blueprint()


@blueprint.route(route="health", methods=["GET"])
@answering
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """The process answers. It looks at nothing, so that an outage elsewhere does not restart it."""
    del req  # nothing of it is looked at
    return json_reply({"status": "alive"})


@blueprint.route(route="ready", methods=["GET"])
@answering
async def ready(req: func.HttpRequest) -> func.HttpResponse:
    """Whether a command could be accepted now: store, bus and publisher, each asked for at most two seconds; beside
    them how checkpoints, bank, model and second app are."""
    from functions.readiness import readiness

    del req
    return readiness_reply(await readiness())


@blueprint.route(route="openapi.json", methods=["GET"])
@answering
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """The OpenAPI document."""
    from functions.openapi import document

    del req
    return json_reply(document())


@blueprint.route(route="v1/openapi.json", methods=["GET"])
@answering
async def openapi_v1(req: func.HttpRequest) -> func.HttpResponse:
    """The OpenAPI document, beside the version that it describes."""
    from functions.openapi import document

    del req
    return json_reply(document())
