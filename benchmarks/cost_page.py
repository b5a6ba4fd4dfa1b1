"""The text of docs/scale-and-cost.md, from counts and prices. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from benchmarks import cost_limits
from benchmarks import cost_model as model
from benchmarks.cost_counts import ROWS
from benchmarks.cost_model import Counted, cell
from benchmarks.report import table

type Counts = Mapping[str, Counted]

KINDS = {
    "accept_row": f"accept a row, of a statement of {ROWS}",
    "accept_single": "accept a statement of one row",
    "classify": "classify a transaction",
    "reaction": "react to its event",
    "redelivery": "the same message once more",
    "review": "a person's answer",
    "message_posted": "take a message",
    "message_answered": "answer it (without a model)",
    "stream_read": "read the answer from the stream",
    "wish_to_card": "a wish becomes a card",
    "cards_shown": "look at a card",
    "card_answered": "sign it",
    "effect": "carry it out: last check, bank, outcome",
    "sweep_started": "start a tenant's nightly sweep",
    "sweep": f"sweep a tenant with {ROWS} transactions",
    "checkpoint_moved": "checkpoint a chain that moved",
}
TRANSACTION = ("accept_row", "classify", "reaction")
TRANSFER = ("message_posted", "wish_to_card", "cards_shown", "card_answered", "effect")
QUESTION = ("message_posted", "message_answered", "stream_read")


def page(counts: Counts) -> str:
    """All of it."""
    transaction = model.together([counts[kind] for kind in TRANSACTION])
    one = model.tenant(transaction, counts["classify"], counts["stored"])
    parts = [_head(), _per_kind(counts), _rules(), _money(counts), _serverless(transaction)]
    parts += [cost_limits.one_tenant(one, counts), cost_limits.rates(transaction, one), cost_limits.tenants(counts)]
    parts += [cost_limits.first_limits(transaction, one, counts), _check(), _book()]
    return "\n\n".join(_filled(block) for part in parts for block in part.split("\n\n")) + "\n"


def _filled(block: str) -> str:
    """A paragraph in lines of one width; tables and headings as they are."""
    if block.startswith(("|", "#")):
        return block
    return textwrap.fill(" ".join(block.split()), 120, break_long_words=False, break_on_hyphens=False)


def _head() -> str:
    return """# Scale and cost

Written by `make cost`. Every count is the code's own: the real functions over the real Azure adapters, against
doubles of the services (`benchmarks/cost_counts.py`), without retries. **Request units are a model**, the double's
(`tests/doubles/cosmos_prices.py`), after Microsoft's published figures: reading an item of 1, 4 and 64 KB 1, 1.3
and 10 units, creating one 5, 7 and 48, reads twice that under Strong consistency. Nothing here has been measured on
an account: *Check it against your account* says how. Prices, limits and assumptions are data: edit
`benchmarks/azure_prices.json`, then `make cost ARGS=--page`."""


def _per_kind(counts: Counts) -> str:
    head = ["", "point reads", "queries", "batches", "writes", "RU", "messages", "events", "functions", "log bytes",
            "spans", "USD per million"]  # fmt: skip
    names = ("cosmos_reads", "cosmos_queries", "cosmos_batches", "cosmos_writes", "ru", "bus_messages", "grid_events")
    lines = [
        [told, *(cell(counts[kind].get(name, 0)) for name in (*names, "executions", "log_bytes", "spans")),
         cell(model.billed(model.dollars(counts[kind])))]
        for kind, told in KINDS.items()
    ]  # fmt: skip
    return "## What each command asks for\n\n" + table(head, lines)


def _rules() -> str:
    return f"""Dollars are without spans; *What a million costs* says of what. A `read_many` of several documents is
one query; the single write of a command is its sent outbox document, deleted behind its back. `messages` are sent
here: each is then received and completed, so Service Bus counts {model.BUS_OPERATIONS} operations; a row's messages
leave in one batch for each chunk of 40. A message is handled within its lock, so none is renewed. An instance that
is up also asks for sessions: about once a minute for each idle slot, so 5.6 million operations a month if one never
sleeps. An event is {model.GRID_OPERATIONS} Event Grid operations, published and delivered. Telemetry goes to Event
Hubs many lines to an event. A classification that is decided anew after a lost race costs a query and a batch more;
one that only lost the chain's head, the same."""


