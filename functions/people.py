"""Commands of an authenticated person: made here, handled at once, never believed from a lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.caller import Caller
from shared.contracts.identity import deterministic_id, partition_of

if TYPE_CHECKING:
    from shared.delivery.handling import Delivery


def command_of(
    command_type: str,
    payload: dict[str, Any],
    *,
    caller: Caller,
    delivery: Delivery,
    purpose: str,
    key: str,
    traceparent: str,
) -> dict[str, Any]:
    """The envelope of `caller`'s command. The same caller, purpose and key always make the same command."""
    from shared.contracts.commands import envelope

    return envelope(
        command_type,
        payload,
        command_id=deterministic_id(partition_of(caller.tenant), purpose, f"{caller.principal}\x1f{key}"),
        tenant=caller.tenant,
        source="http",
        issued_at=delivery.now(),
        traceparent=traceparent,
    )
