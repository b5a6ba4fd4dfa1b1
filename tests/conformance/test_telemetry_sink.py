"""What every telemetry sink promises (`shared/ports/telemetry_sink.py`), held against each adapter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from shared.ports.telemetry_sink import TelemetrySink

type Open = Callable[[int], TelemetrySink]


async def test_events_are_taken_until_the_buffer_is_full_then_dropped_and_counted(open_sink: Open):
    sink = open_sink(5)
    for n in range(8):
        sink.emit({"n": n})
    assert sink.dropped == 3
    await sink.flush()
    for n in range(5):
        sink.emit({"n": n})
    assert sink.dropped == 3  # a flush has made room
    await sink.close()
    assert sink.dropped == 3


async def test_the_buffer_empties_itself(open_sink: Open):
    sink = open_sink(5)
    for n in range(5):
        sink.emit({"n": n})
    await asyncio.sleep(1)
    for n in range(5):
        sink.emit({"n": n})
    await sink.close()
    assert (sink.dropped, sink.trouble) == (0, "")


async def test_what_cannot_be_encoded_is_dropped_and_counted_not_raised(open_sink: Open):
    sink = open_sink(100)
    circle: dict[str, Any] = {}
    circle["self"] = circle
    bad: list[dict[str, Any]] = [{"x": object()}, {"x": "\ud800"}, {"x": 2**70}, circle]
    for event in bad:
        sink.emit(event)
    assert sink.dropped == len(bad)
    await sink.close()


async def test_a_closed_sink_drops_and_counts(open_sink: Open):
    sink = open_sink(10)
    await sink.close()
    sink.emit({"late": True})
    assert sink.dropped == 1
    await sink.flush()
    await sink.close()


async def test_emitting_is_a_matter_of_microseconds(open_sink: Open):
    sink = open_sink(20_000)
    started = time.perf_counter()
    for n in range(5_000):
        sink.emit({"n": n, "text": "x" * 200})
    assert time.perf_counter() - started < 0.5
    await sink.close()
    assert sink.dropped == 0


async def test_concurrent_flushes_and_emits_lose_nothing(open_sink: Open):
    sink = open_sink(10_000)

    async def busy(name: str) -> None:
        for n in range(50):
            sink.emit({"name": name, "n": n})
            await sink.flush()

    await asyncio.gather(*[busy(str(n)) for n in range(10)])
    await sink.close()
    assert sink.dropped == 0