def _money(counts: Counts) -> str:
    kinds = [model.together([counts[kind] for kind in one]) for one in (TRANSACTION, QUESTION, TRANSFER)]
    shared, alone = [model.dollars(one) for one in kinds], [model.dollars(one, alone=True) for one in kinds]
    lines = [[name, *(cell(told[name]) for told in shared)] for name in shared[0]]
    lines.append(["**all, without spans**", *(cell(model.billed(told)) for told in shared)])
    lines.append(["Functions, one at a time", *(cell(told["Functions"]) for told in alone)])
    lines.append(["**all, one at a time**", *(cell(model.billed(told)) for told in alone)])
    head = [f"{model.book()['currency']} per million", "transactions", "questions", "transfers"]
    return f"""## What a million costs

A transaction is a row accepted, classified and reacted to; a question is posted, answered and read; a transfer goes
from the wish to the money. Serverless Cosmos DB, Service Bus Standard, beyond what is free; a model's tokens are
not in it.

{table(head, lines)}

An instance is billed while it is at work, for a second at least. `Functions` is what a busy system pays, in which one
instance has {cell(model.limit("in_flight_per_instance"))} executions under way; where they come one at a time, each
pays its second: that is most of a small bill.

Spans are what a million costs if every trace is exported. It is not: the Azure Monitor distro keeps five traces a
second for each process unless `OTEL_TRACES_SAMPLER` says otherwise, and log lines, which the alerts read, are never
sampled. What is paid for in any case: Service Bus {cell(model.price("bus_standard_per_month"))}, one Event Hubs
throughput unit {cell(model.price("hub_unit_per_month"))} a month, storage ({cell(_gb(counts))} GB for a million
transactions, with what their commands leave for good,
{cell(_gb(counts) * model.price("cosmos_storage_per_gb_month"))} a month). With the timers (*As tenants grow*) a
deployment in which nothing happens costs about **{cost_limits.idle(counts):.0f} a month**, alert rules aside."""


def _serverless(transaction: Counted) -> str:
    lines = []
    for maximum in (1_000, 4_000, 10_000, 100_000):
        told = model.break_even(maximum)
        lines.append([f"{maximum:,}", cell(told.lowest_bill), cell(told.million_ru),
                      cell(told.million_ru / transaction["ru"]), cell(maximum / transaction["ru"])])  # fmt: skip
    head = ["autoscale maximum, RU/s", "lowest bill a month", "serverless costs as much at, million RU",
            "million transactions a month", "transactions a second at most"]  # fmt: skip
    return f"""## Serverless or autoscale

Serverless is billed by the request unit; autoscale by the hour, for its busiest second and at least a tenth of its
maximum. So serverless is the cheaper one while an hour's average stays under {model.worth_serverless_below():.0%}
of its busiest second, and whenever the month brings less than this:

{table(head, lines)}

`COSMOS_MAX_THROUGHPUT=0` is serverless, anything else the maximum (`azd env set`). An account is made as one or the
other: changing over means a new account (docs/operations.md, "Scale")."""


def _check() -> str:
    return """## Check it against your account

The adapter adds up `x-ms-request-charge` of every answer. With tracing on, each store call is a span with
`azure.cosmosdb.operation.request_charge`, and a command's span has their sum, `countersign.request_units`
(docs/operations.md, "Log queries", has the query for RU per command type). In a test or a console:
`shared/adapters/azure/cosmos_charges.py:counted` around the work. If the true charge of a classification differs
from the table by more than a fifth, trust the account and correct the double."""


def _book() -> str:
    told = model.book()
    told_of = f"As known on {told['looked_up']}, {told['region']}. {told['honestly']}"
    parts = [f"## Prices, limits and assumptions\n\n{told_of}"]
    for name in ("prices", "limits", "assumed"):
        lines = [[key.replace("_", " "), f"{value:,}", source] for key, (value, source) in told[name].items()]
        parts.append(table([name, "", "source"], lines))
    return "\n\n".join(parts)


def _gb(counts: Counts) -> float:
    return counts["stored"]["kb_kept_for_good"] / counts["stored"]["transactions"] * 1e6 / 1024 / 1024
