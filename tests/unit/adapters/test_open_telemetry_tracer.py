"""Spans as an exporter sees them, through the SDK's exporter in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from shared.adapters.azure.cosmos_charges import charge
from shared.adapters.opentelemetry import tracer as module
from shared.adapters.opentelemetry.ports import TracedLanguageModel, traced
from shared.adapters.opentelemetry.tracer import OpenTelemetryTracer
from shared.errors import ConflictError, EarlyError, RetryableError
from shared.ports.language_model import ModelReply, ModelRequest, ModelUnavailableError, Said
from shared.ports.tracer import UNTRACED
from shared.runs.life_cycle import stage

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Watched:
    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(**options)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OpenTelemetryTracer(provider)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_work_goes_on_under_the_trace_that_it_came_with(watched: Watched):
    with watched.tracer.span("work", kind="consumer", parent=f"00-{TRACE}-{PARENT}-01") as span:
        carried = span.traceparent
    (one,) = watched.spans
    assert (f"{one.context.trace_id:032x}", f"{one.parent.span_id:016x}") == (TRACE, PARENT)
    assert carried == f"00-{TRACE}-{one.context.span_id:016x}-01"
    assert one.kind is SpanKind.CONSUMER


def test_within_a_span_of_the_same_trace_work_is_that_span_s_own(watched: Watched):
    with (
        watched.tracer.span("outer", parent=f"00-{TRACE}-{PARENT}-01"),
        watched.tracer.span("inner", parent=f"00-{TRACE}-{PARENT}-01"),
    ):
        pass
    inner, outer = watched.spans
    assert inner.parent.span_id == outer.context.span_id


def test_a_span_of_another_trace_around_it_is_linked(watched: Watched):
    with watched.tracer.span("the host's"), watched.tracer.span("work", parent=f"00-{TRACE}-{PARENT}-01"):
        pass
    work, host = watched.spans
    assert f"{work.context.trace_id:032x}" == TRACE
    assert [link.context.span_id for link in work.links] == [host.context.span_id]


def test_a_trace_that_is_not_sampled_is_carried_on_and_not_told(watched: Watched):
    watched = Watched(sampler=ParentBased(TraceIdRatioBased(1.0)))
    with watched.tracer.span("work", parent=f"00-{TRACE}-{PARENT}-00") as span:
        span.stages([stage("guard", "Succeeded", order=1, at="2026-03-01T12:00:00Z", code="x", rationale="y")])
        assert span.traceparent.startswith(f"00-{TRACE}-")
        assert span.traceparent.endswith("-00")
    assert watched.spans == ()


@pytest.mark.parametrize(
    ("error", "told", "status"),
    [
        (ConflictError(["transaction:t-1"]), "conflict", StatusCode.ERROR),
        (RetryableError("Marie Curie", code="store_unavailable"), "store_unavailable", StatusCode.ERROR),
        (ValueError("Marie Curie"), "ValueError", StatusCode.ERROR),
        (EarlyError("2 messages go before"), "early", StatusCode.UNSET),
    ],
)
def test_an_error_is_told_by_its_kind_and_passed_on(watched: Watched, error: Exception, told: str, status: StatusCode):
    with pytest.raises(type(error)), watched.tracer.span("work"):
        raise error
    (one,) = watched.spans
    assert (one.attributes["error.type"], one.status.status_code) == (told, status)
    assert "Curie" not in one.to_json()
    assert one.events == ()


def test_the_stages_of_a_run_are_spans_that_tell_no_rationale(watched: Watched):
    stages = [
        stage("merchant", "Succeeded", order=1, at="x", code="known", rationale="Marie Curie", confidence_bp=9_000),
        stage("anomaly", "Failed", order=2, at="x", code="timed_out", rationale="y", details={"milliseconds": 250}),
    ]
    with watched.tracer.span("ClassifyTransaction") as span:
        span.stages(stages)
    merchant, anomaly, command = watched.spans
    assert merchant.name == "stage merchant"
    assert merchant.parent.span_id == anomaly.parent.span_id == command.context.span_id
    assert merchant.attributes["countersign.stage.confidence_bp"] == 9_000
    assert anomaly.end_time - anomaly.start_time == 250_000_000
    assert "Curie" not in merchant.to_json()


def test_where_nothing_is_open_nothing_is_told(watched: Watched):
    here = watched.tracer.here()
    here.tell({"x": 1})
    here.stages([])
    assert here.traceparent == ""
    with watched.tracer.span("work") as span:
        assert watched.tracer.here().traceparent == span.traceparent


def test_a_processor_that_fails_fails_nothing_else(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    class Failing(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise OSError("full")

    monkeypatch.setattr(module, "_failed", set())
    provider = TracerProvider()
    provider.add_span_processor(Failing())
    tracer = OpenTelemetryTracer(provider)
    for _ in range(3):
        with tracer.span("work") as span:
            span.tell({"x": 1})
            assert span.traceparent == ""
    assert len(caplog.records) == 1


class Store:
    name = "own"

    async def read(self, key: str, *, times: int) -> str:
        charge("read", 1.5)
        charge("read", 2.0)
        return key * times

    async def commit(self) -> None:
        raise ConflictError(["x"])

    async def ping(self) -> None:
        """Nobody watches this."""


async def test_a_traced_port_answers_as_before_and_tells_what_it_was_charged(watched: Watched):
    port = traced(Store(), watched.tracer, "store", ("read", "commit"))
    assert await port.read("a", times=2) == "aa"
    with pytest.raises(ConflictError):
        await port.commit()
    await port.ping()
    assert port.name == "own"
    read, commit = watched.spans
    assert (read.name, read.kind) == ("store read", SpanKind.CLIENT)
    assert read.attributes == {"azure.cosmosdb.operation.request_charge": 3.5}
    assert (commit.name, commit.attributes["error.type"]) == ("store commit", "conflict")


async def test_a_command_tells_the_sum_of_what_its_calls_were_charged(watched: Watched):
    port = traced(Store(), watched.tracer, "store", ("read",))
    with watched.tracer.span("ClassifyTransaction", kind="consumer"):
        await asyncio.gather(port.read("a", times=1), port.read("b", times=1))
    with watched.tracer.span("SweepTenant", kind="consumer"):
        pass
    classify, sweep = watched.spans[-2:]
    assert classify.attributes == {"countersign.request_units": 7.0}
    assert sweep.attributes == {}, "what asked nothing tells nothing"


class Model:
    name = "gpt"

    async def respond(self, request: ModelRequest, *, said: Said) -> ModelReply:
        if not request.tools:
            raise ModelUnavailableError("late")
        return ModelReply((), {"reply": "Marie"}, "gpt-2", "resp-1", 12, 34)

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_model_s_call_follows_the_genai_conventions(watched: Watched):
    model = TracedLanguageModel(Model(), watched.tracer, provider="azure.ai.openai", address="models.example")

    async def said(words: str) -> None:
        del words

    asked = ModelRequest((), (object(),), {}, timeout_seconds=1, max_output_tokens=500)  # type: ignore[arg-type]
    assert (await model.respond(asked, said=said)).model == "gpt-2"
    with pytest.raises(ModelUnavailableError):
        await model.respond(asked._replace(tools=()), said=said)
    answered, failed = watched.spans
    assert answered.name == "chat gpt"
    assert dict(answered.attributes) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "azure.ai.openai", "gen_ai.request.model": "gpt",
        "gen_ai.request.max_tokens": 500, "gen_ai.output.type": "json", "gen_ai.response.model": "gpt-2",
        "gen_ai.response.id": "resp-1", "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 34,
        "countersign.tool_calls": 0, "gen_ai.response.finish_reasons": ("stop",), "server.address": "models.example",
    }  # fmt: skip
    assert failed.attributes["error.type"] == "model_unavailable"


def test_while_nobody_watches_there_is_nothing_to_see():
    with UNTRACED.span("work", kind="client", parent=f"00-{TRACE}-{PARENT}-01", attributes={"x": 1}) as span:
        span.tell({"y": 2})
        span.stages([])
    assert (span.traceparent, UNTRACED.here().traceparent) == ("", "")
