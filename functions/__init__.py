"""Triggers: decode, one use case, reply. Each module has one `blueprint`; adding one is a line here."""

from functions import bus_lanes, grid_decisions, http_transactions, timers

BLUEPRINTS = (
    http_transactions.blueprint,
    bus_lanes.blueprint,
    grid_decisions.blueprint,
    timers.blueprint,
)
