"""Event Grid trigger: reactions to decision changes."""

from typing import Any

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
async def transaction_decision_changed(event: func.EventGridEvent) -> None:
    """Merchant memory and counters follow the store; an event of another type, or a malformed one, is refused."""
    from functions.observation import delivered
    from shared import bootstrap
    from shared.delivery.events import decision_changed_in
    from shared.flows.decision_changed import react

    # the library gives a CloudEvent or an EventGridEvent by the wire's schema, whatever the annotation says
    received: Any = event
    kind = received.type if isinstance(received, func.CloudEvent) else received.event_type
    told = decision_changed_in(kind, received.get_json())
    if told is not None:
        with delivered("transaction_decision_changed", received):
            await react(bootstrap.delivery(), tenant=told.tenant, transaction_id=told.transaction_id)
