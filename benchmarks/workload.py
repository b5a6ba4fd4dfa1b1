"""The unit of work that the others do: one card payment judged by three specialists and a guard, about 3.8 KB in eight
rows. Pure, standard library alone: the same for the hand-written writer and for LangGraph.

Countersign itself is measured with its own specialists, policy and documents, which do and keep more than this.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

Json = dict[str, Any]

CATEGORIES = ("groceries", "fuel", "restaurant", "clothing")
SPECIALISTS = ("rules", "memory", "anomaly")
STEPS = ("accepted", "started", *SPECIALISTS, "judged", "decided", "completed")


def command(number: int) -> Json:
    """Command `number` of one tenant."""
    merchant = number % 307
    return {
        "command_id": f"c-{number:09d}",
        "idempotency_key": sha256(str(number).encode()).hexdigest(),
        "tenant": "household-1",
        "transaction": {
            "transaction_id": f"t-{number:09d}",
            "account": "IE00AIBK93115212345678",
            "booked_on": "2026-02-27",
            "amount_minor": -(100 + number * 37 % 9973),
            "currency": "EUR",
            "descriptor": f"POS {merchant:04d} MERCHANT OF SOME NAME DUBLIN {merchant}",
            "note": f"contactless card payment {number:09d}; " * 3,
            "mcc": str(5000 + merchant),
        },
        "policy_version": "money-2026-02-27",
        "requested_by": "statement",
    }


def proposal(specialist: str, asked: Json) -> Json:
    """What one specialist says."""
    transaction = asked["transaction"]
    place = SPECIALISTS.index(specialist)
    mcc = int(transaction["mcc"])
    return {
        "specialist": specialist,
        "category": CATEGORIES[(mcc + place) % len(CATEGORIES)],
        "confidence": 0.55 + (mcc * 3 + place) % 40 / 100,
        "model": "none",
        "version": "2026-02",
        "rationale": f"{specialist} reads {transaction['descriptor']} with code {mcc}: " + "because of that. " * 5,
        "evidence": [transaction["transaction_id"], transaction["descriptor"], transaction["mcc"]],
    }


def judged(asked: Json, proposals: list[Json]) -> Json:
    """The guard: weighs the proposals, decides, gives its reasons."""
    weights: dict[str, float] = {}
    for one in proposals:
        weights[one["category"]] = weights.get(one["category"], 0.0) + one["confidence"]
    category = max(sorted(weights), key=weights.__getitem__)
    applied = weights[category] >= 0.5 and min(one["confidence"] for one in proposals) > 0
    return {
        "outcome": "Applied" if applied else "NeedsReview",
        "category": category,
        "score": weights[category],
        "weights": weights,
        "reasons": [{"code": f"rule_{n}", "passed": True, "detail": f"rule {n} holds"} for n in range(6)],
        "command_id": asked["command_id"],
        "policy_version": asked["policy_version"],
        "fail_closed": True,
    }


def run_of(asked: Json, proposals: list[Json], decision: Json) -> Json:
    """The finished run, as it is kept."""
    return {
        "run_id": f"run-{asked['command_id']}",
        "status": "Completed",
        "version": 2,
        "command": asked,
        "stages": [{name: one[name] for name in ("specialist", "category", "confidence")} for one in proposals],
        "decision": decision,
        "timeline": [{"at": "2026-02-27T12:00:00Z", "step": step} for step in STEPS],
    }


def announcement(run: Json) -> Json:
    """The outbox row: what the world is told."""
    return {"type": "TransactionDecisionChanged", "run_id": run["run_id"], "outcome": run["decision"]["outcome"]}


DDL = (
    "CREATE TABLE runs (run_id TEXT PRIMARY KEY, status TEXT, version INTEGER, body TEXT) WITHOUT ROWID",
    "CREATE TABLE stages (run_id TEXT, name TEXT, body TEXT, PRIMARY KEY (run_id, name)) WITHOUT ROWID",
    "CREATE TABLE decisions (run_id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID",
    "CREATE TABLE idempotency (key TEXT PRIMARY KEY, run_id TEXT) WITHOUT ROWID",
    "CREATE TABLE states (transaction_id TEXT PRIMARY KEY, outcome TEXT, run_id TEXT, version INTEGER) WITHOUT ROWID",
    "CREATE TABLE outbox (number INTEGER PRIMARY KEY, body TEXT, sent INTEGER NOT NULL DEFAULT 0)",
)
INSERT_IDEMPOTENCY = "INSERT INTO idempotency VALUES (?, ?)"
INSERT_RUN = "INSERT INTO runs VALUES (?, ?, ?, ?)"
FINISH_RUN = "UPDATE runs SET status = 'Completed', version = 2, body = ? WHERE run_id = ? AND version = 1"
INSERT_STAGES = "INSERT INTO stages VALUES (?, ?, ?), (?, ?, ?), (?, ?, ?)"
INSERT_DECISION = "INSERT INTO decisions VALUES (?, ?)"
INSERT_STATE = "INSERT INTO states VALUES (?, ?, ?, 1)"
INSERT_OUTBOX = "INSERT INTO outbox (body) VALUES (?)"
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000", "busy_timeout = 5000")
