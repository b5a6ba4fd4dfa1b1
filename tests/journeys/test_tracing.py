"""One trace from an HTTP call over the lane to the event and its reaction, on the real local host; and what happens to
commands while tracing fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.adapters.embedded.language_model import Says, Turn
from tests.journeys.hosts import LocalHost, dev, rows, wait_for
from tests.journeys.model_server import ModelServer

EXPORTING = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class Lines(SpanExporter):
    def export(self, spans):
        with open({path!r}, "a", encoding="utf-8") as file:
            for span in spans:
                file.write(json.dumps(dict(
                    name=span.name, kind=span.kind.name, trace=f"{{span.context.trace_id:032x}}",
                    id=f"{{span.context.span_id:016x}}", parent=f"{{span.parent.span_id:016x}}" if span.parent else "",
                    status=span.status.status_code.name, attributes=dict(span.attributes),
                )) + chr(10))
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Lines()))
trace.set_tracer_provider(provider)
"""
FAILING = """
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

class Failing(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise ValueError("the collector is on fire")
    def on_end(self, span):
        raise ValueError("the collector is on fire")

provider = TracerProvider()
provider.add_span_processor(Failing())
trace.set_tracer_provider(provider)
"""
LISTING = """
import atexit, sys
atexit.register(lambda: print([name for name in sys.modules if "opentelemetry" in name], file=sys.stderr))
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


class Spans(NamedTuple):
    path: Path

    def all(self) -> list[dict[str, Any]]:
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def of(self, trace: str) -> list[dict[str, Any]]:
        return [one for one in self.all() if one["trace"] == trace]


@pytest.fixture
def spans(tmp_path: Path) -> Spans:
    return Spans(tmp_path / "spans.jsonl")


@pytest.fixture
def host(tmp_path: Path, spans: Spans) -> Iterator[LocalHost]:
    before = EXPORTING.format(path=str(spans.path))
    with LocalHost(tmp_path / "data", before=before, PYTHON_ENABLE_OPENTELEMETRY="true") as running:
        yield running


def within(spans: list[dict[str, Any]], one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether `one` descends from `other`."""
    by_id = {span["id"]: span for span in spans}
    while one["parent"] in by_id:
        one = by_id[one["parent"]]
        if one is other:
            return True
    return False


def test_a_call_its_command_its_event_and_the_reaction_are_one_trace(host: LocalHost, spans: Spans):
    reply = host.call("POST", "/api/v1/transactions", rows("t-1"), CALLER)
    assert reply.status == 202
    wait_for(lambda: [one for one in spans.of(TRACE) if one["name"] == "transaction_decision_changed"], "a reaction")
    told = spans.of(TRACE)
    (call,) = [one for one in told if one["name"] == "post_transactions"]
    (command,) = [one for one in told if one["name"] == "ClassifyTransaction"]
    (reaction,) = [one for one in told if one["name"] == "transaction_decision_changed"]
    assert call["parent"] == "00f067aa0ba902b7"
    assert (command["parent"], command["kind"]) == (call["id"], "CONSUMER")
    assert (reaction["parent"], reaction["kind"]) == (command["id"], "CONSUMER")
    assert call["attributes"]["http.response.status_code"] == 202
    assert command["attributes"]["countersign.run.status"] in ("Completed", "NeedsReview")
    names = {one["name"] for one in told if within(told, one, command)}
    assert {"store read_many", "store commit", "publisher publish", "stage guard"} <= names
    assert {"store commit", "bus send"} <= {one["name"] for one in told if one["parent"] == call["id"]}


def test_a_signature_and_the_money_it_moves_are_one_trace(host: LocalHost, spans: Spans):
    talk = "/api/v1/agent/conversations/c-1"
    wish = {"message": "Transfer 250 euros from acc-current to Anna"}
    assert host.call("POST", f"{talk}/messages", wish).status == 202
    (card_id,) = wait_for(lambda: host.get(talk)["open_approvals"], "the card")
    bob = dev("bob", roles="reviewer")
    digest = host.get(f"/api/v1/approvals/{card_id}", as_=bob)["card_digest"]
    signed = {"decision": "approve", "card_digest": digest}
    assert host.call("POST", f"/api/v1/approvals/{card_id}/answer", signed, CALLER, as_=bob).status == 200
    wait_for(lambda: host.get(f"/api/v1/actions/{card_id}")["state"] == "done", "the money")
    wait_for(lambda: [one for one in spans.of(TRACE) if one["name"] == "PerformAction"], "the last command")
    told = spans.of(TRACE)
    (call,) = [one for one in told if one["name"] == "answer_approval"]
    (moved,) = [one for one in told if one["name"] == "bank perform"]
    for name in ("AnswerApproval", "RequestAction", "PerformAction"):
        assert [one for one in told if one["name"] == name and within(told, one, call)], name
    assert within(told, moved, call)


def test_no_span_holds_what_a_person_or_a_statement_said(host: LocalHost, spans: Spans):
    assert host.upload(rows("t-1", descriptor="MARIE CURIE SURGERY")).status == 202
    host.settled(1)
    message = {"message": "What did I spend at Curie's?"}
    assert host.call("POST", "/api/v1/agent/conversations/c-1/messages", message).status == 202
    wait_for(lambda: [one for one in spans.all() if one["name"] == "AgentMessagePosted"], "an answer")
    assert host.call("GET", "/api/v1/runs/none").status == 404
    assert "curie" not in spans.path.read_text(encoding="utf-8").lower()


def test_a_model_s_call_is_told_by_the_genai_conventions_without_its_words(tmp_path: Path, spans: Spans):
    script = [Turn("hello there", Says({"reply": "Well met!", "outcome_code": "greeted", "response_summary": "met"}))]
    with (
        ModelServer(script) as server,
        LocalHost(
            tmp_path / "data",
            before=EXPORTING.format(path=str(spans.path)),
            PYTHON_ENABLE_OPENTELEMETRY="1",
            MODEL="deployment-1",
            OPENAI_API_KEY="key",
            OPENAI_BASE_URL=server.url,
        ) as host,
    ):
        message = {"message": "hello there"}
        assert host.call("POST", "/api/v1/agent/conversations/c-1/messages", message).status == 202
        (chat,) = wait_for(lambda: [one for one in spans.all() if one["name"] == "chat deployment-1"], "a call")
    told = chat["attributes"]
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "openai")
    assert told["gen_ai.usage.output_tokens"] > 0
    text = spans.path.read_text(encoding="utf-8")
    assert "Well met" not in text
    assert "hello there" not in text


def test_tracing_that_fails_changes_nothing_and_is_said_once(tmp_path: Path):
    with LocalHost(tmp_path / "data", before=FAILING, PYTHON_ENABLE_OPENTELEMETRY="true") as host:
        assert host.upload(rows("t-1", "t-2", "t-3")).status == 202
        host.settled(3)
        host.verified()
        log = host.log.read_text(encoding="utf-8")
    assert log.count("tracing fails with ValueError") == 1


def test_without_the_switch_nothing_of_opentelemetry_is_loaded(tmp_path: Path):
    with LocalHost(tmp_path / "data", before=LISTING) as host:
        assert host.upload(rows("t-1")).status == 202
        host.settled(1)
        host.stop()
        assert "\n[]\n" in "\n" + host.log.read_text(encoding="utf-8")
