"""The tables: what was measured, as a share of what, against which target. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.measure import Measured


class Target(NamedTuple):
    """One promise. `wanted` begins with >= or <=; `value` None: could not be measured, `why` says why."""

    what: str
    value: float | None
    wanted: str
    unit: str = ""
    why: str = ""

    @property
    def kept(self) -> bool:
        """Whether the promise holds; what could not be measured breaks none."""
        if self.value is None:
            return True
        limit = float(self.wanted[2:])
        return self.value >= limit if self.wanted.startswith(">=") else self.value <= limit


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well on a terminal."""
    widths = [max(len(row[place]) for row in [head, *lines]) for place in range(len(head))]
    out = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [head, *lines]
    ]
    out.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(out)


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def speed(results: dict[str, dict[int, Measured]], missing: dict[str, str]) -> str:
    """Rates and latencies by candidate, at each number in flight. The last columns are shares of `real`."""
    lines = []
    for name, by_flight in results.items():
        cells = [name]
        for in_flight in (1, 32):
            one, real = by_flight[in_flight], results["by hand, real"][in_flight]
            cells += [
                number(one["units_per_second"]),
                number(one["p50_ms"]),
                number(one["p99_ms"]),
                number(one["units_per_second"] / real["units_per_second"]),
            ]
        lines.append([*cells, number(by_flight[32]["processor_us_per_unit"]), number(by_flight[32]["peak_mb"])])
    lines += [[name, why, *[""] * 9] for name, why in missing.items()]
    head = ["", "1: units/s", "p50 ms", "p99 ms", "x real", "32: units/s", "p50 ms", "p99 ms", "x real"]
    return table([*head, "processor µs/unit", "peak MB"], lines)


def growth(looks: Sequence[Measured]) -> str:
    """One line for each size."""
    head = ["tenants", "stored", "p50 ms", "p99 ms", "commit µs", "read_many µs", "query µs", "verify µs/record"]
    names = ("p50_ms", "p99_ms", "commit_p50_us", "read_p50_us", "query_p50_us", "verify_us_per_record")
    lines = []
    for one in looks:
        figures = [number(one[name]) if one[name] else "-" for name in names]  # no query was made: no time
        lines.append([str(one["tenants"]), f"{one['stored']:,}", *figures])
    return table(head, lines)


def cost(costs: dict[str, float]) -> str:
    """What one classification asks of the store."""
    return table(["counted in the store", ""], [[name, number(value)] for name, value in costs.items()])


def targets(promises: Sequence[Target]) -> str:
    """Every promise, and whether it holds here and now."""
    lines = []
    for one in promises:
        value = one.why if one.value is None else f"{number(one.value)} {one.unit}".strip()
        verdict = "-" if one.value is None else "kept" if one.kept else "MISSED"
        lines.append([one.what, value, f"{one.wanted[:2]} {one.wanted[2:]} {one.unit}".strip(), verdict])
    return table(["promise", "measured", "wanted", ""], lines)


def flushes(syncs: dict[tuple[int, str], Measured | str]) -> str:
    """Flushes per unit by file."""
    lines = []
    for (in_flight, name), found in syncs.items():
        if isinstance(found, str):
            lines.append([str(in_flight), name, found, ""])
        else:
            by_file = ", ".join(f"{file} {number(count)}" for file, count in found["by file"].items() if count > 0.001)
            lines.append([str(in_flight), name, number(found["per unit"]), by_file])
    return table(["in flight", "", "disk flushes per unit", "by file"], lines)
