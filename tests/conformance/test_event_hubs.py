"""What is Event Hubs' own: outages, refusals and slowness cost events, which are counted, and never anybody's time."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest

from shared.adapters.azure import telemetry_sink
from shared.adapters.azure.telemetry_sink import EventHubsTelemetrySink
from shared.contracts.telemetry import score, trace
from tests.doubles.event_hub import HUB, EventHub


@pytest.fixture
async def hub() -> AsyncIterator[EventHub]:
    made = EventHub(max_message_bytes=65_536)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def sink(hub: EventHub) -> AsyncIterator[EventHubsTelemetrySink]:
    made = EventHubsTelemetrySink(namespace="", eventhub=HUB, credential=hub.connection_string, capacity=5_000)
    yield made
    await made.close()


async def until(met: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110  what is waited for happens in a library
            await asyncio.sleep(0.02)


async def test_traces_and_scores_arrive_as_they_were_emitted(hub: EventHub, sink: EventHubsTelemetrySink):
    traced = trace("ClassifyTransaction", "Completed", at="2026-03-01T12:00:00.000000Z", tenant="household")
    scored = score("anomaly", None, "abstained", traced=traced)
    sink.emit(traced)
    sink.emit(scored)
    traced["name"] = "changed afterwards"
    await until(lambda: len(hub.events) == 2, 2.0)  # by itself
    assert hub.events == [{**traced, "name": "ClassifyTransaction"}, scored]
    assert hub.content_types == {"application/x-ndjson"}


async def test_one_connection_and_few_messages_carry_thousands_of_events(hub: EventHub, sink: EventHubsTelemetrySink):
    for n in range(4_000):
        sink.emit({"n": n})
    await sink.close()
    assert [one["n"] for one in hub.events] == list(range(4_000))
    assert (hub.listener.connections, sink.dropped) == (1, 0)
    assert hub.batches <= 10


async def test_what_is_too_large_for_the_hub_is_lost_alone(hub: EventHub, sink: EventHubsTelemetrySink):
    for event in ({"n": 1}, {"text": "x" * 70_000}, {"n": 2}):
        sink.emit(event)
    await sink.close()
    assert hub.events == [{"n": 1}, {"n": 2}]
    assert sink.dropped == 1


async def test_an_outage_costs_events_and_one_line_in_the_log_and_then_it_goes_on(
    hub: EventHub, sink: EventHubsTelemetrySink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(telemetry_sink, "PAUSE_SECONDS", 0.1)
    port = hub.listener.port
    await hub.stop()
    for _ in range(2):
        sink.emit({"lost": True})
        lost = sink.dropped
        await until(lambda lost=lost: sink.dropped > lost)
    assert (sink.dropped, sink.trouble[:19]) == (2, "Event Hubs does not")
    assert len([line for line in caplog.records if line.name == telemetry_sink.__name__]) == 1
    assert "SharedAccessKey" not in caplog.text
    await hub.start(port)
    sink.emit({"kept": True})
    await until(lambda: hub.events == [{"kept": True}])
    await until(lambda: not sink.trouble)
    assert sink.dropped == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the SDK leaves a broken socket
@pytest.mark.parametrize("fault", ["drop", "lose"])
async def test_a_connection_that_breaks_in_mid_send_is_made_anew(
    hub: EventHub, sink: EventHubsTelemetrySink, fault: str
):
    sink.emit({"n": 0})
    await sink.flush()
    hub.listener.faults = [fault]
    sink.emit({"n": 1})
    await until(lambda: {"n": 1} in hub.events or sink.dropped == 1)
    sink.emit({"n": 2})
    await until(lambda: {"n": 2} in hub.events)
    assert len(hub.events) + sink.dropped >= 3  # nothing is lost without being counted
    await sink.close()
    gc.collect()


async def test_a_hub_that_never_answers_holds_nobody_up(
    hub: EventHub, sink: EventHubsTelemetrySink, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(telemetry_sink, "SEND_SECONDS", 1.5)
    hub.listener.faults = ["hang"] * 10
    begun = time.monotonic()
    sink.emit({"n": 1})
    assert time.monotonic() - begun < 0.05
    await sink.flush()
    assert time.monotonic() - begun < 1.5
    await until(lambda: sink.dropped == 1, 4.0)


async def test_closing_while_nothing_is_taken_is_bounded_and_counts(hub: EventHub, sink: EventHubsTelemetrySink):
    hub.listener.faults = ["hang"] * 10
    for n in range(1_000):
        sink.emit({"n": n})
    begun = time.monotonic()
    await sink.close()
    assert time.monotonic() - begun < 4
    assert sink.dropped == 1_000


async def test_a_refused_sign_in_costs_events_only(
    hub: EventHub, sink: EventHubsTelemetrySink, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, telemetry_sink.__name__)
    hub.refuse_tokens = True
    sink.emit({"n": 1})
    await until(lambda: sink.dropped == 1, 15.0)
    assert hub.events == []
    assert "telemetry is lost" in caplog.text


def test_what_is_emitted_where_no_loop_runs_waits_for_one():
    sink = EventHubsTelemetrySink(namespace="", eventhub=HUB, credential="", capacity=2)
    for n in range(3):
        sink.emit({"n": n})
    assert sink.dropped == 1
