"""What counted work costs by list prices, and how far away the limits are: arithmetic over `azure_prices.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import number

PRICES = Path(__file__).with_name("azure_prices.json")
MONTH_SECONDS = 730 * 3600
MILLION, GB = 1_000_000, 1_000_000_000
BUS_OPERATIONS = 3
"""A message is sent, received and completed; handled within its lock, it is not renewed."""
GRID_OPERATIONS = 2
"""An event is published and delivered."""

type Counted = Mapping[str, float]


@cache
def book() -> dict[str, Any]:
    """The whole file."""
    told: dict[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return told


def price(name: str) -> float:
    """Of one unit."""
    return float(book()["prices"][name][0])


def limit(name: str) -> float:
    """As documented, or as it was assumed."""
    return float((book()["limits"] | book()["assumed"])[name][0])


def together(kinds: Sequence[Counted]) -> dict[str, float]:
    """What several kinds of work need, one of each."""
    names = {name for one in kinds for name in one}
    return {name: sum(one.get(name, 0.0) for one in kinds) for name in sorted(names)}


def dollars(counted: Counted, *, alone: bool = False) -> dict[str, float]:
    """For a million of these, by service, beyond what is free or included. Spans as if none were sampled away.

    alone: each execution has an instance for itself, and is billed for the shortest time there is; else instances are
    busy with as many as they take.
    """

    def of(*names: str) -> float:
        return sum(counted.get(name, 0.0) for name in names)

    seconds = of("executions") * limit("flex_minimum_seconds") if alone else busy(counted)
    return {
        "Cosmos DB": of("ru") * price("cosmos_serverless_per_million_ru"),
        "Service Bus": of("bus_messages") * BUS_OPERATIONS * price("bus_standard_per_million"),
        "Event Grid": of("grid_events") * GRID_OPERATIONS * price("grid_per_million"),
        "Functions": of("executions") * price("flex_per_million_executions")
        + seconds * MILLION * limit("instance_gb") * price("flex_per_gb_second"),
        "Event Hubs": of("hub_sends") * price("hub_per_million"),
        "checkpoints": of("blob_writes", "blob_lists") * price("blob_per_million_writes"),
        "log lines": of("log_bytes") * MILLION / GB * price("logs_per_gb"),
        "spans": of("span_bytes") * MILLION / GB * price("logs_per_gb"),
    }


def cell(value: float) -> str:
    """A figure for a table."""
    if value == 0:
        return "-"
    return number(value) if value >= 0.01 else f"{value:.3f}"


class BreakEven(NamedTuple):
    """Above `million_ru` a month autoscale of `maximum` RU/s is cheaper than serverless, as long as the peaks fit."""

    maximum: int
    lowest_bill: float
    million_ru: float


def break_even(maximum: int) -> BreakEven:
    """Autoscale is billed by the hour for its busiest second, and for a tenth of the maximum at least."""
    lowest = maximum / 10 / 100 * price("cosmos_autoscale_per_100_ru_hour") * 730
    return BreakEven(maximum, lowest, lowest / price("cosmos_serverless_per_million_ru"))


def worth_serverless_below() -> float:
    """The share of an hour's busiest second that its average must stay under for serverless to be the cheaper one."""
    full = price("cosmos_autoscale_per_100_ru_hour") / 100
    return full / (3600 * price("cosmos_serverless_per_million_ru") / MILLION)


class Tenant(NamedTuple):
    """What one tenant can have. round_trips: one after the other, of one classified transaction."""

    round_trips: float
    by_session: float
    by_units: float
    room: float


def tenant(transaction: Counted, classify: Counted, stored: Counted) -> Tenant:
    """Transactions a second, and how many fit for good."""
    asked = classify["cosmos_queries"] + classify["cosmos_batches"] + classify["grid_requests"]
    round_trips = asked + 1  # and the message is completed before the next of its session comes
    kb = stored["kb_kept_for_good"] / stored["transactions"]
    return Tenant(
        round_trips,
        1000 / (round_trips * limit("round_trip_ms")),
        limit("cosmos_partition_ru") / transaction["ru"],
        limit("cosmos_partition_gb") * 1024 * 1024 / kb,
    )


def billed(told: Mapping[str, float]) -> float:
    """All services together; of spans only a few a second are exported."""
    return sum(value for name, value in told.items() if name != "spans")


def busy(counted: Counted) -> float:
    """Seconds of one instance that it takes."""
    return counted.get("executions", 0.0) * limit("execution_ms") / 1000 / limit("in_flight_per_instance")


class Load(NamedTuple):
    """What a rate of classified transactions asks for, each a second."""

    rate: int
    ru: float
    credits: float
    events: float
    hub_units: int
    instances: int
    tenants: int


def load(rate: int, transaction: Counted, one: Tenant) -> Load:
    """`rate` transactions a second; `tenants`: how many there must be at least, for none to be the limit."""
    hub = max(transaction["hub_bytes"] / 1_000_000, transaction["hub_sends"] / limit("hub_unit_events"))
    return Load(
        rate,
        rate * transaction["ru"],
        rate * transaction["bus_messages"] * 2,
        rate * transaction["grid_events"],
        max(1, ceil(rate * hub)),
        max(1, ceil(rate * busy(transaction))),
        max(1, ceil(rate / min(one.by_session, one.by_units))),
    )


class Standing(NamedTuple):
    """What `tenants` cost and ask for in a month in which nobody does anything, and what their nights take."""

    tenants: int
    million_ru: float
    bill: float
    starting_seconds: float
    working_hours: float


def standing(tenants: int, counts: Mapping[str, Counted], timers: Counted, *, at_once: int) -> Standing:
    """Timers, and a sweep a night for each tenant; at_once: sweeps that are accepted side by side."""
    night = together([counts["sweep_started"], counts["sweep"], counts["checkpoint_moved"]])
    nights = {name: value * 30 * tenants for name, value in night.items()}
    trip = limit("round_trip_ms") / 1000
    asked = sum(counts["sweep_started"].get(f"cosmos_{kind}", 0) for kind in ("reads", "queries", "batches")) - 1
    works = sum(counts["sweep"].get(f"cosmos_{kind}", 0) for kind in ("reads", "queries", "batches")) + 2
    bill = (billed(dollars(nights)) + billed(dollars(timers, alone=True))) / MILLION
    return Standing(
        tenants, (nights["ru"] + timers["ru"]) / MILLION, bill, tenants * (asked + 1) * trip / at_once,
        tenants * works * trip / limit("in_flight_per_instance") / 3600,
    )  # fmt: skip
