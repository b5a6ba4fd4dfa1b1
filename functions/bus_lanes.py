"""Service Bus triggers: one function per lane, and one per dead-letter lane."""

import azure.functions as func

from shared.contracts.lanes import ACTIONS, DEAD_LETTER_SUFFIX, INGESTION, MESSAGES, SWEEP

blueprint = func.Blueprint()
CONNECTION = "SERVICEBUS_CONNECTION"


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=INGESTION.queue, connection=CONNECTION, is_sessions_enabled=True
)
async def ingestion_completed(message: func.ServiceBusMessage) -> None:
    """`IngestionCompleted` and `ClassifyTransaction`."""
    await _handle(INGESTION.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=SWEEP.queue, connection=CONNECTION, is_sessions_enabled=True
)
async def nightly_anomaly_sweep(message: func.ServiceBusMessage) -> None:
    """`SweepTenant`."""
    await _handle(SWEEP.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=MESSAGES.queue, connection=CONNECTION, is_sessions_enabled=True
)
async def agent_message_posted(message: func.ServiceBusMessage) -> None:
    """`AgentMessagePosted` and `AgentApprovalSubmitted`."""
    await _handle(MESSAGES.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=ACTIONS.queue, connection=CONNECTION, is_sessions_enabled=True
)
async def action_requested(message: func.ServiceBusMessage) -> None:
    """`RequestAction` and `PerformAction`."""
    await _handle(ACTIONS.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=INGESTION.queue + DEAD_LETTER_SUFFIX, connection=CONNECTION
)
async def ingestion_completed_dead_letters(message: func.ServiceBusMessage) -> None:
    """What the platform gave up on, so that it is parked with a reason like everything else."""
    await _park(INGESTION.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=SWEEP.queue + DEAD_LETTER_SUFFIX, connection=CONNECTION
)
async def nightly_anomaly_sweep_dead_letters(message: func.ServiceBusMessage) -> None:
    """What the platform gave up on, so that it is parked with a reason like everything else."""
    await _park(SWEEP.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=MESSAGES.queue + DEAD_LETTER_SUFFIX, connection=CONNECTION
)
async def agent_message_posted_dead_letters(message: func.ServiceBusMessage) -> None:
    """What the platform gave up on, so that it is parked with a reason like everything else."""
    await _park(MESSAGES.queue, message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name=ACTIONS.queue + DEAD_LETTER_SUFFIX, connection=CONNECTION
)
async def action_requested_dead_letters(message: func.ServiceBusMessage) -> None:
    """What the platform gave up on, so that it is parked with a reason like everything else."""
    await _park(ACTIONS.queue, message)


async def _handle(lane: str, message: func.ServiceBusMessage) -> None:
    from shared import bootstrap
    from shared.delivery.inbox import handle_once
    from shared.delivery.parking import Incoming

    incoming = Incoming(
        lane, message.get_body(), message.message_id, message.delivery_count or 1, message.session_id or ""
    )
    await handle_once(bootstrap.delivery(), incoming)


async def _park(lane: str, message: func.ServiceBusMessage) -> None:
    from shared import bootstrap
    from shared.delivery.dead_letters import park_dead_letter
    from shared.delivery.parking import Incoming

    incoming = Incoming(
        lane, message.get_body(), message.message_id, message.delivery_count or 1, message.session_id or ""
    )
    await park_dead_letter(bootstrap.delivery(), incoming, reason=message.dead_letter_reason or "dead_lettered")
