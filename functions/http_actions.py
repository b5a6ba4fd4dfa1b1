"""Actions over HTTP: what came of each wish, what actions left here, and how they end."""

from typing import TYPE_CHECKING

import azure.functions as func

from functions.bodies import choice_in, integer_in, page_in, reference_in
from functions.caller import Caller, caller_of
from functions.replies import answering, file_reply, json_reply
from functions.roles import WHO_MAY

if TYPE_CHECKING:
    from shared.flows.action_reading import Reader

blueprint = func.Blueprint()

STATES = ("denied", "waiting", "requested", "intended", "done", "refused", "cancelled", "needs_review")
MOST_DAYS = 90


@blueprint.route(route="v1/actions", methods=["GET"])
@answering
async def list_actions(req: func.HttpRequest) -> func.HttpResponse:
    """Actions, the newest first; a member sees the own ones."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["list_actions"])
    reader = _reader(caller)
    state = choice_in(req, "state", STATES)
    found = await action_reading.actions(bootstrap.delivery(), caller.tenant, reader, state=state, **page_in(req))
    return json_reply(found)


@blueprint.route(route="v1/actions/{id}", methods=["GET"])
@answering
async def get_action(req: func.HttpRequest) -> func.HttpResponse:
    """One action: what exactly, who asked, what was decided, what came of it, and how it can be undone."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["get_action"])
    key = reference_in(req, "id")
    return json_reply(await action_reading.one_action(bootstrap.delivery(), caller.tenant, _reader(caller), key))


@blueprint.route(route="v1/actions/{id}/statement", methods=["GET"])
@answering
async def get_statement(req: func.HttpRequest) -> func.HttpResponse:
    """The transactions that an `export_statement` grants, as CSV. `X-Truncated: true` when there were more."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["get_statement"])
    key = reference_in(req, "id")
    text, more = await action_reading.statement(bootstrap.delivery(), caller.tenant, _reader(caller), key)
    headers = {"X-Truncated": str(more).lower()}
    return file_reply(text, mimetype="text/csv", name="statement.csv", headers=headers)


@blueprint.route(route="v1/budgets", methods=["GET"])
@answering
async def list_budgets(req: func.HttpRequest) -> func.HttpResponse:
    """What each category may cost in a month."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["list_budgets"])
    return json_reply(await action_reading.budgets(bootstrap.delivery(), caller.tenant, **page_in(req)))


@blueprint.route(route="v1/preferences", methods=["GET"])
@answering
async def get_preferences(req: func.HttpRequest) -> func.HttpResponse:
    """The caller's own notification settings."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["get_preferences"])
    found = await action_reading.preferences(
        bootstrap.delivery(), caller.tenant, caller.principal, policy=bootstrap.action_policy()
    )
    return json_reply(found)


@blueprint.route(route="v1/drafts", methods=["GET"])
@answering
async def list_drafts(req: func.HttpRequest) -> func.HttpResponse:
    """The caller's own drafts, the newest first; none of them was sent."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["list_drafts"])
    return json_reply(
        await action_reading.drafts(bootstrap.delivery(), caller.tenant, caller.principal, **page_in(req))
    )


@blueprint.route(route="v1/metrics/actions", methods=["GET"])
@answering
async def get_action_metrics(req: func.HttpRequest) -> func.HttpResponse:
    """How actions ended, by day, action, backend and configuration; a day with many may go on behind the cursor."""
    from shared import bootstrap
    from shared.flows import action_reading

    caller = await caller_of(req, needs=WHO_MAY["get_action_metrics"])
    days = integer_in(req, "days", default=7, low=1, high=MOST_DAYS)
    return json_reply(
        await action_reading.action_metrics(
            bootstrap.delivery(), caller.tenant, days=days, cursor=page_in(req)["cursor"]
        )
    )


def _reader(caller: Caller) -> "Reader":
    from shared.flows.action_reading import Reader

    return Reader(caller.principal, caller.roles)
