"""What is told of a request or an event while it is worked on: a span, the correlation id of log lines, and telemetry.
It can fail nothing and wait for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import azure.functions as func

if TYPE_CHECKING:
    from shared.ports.tracer import Span


class Observed:
    """A request under way. `correlation_id` is what the caller is told, too."""

    def __init__(self, name: str, correlation_id: str, span: Span) -> None:
        self.correlation_id = correlation_id
        self._name = name
        self._span = span

    def answered(self, status: int) -> None:
        """Once, when it is known what the caller gets."""
        self._span.tell({"http.response.status_code": status})
        _traced(self._name, status, self.correlation_id)


@contextmanager
def observed(name: str, req: func.HttpRequest) -> Iterator[Observed]:
    """Around the function `name` while it answers `req`; of which the headers alone are looked at."""
    from functions.caller import correlation_of, sent_traceparent
    from shared import bootstrap
    from shared.contracts.correlation import CORRELATION

    correlation_id = correlation_of(req)
    CORRELATION.set(correlation_id)
    told = {"faas.name": name, "countersign.correlation_id": correlation_id}
    with bootstrap.tracer().span(name, parent=sent_traceparent(req), attributes=told) as span:
        yield Observed(name, correlation_id, span)


@contextmanager
def delivered(name: str, event: func.CloudEvent | func.EventGridEvent) -> Iterator[None]:
    """Around the function `name` while it reacts to `event`, which goes on under the trace that caused it."""
    from functions.caller import TRACEPARENT
    from shared import bootstrap
    from shared.contracts.correlation import CORRELATION

    correlation_id = str(event.get_json().get("correlation_id", ""))[:200]
    CORRELATION.set(correlation_id)
    sent = str(event.extension_attrs.get("traceparent", "")) if isinstance(event, func.CloudEvent) else ""
    parent = sent if TRACEPARENT.fullmatch(sent) else ""
    told = {"faas.name": name, "cloudevents.event_id": str(event.id), "countersign.correlation_id": correlation_id}
    with bootstrap.tracer().span(name, kind="consumer", parent=parent, attributes=told):
        yield


def _traced(name: str, status: int, correlation_id: str) -> None:
    """Telemetry of a request, once anything was built to send it."""
    from shared import bootstrap
    from shared.contracts.instants import text
    from shared.contracts.telemetry import trace

    if bootstrap.is_built():
        delivery = bootstrap.delivery()
        at = text(delivery.now())
        delivery.telemetry.emit(trace(name, str(status), at=at, correlation_id=correlation_id))
