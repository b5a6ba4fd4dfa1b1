"""The JSON-lines sink: what is in the file, and what becomes of events when the disk fails."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
import time
from pathlib import Path

import pytest

from shared.adapters.embedded.telemetry_sink import JsonLinesTelemetrySink


async def test_events_are_lines_in_order_as_they_were_when_emitted(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    sink = JsonLinesTelemetrySink(path, 2000)
    event = {"n": 0}
    for n in range(1200):
        event["n"] = n
        sink.emit(event)
    await sink.flush()
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == list(range(1200))
    sink.emit({"n": "last"})
    await sink.close()
    assert json.loads(path.read_text().splitlines()[-1]) == {"n": "last"}


def test_what_is_emitted_is_written_without_a_flush_and_without_a_loop(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    sink = JsonLinesTelemetrySink(path, 10)
    sink.emit({"n": 1})
    sink._thread.shutdown(wait=True)
    assert path.read_text() == '{"n":1}\n'


def test_half_a_buffer_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.adapters.embedded.telemetry_sink.GATHER_SECONDS", 60)
    sink = JsonLinesTelemetrySink(tmp_path / "events.jsonl", 1000)
    for n in range(600):
        sink.emit({"n": n})
    until = time.perf_counter() + 5
    while sink._events and time.perf_counter() < until:
        time.sleep(0.01)
    assert not sink._events
    asyncio.run(sink.close())


async def test_emitting_from_many_threads_loses_nothing(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    sink = JsonLinesTelemetrySink(path, 100_000)

    def busy() -> None:
        for n in range(5_000):
            sink.emit({"n": n})

    await asyncio.gather(*[asyncio.to_thread(busy) for _ in range(4)])
    await sink.close()
    assert len(path.read_text().splitlines()) == 20_000
    assert sink.dropped == 0


async def test_a_long_file_is_put_aside_and_the_one_before_is_let_go(tmp_path: Path):
    sink = JsonLinesTelemetrySink(tmp_path / "events.jsonl", 10, max_bytes=10)
    for n in range(4):
        sink.emit({"n": n})
        await sink.flush()
    await sink.close()
    assert sink.dropped == 0
    assert (tmp_path / "events.old.jsonl").read_text() == '{"n":0}\n{"n":1}\n'
    assert (tmp_path / "events.jsonl").read_text() == '{"n":2}\n{"n":3}\n'


async def test_an_outage_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "events.jsonl").mkdir()
    sink = JsonLinesTelemetrySink(tmp_path / "events.jsonl", 10)
    for n in range(3):
        sink.emit({"n": n})
        await sink.flush()
    await sink.close()
    assert sink.dropped == 3
    assert len(caplog.records) == 1


async def test_a_file_that_cannot_be_opened_costs_the_events_and_nothing_else(tmp_path: Path):
    sink = JsonLinesTelemetrySink(tmp_path / "missing" / "events.jsonl", 10)
    sink.emit({"n": 1})
    sink.emit({"n": 2})
    await sink.flush()
    assert (sink.dropped, sink.trouble) == (2, "telemetry cannot be written: FileNotFoundError")
    (tmp_path / "missing").mkdir()
    sink.emit({"n": 3})
    await sink.close()
    assert (sink.dropped, sink.trouble) == (2, "")
    assert (tmp_path / "missing" / "events.jsonl").read_text() == '{"n":3}\n'


async def test_after_a_torn_line_the_next_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "events.jsonl"
    sink = JsonLinesTelemetrySink(path, 10)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    sink.emit({"lost": 1})
    await sink.flush()
    monkeypatch.setattr(os, "write", write)
    sink.emit({"kept": 1})
    await sink.close()
    assert sink.dropped == 1
    assert path.read_text().splitlines() == ['{"lo', '{"kept":1}']


async def test_a_hanging_disk_holds_nobody_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.adapters.embedded.telemetry_sink.FLUSH_SECONDS", 0.1)
    hang = threading.Event()
    write = os.write

    def hanging(descriptor: int, data: bytes) -> int:
        hang.wait(5)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", hanging)
    sink = JsonLinesTelemetrySink(tmp_path / "events.jsonl", 10)
    sink.emit({"n": 1})
    started = time.perf_counter()
    await asyncio.gather(sink.flush(), asyncio.sleep(0))
    sink.emit({"n": 2})
    await sink.close()
    assert time.perf_counter() - started < 1
    hang.set()
    sink._thread.shutdown(wait=True)
    assert (tmp_path / "events.jsonl").read_text() == '{"n":1}\n{"n":2}\n'
