"""`python -m benchmarks`: everything in one run, ratios first. About three minutes; `--growth` takes some ten more."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import classification, conversation, first_token, indexing, latency, machine, report, syncs
from benchmarks.measure import Candidate, Measured, child, median, rounds
from benchmarks.report import Target

PLAIN, TWO, REACTIONS, WRITER, REAL, PEER = (
    "Countersign",
    "Countersign, two processes",
    "Countersign, with reactions",
    "by hand, writer",
    "by hand, real",
    "LangGraph, SqliteSaver",
)
FIGURES = ("units_per_second", "p50_ms", "p99_ms", "processor_us_per_unit", "peak_mb")
UNITS = {
    PLAIN: {1: 300, 32: 1280},
    TWO: {1: 300, 32: 2560},
    REACTIONS: {1: 200, 32: 640},
    WRITER: {1: 1000, 32: 3000},
    REAL: {1: 1000, 32: 3000},
    PEER: {1: 60, 32: 96},
}
SMALL_SIZES, SIZES = "1000,3000", "1000,3000,10000,30000,100000"
INSTALL_PEER = "not installed: pip install langgraph langgraph-checkpoint-sqlite aiosqlite, then LANGGRAPH_PYTHON=..."


def say(text: str) -> None:
    """Progress, on stderr: the tables alone go to stdout."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def peer() -> tuple[str, str]:
    """(interpreter that has LangGraph, its versions), or ("", why not)."""
    python = os.environ.get("LANGGRAPH_PYTHON", sys.executable)
    try:
        return python, child(python, ["-m", "benchmarks.langgraph_peer"])["versions"]
    except (RuntimeError, OSError):
        return "", INSTALL_PEER


def candidates(peer_python: str) -> list[Candidate]:
    """All, at 1 and at 32 in flight."""
    found = []
    for in_flight in (1, 32):
        at = {name: (str(in_flight), str(units[in_flight])) for name, units in UNITS.items()}
        found += [
            Candidate(PLAIN, in_flight, ("-m", "benchmarks.classification", *at[PLAIN], "plain")),
            Candidate(TWO, in_flight, ("-m", "benchmarks.classification", *at[TWO], "plain", "2")),
            Candidate(REACTIONS, in_flight, ("-m", "benchmarks.classification", *at[REACTIONS], "reactions")),
            Candidate(WRITER, in_flight, ("-m", "benchmarks.reference", "writer", *at[WRITER])),
            Candidate(REAL, in_flight, ("-m", "benchmarks.reference", "real", *at[REAL])),
        ]
        if peer_python:
            found.append(Candidate(PEER, in_flight, ("-m", "benchmarks.langgraph_peer", *at[PEER]), peer_python))
    return found


def speeds(peer_python: str, count: int) -> dict[str, dict[int, Measured]]:
    """Medians over the rounds."""
    results = rounds(candidates(peer_python), count, progress=say)
    medians: dict[str, dict[int, Measured]] = {}
    for name in (PLAIN, TWO, REACTIONS, REAL, WRITER, *([PEER] if peer_python else [])):
        medians[name] = {
            in_flight: {figure: median(results[name, in_flight], figure) for figure in FIGURES} for in_flight in (1, 32)
        }
    return medians


def growth_of(sizes: str) -> list[Measured]:
    """One tenant, then a hundred."""
    looks: list[Measured] = []
    for tenants in ("1", "100"):
        say(f"growth: {tenants} tenants, {sizes} stored transactions")
        looks += child(sys.executable, ["-m", "benchmarks.growth", tenants, sizes], seconds=3600)["looks"]
    return looks


class Findings(NamedTuple):
    """Everything that was measured. peer: versions, or why there are no figures. flushes: by number in flight, name."""

    where: str
    peer: str
    speed: dict[str, dict[int, Measured]]
    costs: dict[str, float]
    flushes: dict[tuple[int, str], Measured | str]
    serving: Measured
    serving_by_two: Measured
    talking: Measured
    cold_index: Measured
    looks: list[Measured]


