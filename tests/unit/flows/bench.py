"""The money flows on the test bench, with the policy that ships."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shared.contracts.transactions import TransactionFacts
from shared.delivery.inbox import handle_once
from shared.delivery.parking import Incoming
from shared.flows.classify_transaction import ClassifyTransactionFlow
from shared.flows.decision_changed import react
from shared.flows.ingest_statement import ingest
from shared.flows.ingestion_completed import IngestionCompletedFlow
from shared.flows.resolve_parked import ResolveParkedFlow
from shared.flows.review_transaction import ReviewTransactionFlow
from shared.flows.sweep_tenant import SweepTenantFlow
from shared.guard.policy import Policy, policy_from
from shared.specialists.runner import Limits
from tests.bench import Bench, facts, make_bench

TENANT = "household"
POLICY_FILE = Path(__file__).parents[3] / "policies" / "money.yaml"


@cache
def policy() -> Policy:
    return policy_from(yaml.load(POLICY_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def money_bench(folder: Path, **changes: Any) -> Bench:
    made = make_bench(folder, {}, **changes)
    flows = {
        "ClassifyTransaction": ClassifyTransactionFlow(policy(), Limits(), lambda: 0.0),
        "IngestionCompleted": IngestionCompletedFlow(),
        "SweepTenant": SweepTenantFlow(policy(), made.delivery.checkpoints),
        "ReviewTransaction": ReviewTransactionFlow(policy()),
        "ResolveParked": ResolveParkedFlow(),
    }
    object.__setattr__(made.delivery, "flows", flows)
    return made


async def upload(bench: Bench, *rows: dict[str, Any], key: str = "k", caller: str = "alice") -> dict[str, Any]:
    """Ingest rows as `alice`; nothing is delivered yet."""
    shapes = [TransactionFacts.model_validate(row) for row in rows]
    return await ingest(bench.delivery, TENANT, shapes, key=key, fingerprint=f"{rows}", caller=caller)


async def deliver(bench: Bench) -> list[str]:
    """Hand everything on the lanes to the inbox, in order, with what that sends; then every event to the reaction."""
    outcomes = []
    while bench.bus.sent:
        message = bench.bus.sent.pop(0)
        incoming = Incoming(message.lane, message.body, message.message_id, 1, message.session_id)
        outcomes.append(await handle_once(bench.delivery, incoming))
    for event in bench.events.published:
        await react(bench.delivery, tenant=event["data"]["tenant"], transaction_id=event["data"]["transaction_id"])
    return outcomes


async def transaction(bench: Bench, transaction_id: str) -> dict[str, Any]:
    document = await bench.store.read(TENANT, f"transaction:{transaction_id}")
    assert document is not None
    return document.body


__all__ = ["TENANT", "Bench", "deliver", "facts", "money_bench", "policy", "transaction", "upload"]
