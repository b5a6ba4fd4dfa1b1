"""The telemetry sink: where `trace` and `score` events go (Event Hubs).

Promise: `emit` returns at once, never raises, never blocks and never changes an outcome; what it takes is delivered by
itself within about a second. The buffer is bounded; what does not fit, or cannot be delivered, is dropped and counted
in `dropped`, and `trouble` says why nothing is delivered at present. `flush` tries to deliver what is buffered within
about a second and never raises either.
"""

from __future__ import annotations

from typing import Any, Protocol


class TelemetrySink(Protocol):
    """See the module docstring for the promises."""

    @property
    def dropped(self) -> int:
        """How many events were lost since the start."""
        ...

    @property
    def trouble(self) -> str:
        """Why the newest events were not delivered; "" when they were, or there were none."""
        ...

    def emit(self, event: dict[str, Any]) -> None: ...

    async def flush(self) -> None: ...

    async def close(self) -> None: ...
