"""How everything here is measured: closed loops in child processes of their own, one JSON line each, medians of rounds.

Candidates are run in turn, in a new order each round, so that a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
Measured = dict[str, Any]


class Candidate(NamedTuple):
    """Something to measure: `arguments` of a Python that prints one JSON object as its last line."""

    name: str
    in_flight: int
    arguments: tuple[str, ...]
    python: str = sys.executable


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all lie below; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def memory_mb(process: int, name: str) -> float:
    """`VmRSS` (now) or `VmHWM` (the most there ever was)."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def processor_seconds(process: int) -> float:
    """User and system time of another process, in steps of the kernel's clock (10 ms)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Meter:
    """From `Meter()` to `read`: rate, latencies, processor time and memory of this process and of `others` (ids)."""

    def __init__(self, others: Sequence[int] = ()) -> None:
        self._others = others
        self._used = self._processor()
        self.began_at = time.time()
        self._began = time.perf_counter()

    def _processor(self) -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime + sum(processor_seconds(one) for one in self._others)

    def read(self, latencies: Sequence[float]) -> Measured:
        """`latencies` in seconds, one per unit."""
        elapsed = time.perf_counter() - self._began
        count = len(latencies)
        return {
            "units": count,
            "units_per_second": count / elapsed,
            "p50_ms": percentile(latencies, 0.50) * 1e3,
            "p99_ms": percentile(latencies, 0.99) * 1e3,
            "processor_us_per_unit": (self._processor() - self._used) / count * 1e6,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            + sum(memory_mb(one, "VmHWM") for one in self._others),
            "began_at": self.began_at,
            "ended_at": time.time(),
        }


async def closed_loop(unit: Callable[[int], Awaitable[object]], units: int, in_flight: int) -> list[float]:
    """Run `unit(0) ... unit(units - 1)`, `in_flight` at a time on this event loop; the seconds of each."""
    numbers, latencies = iter(range(units)), []

    async def caller() -> None:
        for number in numbers:
            began = time.perf_counter()
            await unit(number)
            latencies.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(caller())
    return latencies


def closed_loop_in_threads(unit: Callable[[int], object], units: int, in_flight: int) -> list[float]:
    """As `closed_loop`, for a blocking `unit`: a thread for each in flight."""
    numbers, latencies = iter(range(units)), []
    turn = threading.Lock()

    def caller() -> None:
        while True:
            with turn:
                number = next(numbers, None)
            if number is None:
                return
            began = time.perf_counter()
            unit(number)
            latencies.append(time.perf_counter() - began)

    threads = [threading.Thread(target=caller) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(latencies) != units:
        raise RuntimeError(f"only {len(latencies)} of {units} units ended well")
    return latencies


@contextmanager
def data_folder() -> Iterator[Path]:
    """An empty folder on the disk that is measured: `BENCH_DIR`, by default `.bench` in the project."""
    base = Path(os.environ.get("BENCH_DIR", ROOT / ".bench"))
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as folder:
        yield Path(folder)


def child(python: str, arguments: Sequence[str], *, wrapped_in: Sequence[str] = (), seconds: float = 600) -> Measured:
    """Run a measurement in a process of its own; its last line of output is the result. Its failure is raised here."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*wrapped_in, python, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    measured: Measured = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def finish(measured: Measured) -> None:
    """The last act of a child: tell the result, and leave without waiting for anything."""
    sys.stdout.write(json.dumps(measured) + "\n")
    sys.stdout.flush()
    os._exit(0)


def rounds(
    candidates: Sequence[Candidate], count: int, *, progress: Callable[[str], None] = lambda _: None
) -> dict[tuple[str, int], list[Measured]]:
    """Each candidate `count` times, in a shuffled order per round; the results by name and number in flight."""
    results: dict[tuple[str, int], list[Measured]] = {(one.name, one.in_flight): [] for one in candidates}
    dice = random.Random(7)
    for turn in range(count):
        for number, one in enumerate(dice.sample(candidates, len(candidates)), start=1):
            progress(
                f"round {turn + 1} of {count}, {number} of {len(candidates)}: {one.name}, {one.in_flight} in flight"
            )
            results[one.name, one.in_flight].append(child(one.python, one.arguments))
    return results


def median(results: Sequence[Measured], name: str) -> float:
    """The median of one figure over rounds."""
    return float(statistics.median(one[name] for one in results))