def promises(found: Findings) -> list[Target]:
    """What the design promises, beside what was measured."""
    kept = []
    for in_flight, ours, share, times, most in (
        (32, PLAIN, 0.6, 12, 0.3),
        (32, TWO, 0.6, 12, 0.3),
        (1, PLAIN, 0.6, 4, 4),
    ):
        rate = {name: by_flight[in_flight]["units_per_second"] for name, by_flight in found.speed.items()}
        beside = rate[ours] / rate[PEER] if PEER in rate else None
        counted = found.flushes[in_flight, ours]
        sync = None if isinstance(counted, str) else counted["per unit"]
        here = f"{in_flight} in flight" + (", two processes" if ours == TWO else "")
        kept += [
            Target(f"share of the hand-written `real`, {here}", rate[ours] / rate[REAL], f">={share}"),
            Target(f"times LangGraph's SQLite saver, {here}", beside, f">={times}", why=found.peer),
            Target(f"disk flushes per unit, {here}", sync, f"<={most}", why=str(counted)),
        ]
        if in_flight > 1:
            spread = found.speed[ours][in_flight]["p99_ms"] / found.speed[ours][in_flight]["p50_ms"]
            kept.append(Target(f"p99 as a multiple of p50, {here}", spread, "<=4"))
    return [
        *kept,
        Target("from 202 to the committed decision, idle, p99", found.serving["decided_p99_ms"], "<=50", "ms"),
        Target("from a model's first token to the person's, p50", found.talking["first_token_p50_ms"], "<=50", "ms"),
        Target("memory while serving, at most", found.serving["peak_mb"], "<=150", "MB"),
        Target("memory while serving, at most, two processes", found.serving_by_two["peak_mb"], "<=150", "MB"),
        Target("cold index, as a multiple of an empty app's", found.cold_index["ratio"], "<=1.3"),
        Target("`read_many` per classification", found.costs["read_many per command"], "<=1"),
        Target("queries per classification", found.costs["query per command"], "<=1"),
        Target("decision commits per classification", found.costs["decision commits per command"], "<=1"),
    ]


def measured(options: argparse.Namespace) -> Findings:
    """All of it."""
    where = machine.described()
    peer_python, peer_says = peer()
    speed = speeds(peer_python, options.rounds)
    say("counting reads, commits and disk flushes")
    counted = child(sys.executable, ["-m", "benchmarks.classification", "32", "640", "counted"])
    flushes = {
        (in_flight, name): syncs.measured(
            ["-m", "benchmarks.classification", str(in_flight), units, "plain", processes]
        )
        for in_flight, name, units, processes in (
            (1, PLAIN, "200", "1"),
            (32, PLAIN, "960", "1"),
            (32, TWO, "960", "2"),
        )
    }
    say("latency over HTTP, memory")
    serving, serving_by_two = latency.measured(), latency.measured(FUNCTIONS_WORKER_PROCESS_COUNT="2")
    say("a conversation and a payment")
    talking = conversation.measured() | first_token.measured()
    say("cold index")
    index = indexing.measured()
    looks = growth_of(SIZES if options.growth else SMALL_SIZES)
    return Findings(where, peer_says, speed, counted["cost"], flushes, serving, serving_by_two, talking, index, looks)


def told(found: Findings, count: int) -> str:
    """The text for the terminal and for the file."""
    serving, talking, index = found.serving, found.talking, found.cold_index
    http = (
        f"POST answers after {serving['post_p50_ms']:.1f} ms (p99 {serving['post_p99_ms']:.1f}); the decision is"
        f" committed {serving['decided_p50_ms']:.1f} ms (p99 {serving['decided_p99_ms']:.1f}) after the answer."
        f" Memory {serving['serving_mb']:.0f} MB, at most {serving['peak_mb']:.0f} MB."
        f" With two processes: {found.serving_by_two['decided_p50_ms']:.1f} ms (p99"
        f" {found.serving_by_two['decided_p99_ms']:.1f}), {found.serving_by_two['serving_mb']:.0f} MB, at most"
        f" {found.serving_by_two['peak_mb']:.0f} MB for both, pages that they share counted twice."
        f" Cold index {index['ours_ms']:.0f} ms for {index['functions']} functions, empty app"
        f" {index['empty_ms']:.0f} ms."
    )
    people = (
        f"From a message to the first event of its answer {talking['first_event_p50_ms']:.1f} ms"
        f" (p99 {talking['first_event_p99_ms']:.1f}), to the last {talking['whole_answer_p50_ms']:.1f} ms"
        f" (p99 {talking['whole_answer_p99_ms']:.1f}), without a model. From a signature to the money moved at the bank"
        f" {talking['effect_p50_ms']:.1f} ms (p99 {talking['effect_p99_ms']:.1f}): answer, lane, last check, intent,"
        " lane, look-up by key, transfer."
        f" From a model's first word to the person {talking['first_token_p50_ms']:.1f} ms"
        f" (p99 {talking['first_token_p99_ms']:.1f})."
    )
    clock = (classification.__doc__ or "").partition("    python")[0].strip()
    sections = [
        found.where + (f"\n{found.peer}." if PEER in found.speed else ""),
        report.targets(promises(found)),
        f"Medians of {count} shuffled rounds, each candidate in a process of its own:",
        report.speed(found.speed, {} if PEER in found.speed else {PEER: found.peer}),
        report.flushes(found.flushes),
        report.cost(found.costs),
        http,
        people,
        "As the store fills:",
        report.growth(found.looks),
        f"What Countersign's rows are:\n{clock}",
    ]
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each candidate is measured (default: 3)")
    parser.add_argument("--growth", action="store_true", help=f"fill up to 100,000 transactions ({SIZES})")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the result: docs/performance.md")
    options = parser.parse_args()
    text = told(measured(options), options.rounds)
    print(text)
    if options.write:
        heading = "# Performance\n\nWritten by `make bench`; ratios travel, rates do not.\n"
        options.write.write_text(f"{heading}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
