"""Event Grid trigger: reactions to decision changes."""

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
async def transaction_decision_changed(event: func.EventGridEvent) -> None:
    """Merchant memory and counters follow the store; an event of another type, or a malformed one, is refused."""
    from shared import bootstrap
    from shared.delivery.events import decision_changed_in
    from shared.flows.decision_changed import react

    # the library gives a CloudEvent or an EventGridEvent by the wire's schema, whatever the annotation says
    data = event.data if isinstance(event, func.CloudEvent) else event.get_json()
    kind = event.type if isinstance(event, func.CloudEvent) else event.event_type
    told = decision_changed_in(kind, data)
    if told is not None:
        await react(bootstrap.delivery(), tenant=told.tenant, transaction_id=told.transaction_id)
