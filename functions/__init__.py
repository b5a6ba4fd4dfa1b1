"""Triggers: decode, one use case, reply. Each module has one `blueprint`; adding one is a line here."""

from functions import (
    bus_lanes,
    grid_decisions,
    http_actions,
    http_approvals,
    http_audit,
    http_conversations,
    http_findings,
    http_health,
    http_history,
    http_parked,
    http_runs,
    http_tenant,
    http_transactions,
    timers,
)

BLUEPRINTS = (
    http_health.blueprint,
    http_transactions.blueprint,
    http_history.blueprint,
    http_runs.blueprint,
    http_audit.blueprint,
    http_parked.blueprint,
    http_findings.blueprint,
    http_conversations.blueprint,
    http_approvals.blueprint,
    http_actions.blueprint,
    http_tenant.blueprint,
    bus_lanes.blueprint,
    grid_decisions.blueprint,
    timers.blueprint,
)
