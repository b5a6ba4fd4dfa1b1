"""`OpenTelemetryTracer`: spans through `opentelemetry-api`, for whatever provider the process was given.

On Azure the worker sets up the Azure Monitor distro (PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY). Errors are noted by
their code or type: a message or a traceback may hold what a person wrote.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
)

from shared.adapters.azure.cosmos_charges import Charges, counted
from shared.errors import CountersignError, EarlyError
from shared.ports.tracer import Attributes, Kind, Span

SCOPE = "countersign"
TOTAL_CHARGE = "countersign.request_units"
"""Of Cosmos DB, for all that the span's work asked it."""
KINDS = {
    "internal": SpanKind.INTERNAL,
    "consumer": SpanKind.CONSUMER,
    "producer": SpanKind.PRODUCER,
    "client": SpanKind.CLIENT,
}

_log = logging.getLogger(__name__)
_failed: set[str] = set()


def _harmless[**P](work: Callable[P, None]) -> Callable[P, None]:
    """A provider or processor may raise anything: it is reported once by its kind, and the work goes on untraced."""

    @functools.wraps(work)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  telemetry fails nothing
            name = type(error).__name__
            if name not in _failed:
                _failed.add(name)
                _log.warning("tracing fails with %s; the work goes on without it", name)

    return tried


class OpenTelemetryTracer:
    """provider: whose spans these are; by default the process's own, also one that is set later."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=provider)

    def span(
        self, name: str, *, kind: Kind = "internal", parent: str = "", attributes: Attributes | None = None
    ) -> _OpenSpan:
        return _OpenSpan(self._tracer, name, KINDS[kind], parent, attributes)

    def here(self) -> Span:
        return _Told(self._tracer, trace.get_current_span())


class _Told:
    """A span that is open, as whoever works in it sees it."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer, self._span = tracer, span

    @property
    def traceparent(self) -> str:
        """W3C Trace Context, version 00."""
        context = self._span.get_span_context()
        if not context.is_valid:
            return ""
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @_harmless
    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    @_harmless
    def stages(self, stages: Sequence[Mapping[str, Any]]) -> None:
        """A stage knows at most how long it took: its span ends now."""
        if not self._span.is_recording():
            return
        within, now = trace.set_span_in_context(self._span), time.time_ns()
        for stage in stages:
            took = int(stage["details"].get("milliseconds", 0)) * 1_000_000
            told: dict[str, str | int] = {
                "countersign.stage.order": stage["order"],
                "countersign.stage.status": stage["status"],
                "countersign.stage.outcome": stage["outcome_code"],
            }
            if stage["confidence_bp"] is not None:
                told["countersign.stage.confidence_bp"] = stage["confidence_bp"]
            span = self._tracer.start_span(f"stage {stage['name']}", within, start_time=now - took, attributes=told)
            span.end(now)


class _OpenSpan:
    def __init__(
        self, tracer: trace.Tracer, name: str, kind: SpanKind, parent: str, attributes: Attributes | None
    ) -> None:
        self._tracer, self._name, self._kind, self._parent = tracer, name, kind, parent
        self._attributes = attributes
        self._span: trace.Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None
        self._counting, self._charges = counted(), Charges()

    def __enter__(self) -> Span:
        self._charges = self._counting.__enter__()
        self._start()
        return _Told(self._tracer, self._span)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._counting.__exit__(None, None, None)
        self._end(error)
        self._detach()

    @_harmless
    def _start(self) -> None:
        here = trace.get_current_span().get_span_context()
        told = _span_context(self._parent)
        within, links = None, []
        if told is not None and told.trace_id != here.trace_id:
            within = trace.set_span_in_context(NonRecordingSpan(told))
            links = [Link(here)] if here.is_valid else []
        self._span = self._tracer.start_span(
            self._name,
            within,
            kind=self._kind,
            attributes=self._attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._token = contexts.attach(trace.set_span_in_context(self._span))

    @_harmless
    def _end(self, error: BaseException | None) -> None:
        """Calls of the store tell their own charge; a command, a request or a stage tells what it was charged in all,
        under another name, so that a sum over spans counts nothing twice."""
        if self._charges.requests and self._kind is not SpanKind.CLIENT:
            self._span.set_attribute(TOTAL_CHARGE, round(self._charges.total_units, 2))
        if error is not None:
            why = error.code if isinstance(error, CountersignError) else type(error).__name__
            self._span.set_attribute("error.type", why)
            if not isinstance(error, EarlyError):
                self._span.set_status(Status(StatusCode.ERROR, why))
        self._span.end()

    @_harmless
    def _detach(self) -> None:
        if self._token is not None:
            contexts.detach(self._token)


def _span_context(traceparent: str) -> SpanContext | None:
    """The context in a well-formed `traceparent` (envelopes and callers are checked where they come in)."""
    if not traceparent:
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    told = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return told if told.is_valid else None
