"""The part of docs/scale-and-cost.md about limits: what grows, what gives way first, and what to change then. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import cost_model as model
from benchmarks.cost_counts import ROWS
from benchmarks.cost_model import Counted, cell
from benchmarks.report import table
from shared.delivery.checkpoints import AT_ONCE as CHECKPOINTS_AT_ONCE
from shared.flows.sweep_tenant import AT_ONCE

type Counts = Mapping[str, Counted]

IDLE = {  # firings an hour
    "relay_outbox": 240,
    "age_approvals": 120,
    "probe_breakers": 120,
    "continue_erasures": 60,
    "checkpoint_unmoved": 12,
    "purge_expired": 6,
}
RATES = [10**power for power in range(6)]
TENANTS = [10**power for power in range(7)]


def one_tenant(one: model.Tenant, counts: Counts) -> str:
    kb = counts["stored"]["kb_kept_for_good"] / counts["stored"]["transactions"]
    return f"""## One tenant

A tenant is one session of the lane, one logical partition and one audit chain: its transactions are judged one
after the other. One takes {one.round_trips:.1f} round trips in a row; at {cell(model.limit("round_trip_ms"))} ms
each a tenant gets **{one.by_session:.0f} transactions a second**. Its logical partition would carry
{one.by_units:.0f} and holds {one.room / 1e6:.1f} million transactions for good ({kb:.1f} KB each with run and audit
record, without the index). More for one tenant means splitting it: `shared/contracts/identity.py:partition_of` is
the place, and a second chain the price."""


def rates(transaction: Counted, one: model.Tenant) -> str:
    lines = []
    for rate in RATES:
        told = model.load(rate, transaction, one)
        lines.append([f"{rate:,}", f"{told.ru:,.0f}", _cosmos(told.ru), f"{told.credits:,.0f}", _bus(told), _grid(told),
                      str(told.hub_units), f"{told.instances:,}", f"{told.tenants:,}"])  # fmt: skip
    head = ["transactions a second", "RU/s", "Cosmos DB", "bus credits/s", "Service Bus", "Event Grid topics",
            "Event Hubs units", "instances", "tenants needed"]  # fmt: skip
    return f"""## As rates grow

{table(head, lines)}

`tenants needed`: with fewer, the one-after-the-other of each tenant is the limit, and everything else idles."""


def idle(counts: Counts) -> float:
    """A month of an empty deployment, within what is free."""
    timers = model.dollars(_timers(counts), alone=True)
    fixed = model.price("bus_standard_per_month") + model.price("hub_unit_per_month")
    return fixed + model.billed(timers) / model.MILLION - _free()


def _free() -> float:
    return model.limit("flex_free_gb_seconds") * model.price("flex_per_gb_second")


def tenants(counts: Counts) -> str:
    timers = _timers(counts)
    lines = []
    for tenants in TENANTS:
        told = model.standing(tenants, counts, timers, at_once=AT_ONCE)
        month = tenants * model.limit("transactions_per_tenant_month")
        lines.append([f"{tenants:,}", f"{told.million_ru:,.1f}", f"{told.bill:,.2f}", _time(told.starting_seconds),
                      _time(told.working_hours * 3600), f"{month / model.MONTH_SECONDS:,.1f}"])  # fmt: skip
    head = ["tenants", "million RU a month", "USD a month", "to start the night's sweeps",
            "to work them off, one instance", "transactions a second"]  # fmt: skip
    alone = model.dollars(timers, alone=True)["Functions"] / 1e6
    return f"""## As tenants grow

What stands still costs too: timers, and a sweep of each tenant every night (counted for {ROWS} transactions). The
last column is the average at {cell(model.limit("transactions_per_tenant_month"))} transactions a month each, which
come on top.

{table(head, lines)}

