"""The span of one command, from its arrival to its commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from shared.delivery.handling import Delivery
from shared.ports.tracer import Attributes, Kind, Span
from shared.runs.life_cycle import Run


def spanned[W: Callable[..., Awaitable[Any]]](kind: Kind) -> Callable[[W], W]:
    """Makes work on a command, `(delivery, command, ...)`, a span. What the command causes goes on under the span's
    own trace context."""

    def decorated(work: W) -> W:
        @wraps(work)
        async def handled(delivery: Delivery, command: Any, *args: Any, **kwargs: Any) -> Any:
            told, parent = _told(command), command.traceparent
            with delivery.tracer.span(command.command_type, kind=kind, parent=parent, attributes=told) as span:
                if span.traceparent:
                    command = command.model_copy(update={"traceparent": span.traceparent})
                return await work(delivery, command, *args, **kwargs)

        return cast(W, handled)

    return decorated


def ended(span: Span, run: Run) -> None:
    """How the run ended, and its stages."""
    span.tell({"countersign.run_id": run["run_id"], "countersign.run.status": run["status"]})
    span.stages(run["stages"])


def _told(command: Any) -> Attributes:
    return {
        "countersign.command_id": command.command_id,
        "countersign.tenant": command.tenant,
        "countersign.correlation_id": command.correlation_id,
        "countersign.attempt": command.attempt,
    }
