"""What must be true when a round is over. Each check answers in words with what is wrong; nothing: all is well."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from local.chaos_files import Documents, documents, left_to_do, published, reading
from local.chaos_host import Victim, call
from shared.contracts.identity import run_id_of
from shared.ledger.transactions import classify_command_id

TERMINAL = ("Completed", "NeedsReview")
SHOWN = 5
CHECKPOINT_SECONDS = 10.0


def wrong_in_files(data: Path, wanted: Mapping[str, Set[str]]) -> list[str]:
    """Exactly one decision for each transaction, one event for each decision, and nothing left over."""
    with reading(data / "store.db") as store:
        kinds = {kind: documents(store, kind) for kind in ("transaction", "run", "receipt", "audit", "parked")}
    left = left_to_do(data)
    found = [f"left over: {left}"] if left else []
    found += [f"parked: {one['reason']}" for one in kinds["parked"].found.values()][:SHOWN]
    for tenant, ids in wanted.items():
        found += list(_decisions(tenant, ids, kinds))[:SHOWN]
    return found + list(_events(published(data), kinds["transaction"]))[:SHOWN]


def _decisions(tenant: str, ids: Set[str], kinds: Mapping[str, Documents]) -> Iterator[str]:
    """One decision, run, receipt and audit record for each; and no transaction that nobody sent."""
    stored = {body["facts"]["transaction_id"]: body for body in kinds["transaction"].of(tenant)}
    if set(stored) != set(ids):
        yield f"{tenant}: {len(set(ids) - set(stored))} missing, {len(set(stored) - set(ids))} that nobody sent"
    records = [body for body in kinds["audit"].of(tenant) if body["what"] == "transaction_decided"]
    decided = Counter(body["ids"]["transaction"] for body in records)
    runs = Counter(body["command_id"] for body in kinds["run"].of(tenant))
    for id_, body in stored.items():
        command = classify_command_id(tenant, id_)
        run = kinds["run"].found.get((tenant, f"run:{run_id_of(tenant, command)}"), {})
        wrong = [
            body["decision_version"] != 1 and f"decision {body['decision_version']}",
            body["review_state"] not in ("Categorized", "NeedsReview") and body["review_state"],
            decided[id_] != 1 and f"{decided[id_]} audit records",
            runs[command] != 1 and f"{runs[command]} runs",
            run.get("status") not in TERMINAL and f"run {run.get('status')}",
            (tenant, f"receipt:{command}") not in kinds["receipt"].found and "no receipt",
        ]
        if any(wrong):
            yield f"{tenant} {id_}: {', '.join(str(one) for one in wrong if one)}"


def _events(told: list[dict[str, Any]], transactions: Documents) -> Iterator[str]:
    """One id per decision, one content per id, and the content is what is stored."""
    contents: dict[str, str] = {}
    ids: dict[tuple[str, str, int], str] = {}
    for event in told:
        data = event["data"]
        decision = (data["tenant"], data["transaction_id"], data["decision_version"])
        content = json.dumps(event, sort_keys=True)
        if contents.setdefault(event["id"], content) != content:
            yield f"event {event['id']} was published with two contents"
        if ids.setdefault(decision, event["id"]) != event["id"]:
            yield f"{decision} was published under two ids"
        body = transactions.found.get((data["tenant"], f"transaction:{data['transaction_id']}"), {})
        if (body.get("review_state"), body.get("category")) != (data["review_state"], data["category"]):
            yield f"{decision}: the event says {data['review_state']} {data['category']}, the store does not"
    for (tenant, id_), body in transactions.found.items():
        if (tenant, body["facts"]["transaction_id"], body["decision_version"]) not in ids:
            yield f"{tenant} {id_}: decided, but no event was published"


def wrong_at_stop(victim: Victim, data: Path, tenants: Set[str]) -> list[str]:
    """What the host says of itself in the end, and how it ends."""
    try:
        found = wrong_over_http(victim.url, data, tenants)
    except (OSError, http.client.HTTPException) as failed:
        found = [f"the host does not answer: {failed!r}"]
    if (code := victim.stop()) != 0:
        found.append(f"the host ended with exit code {code}")
    return found


def wrong_over_http(url: str, data: Path, tenants: Set[str]) -> list[str]:
    """Counters agree with the states, the chain verifies with its checkpoints, nothing is parked."""
    _checkpointed(url, tenants)
    with reading(data / "store.db") as store:
        stored = documents(store, "transaction")
    found = []
    for tenant in sorted(tenants):
        states = dict(Counter(body["review_state"] for body in stored.of(tenant)))
        _, told = call(url, "GET", "/api/v1/counters", tenant=tenant)
        counted = {state: number for state, number in told["by_review_state"].items() if number}
        if counted != states:
            found.append(f"{tenant}: counters say {counted}, the states are {states}")
        found += _chain(url, tenant)
    for tenant in [*tenants, "system"]:
        _, told = call(url, "GET", "/api/v1/parked", tenant=tenant)
        found += [f"{tenant}: parked {one['reason']}" for one in told["items"][:SHOWN]]
    return found


def _checkpointed(url: str, tenants: Set[str]) -> None:
    """As the timer would, but now: the host answers before the function has ended."""
    call(url, "POST", "/admin/functions/checkpoint_audit_heads", {}, tenant="system")
    end = time.monotonic() + CHECKPOINT_SECONDS
    for tenant in tenants:
        while not call(url, "GET", "/api/v1/audit/checkpoints", tenant=tenant)[1]["items"] and time.monotonic() < end:
            time.sleep(0.05)


def _chain(url: str, tenant: str) -> list[str]:
    start: dict[str, Any] = {"from": 0}
    met = 0
    while True:
        status, told = call(url, "POST", "/api/v1/audit/verify", start, tenant=tenant)
        if status != 200 or not told["ok"]:
            return [f"{tenant}: the chain does not verify: {told}"]
        met += told["checkpoints"]
        if not told["next_from"]:
            return [] if met else [f"{tenant}: no checkpoint of the chain was met"]
        start = {"from": told["next_from"], "from_hash": told["head_hash"]}