Timers alone are {cell(timers["executions"])} executions a month that come one at a time: {cell(alone)} dollars, of
which {cell(_free())} are within what is free. `functions/timers.py`
has their schedules: `relay_outbox` every minute instead of every 15 s is a third less. Those that find nothing cost
{cell(timers["ru"] / 1e6)} million RU a month for two physical partitions, and as much
again for every two more: `due` asks each of them. Chains are checkpointed when they have moved,
{CHECKPOINTS_AT_ONCE} side by side; of the others nothing is asked."""


def first_limits(transaction: Counted, one: model.Tenant, counts: Counts) -> str:
    serverless = model.limit("cosmos_serverless_ru") / transaction["ru"]
    standard = model.limit("bus_standard_credits") / (transaction["bus_messages"] * 2)
    hub = 4 * min(1e6 / transaction["hub_bytes"], model.limit("hub_unit_events") / transaction["hub_sends"])
    waiting = model.limit("bus_queue_gb") * 1e9 / (transaction["bus_bytes"] + model.limit("bus_overhead_bytes"))
    instances = model.limit("flex_instances_set") / model.busy(transaction)
    started = model.standing(1, counts, _timers(counts), at_once=AT_ONCE).starting_seconds
    steps = [
        [f"{one.by_session:.0f}/s in one tenant", "its session: one after the other", "nothing, or split the tenant"],
        [f"{serverless:.0f}/s", "serverless Cosmos DB, 5,000 RU/s of a physical partition", "`COSMOS_MAX_THROUGHPUT`"],
        [f"{standard:.0f}/s", "Service Bus Standard, 1,000 credits a second of the namespace",
         "Premium (`PRIVATE_NETWORK=true` brings it), then more messaging units"],
        [f"{hub:,.0f}/s", "4 Event Hubs throughput units; telemetry is dropped and counted, nothing waits for it",
         "`maximumThroughputUnits`, then a Premium namespace"],
        [f"{model.limit('grid_topic_events'):,.0f}/s", "ingress of one Event Grid topic",
         "several topics by a hash of the tenant, or an Event Grid domain"],
        [f"{model.limit('cosmos_container_ru') / transaction['ru']:,.0f}/s", "1,000,000 RU/s of a container",
         "a support request, or several deployments with tenants shared out"],
        [f"{instances:,.0f}/s", "100 instances of an app",
         "`maximumInstanceCount`, up to 1,000, and the region's quota"],
        [f"{waiting / 1e6:.1f} million messages waiting", "5 GB of a queue: the outbox keeps what it does not take",
         "nothing is lost; more instances, or fewer uploads at a time"],
        [f"{model.limit('function_timeout_seconds') / started:,.0f} tenants",
         "`start_nightly_sweep` must end within `functionTimeout`",
         "a longer `functionTimeout` (Flex Consumption sets no bound), then several timers, each for its share"],
        [f"{one.room / 1e6:.1f} million transactions in one tenant", "20 GB of a logical partition",
         "split the tenant, or move closed years to an archive"],
    ]  # fmt: skip
    return f"""## Which limit comes first, and what to change then

{table(["at", "what", "change"], steps)}

Before any of these, `ThrottledRequests` of Service Bus (in the workbook) and status 429 of Cosmos DB's
`TotalRequests` show it. Nothing is lost by them: a throttled call is tried again within its budget, then the
command comes back later without using up an attempt."""


def _timers(counts: Counts) -> Counted:
    """In a month."""
    firings = [
        {name: value * hourly * 730 for name, value in counts[_key(timer, counts)].items()}
        for timer, hourly in IDLE.items()
    ]
    return model.together(firings)


def _key(timer: str, counts: Counts) -> str:
    return timer if timer in counts else f"timer_{timer}"


def _cosmos(units: float) -> str:
    if units <= model.limit("cosmos_serverless_ru"):
        return "serverless"
    if units <= model.limit("cosmos_container_ru"):
        return f"autoscale {-(-units // 1000) * 1000:,.0f}"
    return "**support request**"


def _bus(told: model.Load) -> str:
    if told.credits <= model.limit("bus_standard_credits"):
        return "Standard"
    units = next((one for one in (1, 2, 4, 8, 16) if one * model.limit("premium_unit_messages") >= told.rate), 0)
    return f"Premium, {units} messaging unit{'s' * (units > 1)}" if units else "**several namespaces**"


def _grid(told: model.Load) -> str:
    return f"{max(1, -(-told.events // model.limit('grid_topic_events'))):,.0f}"


def _time(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
