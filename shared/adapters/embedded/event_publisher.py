"""The event publisher on one machine: events are kept in the lanes' file until the local host has delivered them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from shared.adapters.embedded.lanes import SqliteLanes
from shared.errors import TerminalError
from shared.ports.event_publisher import CloudEvent

MAX_EVENT_BYTES = 1_048_576


class SqliteEventPublisher:
    """`EventPublisher` over `SqliteLanes`; the lanes are closed by whoever opened them."""

    def __init__(self, lanes: SqliteLanes) -> None:
        self._lanes = lanes

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """All in one transaction: stronger than the port promises."""
        if events:
            await self._lanes.publish([_checked(event) for event in events])

    async def ping(self) -> None:
        """Prove that something could be published now."""
        await self._lanes.ping()

    async def close(self) -> None:
        """Nothing of its own to close."""


def _checked(event: CloudEvent) -> str:
    if missing := [name for name in ("specversion", "id", "source", "type") if not event.get(name)]:
        raise TerminalError("invalid_event", f"a CloudEvent needs {', '.join(missing)}")
    try:
        text = json.dumps(event, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TerminalError("invalid_event", f"an event is JSON: {error}") from error
    if len(text) > MAX_EVENT_BYTES:
        raise TerminalError("event_too_large", f"an event may take {MAX_EVENT_BYTES} bytes, not {len(text)}")
    return text
