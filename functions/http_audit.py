"""The audit chain over HTTP: read it, verify it, take it away, and see what was checkpointed outside the store."""

import azure.functions as func

from functions.bodies import decoded, integer_in
from functions.caller import caller_of
from functions.replies import answering, json_lines, json_reply
from functions.roles import WHO_MAY

blueprint = func.Blueprint()
LAST = 10**12 - 1
"""The greatest sequence that a record's id can hold."""
EXPORT_LINES = 1_000


@blueprint.route(route="v1/audit", methods=["GET"])
@answering
async def list_audit(req: func.HttpRequest) -> func.HttpResponse:
    """Records with a sequence above `after`, in order. `next_after` is 0 at the end."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_audit"])
    after = integer_in(req, "after", default=0, low=0, high=LAST)
    limit = integer_in(req, "limit", default=50, low=1, high=200)
    records = await reading.records_after(bootstrap.delivery(), caller.tenant, after=after, limit=limit)
    next_after = records[-1]["sequence"] if len(records) == limit else 0
    return json_reply({"items": records, "next_after": next_after})


@blueprint.route(route="v1/audit/verify", methods=["POST"])
@answering
async def verify_audit(req: func.HttpRequest) -> func.HttpResponse:
    """Checks each link, the head and the checkpoints; names the first broken link. `next_from` goes on."""
    from shared import bootstrap
    from shared.contracts.requests import VerificationRequest
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["verify_audit"])
    wish = decoded(req, VerificationRequest, may_be_empty=True)
    return json_reply(
        await reading.verified(bootstrap.delivery(), caller.tenant, start=wish.from_, start_hash=wish.from_hash)
    )


@blueprint.route(route="v1/audit/export", methods=["GET"])
@answering
async def export_audit(req: func.HttpRequest) -> func.HttpResponse:
    """Records as JSON lines, at most 1,000; `X-Next-After` goes on, and is absent at the end."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["export_audit"])
    after = integer_in(req, "after", default=0, low=0, high=LAST)
    records = await reading.records_after(bootstrap.delivery(), caller.tenant, after=after, limit=EXPORT_LINES)
    more = {"X-Next-After": str(records[-1]["sequence"])} if len(records) == EXPORT_LINES else {}
    return json_lines(records, headers=more)


@blueprint.route(route="v1/audit/checkpoints", methods=["GET"])
@answering
async def list_checkpoints(req: func.HttpRequest) -> func.HttpResponse:
    """The newest heads of the chain that were written outside the store, oldest first."""
    from shared import bootstrap
    from shared.flows import reading

    caller = await caller_of(req, needs=WHO_MAY["list_checkpoints"])
    limit = integer_in(req, "limit", default=50, low=1, high=200)
    return json_reply({"items": await reading.checkpoints(bootstrap.delivery(), caller.tenant, limit=limit)})
