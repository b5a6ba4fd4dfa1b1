"""Where it was measured: rates do not travel, ratios do; so the machine and the versions stand beside them."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import data_folder

PACKAGES = ("azure-functions", "azure-functions-runtime", "pydantic", "orjson")
FLUSHES = 200


def processor() -> str:
    """The model's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def flush_us() -> float:
    """The median time of a flush after an append of 4 KB, in microseconds."""
    taken = []
    with data_folder() as folder, (folder / "flush").open("ab", buffering=0) as file:
        for _ in range(FLUSHES):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def described() -> str:
    """Two lines."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {processor()}, {platform.system()} {platform.release()}; a disk flush takes"
        f" {flush_us():.0f} µs; load {load:.1f} before the start.\n"
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}."
    )
