"""Parked commands over HTTP: look at what could not succeed, send it round again, or discard it."""

import azure.functions as func

from functions.bodies import choice_in, decoded, fingerprint_of, key_of, page_in, reference_in
from functions.caller import caller_of, traceparent_of
from functions.people import command_of
from functions.replies import answering, json_reply
from functions.roles import WHO_MAY

blueprint = func.Blueprint()


@blueprint.route(route="v1/parked", methods=["GET"])
@answering
async def list_parked(req: func.HttpRequest) -> func.HttpResponse:
    """Parked commands without their messages, the newest first."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_parked"])
    key = ("state", choice_in(req, "state", ("parked", "replayed", "discarded")))
    found = await reading.page(
        bootstrap.delivery(), caller.tenant, "parked", view=reading.parked_line, key=key, **page_in(req)
    )
    return json_reply(found)


@blueprint.route(route="v1/parked/{id}", methods=["GET"])
@answering
async def get_parked(req: func.HttpRequest) -> func.HttpResponse:
    """One parked command, with the message as it arrived."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["get_parked"])
    key = reference_in(req, "id")
    return json_reply(await reading.one(bootstrap.delivery(), caller.tenant, "parked", key, view=reading.as_stored))


@blueprint.route(route="v1/parked/{id}/replay", methods=["POST"])
@answering
async def replay_parked(req: func.HttpRequest) -> func.HttpResponse:
    """Sends the command round again as a new one, linked to the old."""
    return await _resolved(req, "replay", needs=WHO_MAY["replay_parked"])


@blueprint.route(route="v1/parked/{id}/discard", methods=["POST"])
@answering
async def discard_parked(req: func.HttpRequest) -> func.HttpResponse:
    """Closes it without effect; it stays on the record."""
    return await _resolved(req, "discard", needs=WHO_MAY["discard_parked"])


async def _resolved(req: func.HttpRequest, resolution: str, *, needs: frozenset[str]) -> func.HttpResponse:
    from shared import bootstrap
    from shared.contracts.commands import ResolveParkedEnvelope
    from shared.contracts.requests import ResolutionRequest
    from shared.delivery.inbox import execute

    caller = await caller_of(req, needs=needs)
    note = decoded(req, ResolutionRequest, may_be_empty=True).note
    payload = {"parked_id": reference_in(req, "id"), "resolution": resolution, "note": note}
    fingerprint = fingerprint_of("resolve", payload)
    delivery = bootstrap.delivery()
    command = command_of(
        "ResolveParked",
        {**payload, "operator": caller.principal},
        caller=caller,
        delivery=delivery,
        purpose="resolve",
        key=key_of(req, fingerprint),
        traceparent=traceparent_of(req),
    )
    envelope = ResolveParkedEnvelope.model_validate(command)
    return json_reply(await execute(delivery, envelope, fingerprint=fingerprint))
