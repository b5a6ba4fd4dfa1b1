"""SweepTenant: the nightly look for what is wrong. Each finding is raised once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from shared.audit.record import START, Entry, Head
from shared.audit.verification import Verification, verify
from shared.contracts.commands import SweepTenant, SweepTenantEnvelope, envelope
from shared.contracts.identity import deterministic_id, partition_of
from shared.contracts.instants import after
from shared.delivery.handling import Delivery, Left, Outcome, Work
from shared.delivery.intake import accept
from shared.delivery.tenants import enumerate_tenants
from shared.errors import ConflictError, RetryableError
from shared.flows.read_all import read_all
from shared.guard.policy import AnomalyRule, Policy
from shared.ledger.descriptor import normalised
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.document_store import MAX_PAGE, Body, Document, DocumentStore
from shared.runs.life_cycle import Run, Signal, moved_to, signal, stage, with_signals, with_stages
from shared.specialists.anomaly import unusual

log = logging.getLogger("countersign.sweep")

SECOND_TRY_SECONDS = 10.0
AT_ONCE = 16
"""Tenants whose sweeps are accepted side by side: one after the other, thousands would outlast the function."""
SWEEPER = {"kind": "timer", "id": "nightly-sweep"}
STATE_ID = "counter:sweep"
MAX_TRANSACTIONS = 5_000
"""The newest by booking day. Of a backfill that is larger, the older part is not looked at."""
MAX_RUNS = 200
MAX_FINDINGS = 60
"""New findings raised by one sweep; the next one looks again and raises what is left."""
STUCK_AFTER_SECONDS = 15 * 60


class Finding(NamedTuple):
    """Something a person should look at. (kind, subject) is raised once."""

    kind: str
    subject: str
    severity: str
    summary: str


async def start_sweeps(delivery: Delivery, *, day: str) -> int:
    """Accept one `SweepTenant` per registered tenant for `day`; returns how many were new. A repeat changes nothing.

    A tenant that fails keeps nobody else from being swept: it is tried again at the end, and the last error is raised
    when that fails too.
    """
    accepted, failed, cursor = 0, list[str](), ""
    while True:
        page = await enumerate_tenants(delivery, cursor=cursor)
        tenants = [document.body["tenant"] for document in page.documents]
        for first in range(0, len(tenants), AT_ONCE):
            some = tenants[first : first + AT_ONCE]
            accepted += sum(await asyncio.gather(*(_try_to_start(delivery, one, day, failed) for one in some)))
        cursor = page.cursor
        if not cursor:
            break
    if failed:
        await asyncio.sleep(SECOND_TRY_SECONDS)
    for tenant in failed:
        accepted += await _start_sweep(delivery, tenant, day)
    return accepted


async def _try_to_start(delivery: Delivery, tenant: str, day: str, failed: list[str]) -> bool:
    """`failed`: gets the tenant whose sweep could not be accepted now."""
    try:
        return await _start_sweep(delivery, tenant, day)
    except RetryableError as error:
        log.warning("the sweep of one tenant waits: %s", error)
        failed.append(tenant)
        return False


async def _start_sweep(delivery: Delivery, tenant: str, day: str) -> bool:
    command_id = deterministic_id(partition_of(tenant), "sweep", day)
    now = delivery.now()
    command = envelope("SweepTenant", {"day": day}, command_id=command_id, tenant=tenant, source="timer", issued_at=now)
    try:
        await accept(delivery, tenant, [command], key=command_id)
    except ConflictError:
        return False  # accepted before: by an earlier firing for the same day
    return True


@dataclass(frozen=True, slots=True)
class SweepTenantFlow:
    """Bounded queries inside one partition; one commit with all new findings."""

    policy: Policy
    checkpoints: CheckpointLog

    def needs(self, command: SweepTenantEnvelope) -> tuple[str, ...]:
        del command  # the same for every day
        return (STATE_ID,)

    async def handle(self, work: Work) -> Outcome:
        wish: SweepTenant = work.command.payload
        state = work.documents.get(STATE_ID)
        transactions = await _newest(work.store, work.partition, wish.day)
        verified = await self._verified(work, state)
        found = [
            *duplicate_charges(transactions, self.policy.anomaly),
            *self._outliers(transactions),
            *await _stuck_runs(work),
            *_audit_break(verified),
        ]
        new = await _not_raised_yet(work, found)
        return _outcome(work, state, verified, new, looked_at=len(transactions))

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        del command, documents, run, reason  # the parked command itself, with its signal, is the escalation
        return Left()

    async def _verified(self, work: Work, state: Document | None) -> Verification:
        """Goes on from the last verified record; a full verification is a command of its own."""
        start = Head(state.body["verified_to"], state.body["verified_hash"]) if state else START
        return await verify(work.partition, store=work.store, checkpoints=self.checkpoints, start=start)

    def _outliers(self, transactions: Sequence[Body]) -> list[Finding]:
        """Amounts far outside the merchant's own, judged with everything that came before and after."""
        by_merchant: dict[tuple[str, str], list[Body]] = {}
        for body in transactions:
            facts = body["facts"]
            by_merchant.setdefault((normalised(facts["descriptor"]), facts["currency"]), []).append(body)
        found = []
        for bodies in by_merchant.values():
            amounts = [abs(body["facts"]["amount_minor"]) for body in bodies]
            for position, body in enumerate(bodies):
                others = amounts[:position] + amounts[position + 1 :]
                if body["review_state"] == "Categorized" and unusual(amounts[position], others, self.policy.anomaly):
                    id_ = body["facts"]["transaction_id"]
                    found.append(Finding("outlier_amount", id_, "Warning", "amount far outside this merchant's usual"))
        return found


def duplicate_charges(transactions: Sequence[Body], rule: AnomalyRule) -> list[Finding]:
    """The later of two equal charges within a few days at one merchant, unless such pairs are a habit (a bus fare)."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for body in transactions:
        facts = body["facts"]
        if facts["amount_minor"] < 0:
            same = (normalised(facts["descriptor"]), facts["account"], facts["amount_minor"], facts["currency"])
            groups.setdefault(same, []).append(facts)
    found = []
    for group in groups.values():
        group.sort(key=lambda facts: (facts["booked_on"], facts["transaction_id"]))
        pairs = [(one, two) for one, two in pairwise(group) if _days_between(one, two) <= rule.duplicate_days]
        if len(pairs) > rule.habitual_repeats:
            continue
        for earlier, later in pairs:
            summary = f"same amount as {earlier['transaction_id']} on {earlier['booked_on']}"
            found.append(Finding("duplicate_charge", later["transaction_id"], "Warning", summary))
    return found


def _days_between(earlier: dict[str, Any], later: dict[str, Any]) -> int:
    return (date.fromisoformat(later["booked_on"]) - date.fromisoformat(earlier["booked_on"])).days


async def _newest(store: DocumentStore, partition: str, day: str) -> list[Body]:
    """The tenant's transactions booked up to `day`, newest first, bounded."""
    high = str(date.fromisoformat(day) + timedelta(days=1))
    bodies: list[Body] = []
    cursor = ""
    while len(bodies) < MAX_TRANSACTIONS:
        page = await store.query(partition, "transaction", high=high, descending=True, limit=MAX_PAGE, cursor=cursor)
        bodies += [document.body for document in page.documents]
        cursor = page.cursor
        if not cursor:
            break
    return bodies


async def _stuck_runs(work: Work) -> list[Finding]:
    """Runs accepted long ago that no worker has finished, and receipts whose run has no end."""
    high = after(work.now, seconds=-STUCK_AFTER_SECONDS)
    page = await work.store.query(work.partition, "run", key=("state", "Pending"), high=high, limit=MAX_RUNS)
    receipts = await work.store.read_many(
        work.partition, [f"receipt:{document.body['command_id']}" for document in page.documents]
    )
    found = []
    for document in page.documents:
        run = document.body
        if f"receipt:{run['command_id']}" in receipts:
            found.append(Finding("receipt_without_end", run["run_id"], "Critical", "handled, but its run has no end"))
        else:
            summary = f"{run['command_type']} accepted at {run['created_at']} is still Pending"
            found.append(Finding("stuck_run", run["run_id"], "Error", summary))
    return found


def _audit_break(verified: Verification) -> list[Finding]:
    if not verified.problem:
        return []
    what = f"{verified.document}: {verified.problem}" if verified.document else verified.problem
    return [Finding("audit_break", verified.document or str(verified.broken_at), "Critical", what)]


async def _not_raised_yet(work: Work, found: Sequence[Finding]) -> list[tuple[str, Finding]]:
    """New findings with their document ids, the gravest first, at most `MAX_FINDINGS`."""
    ids = {f"finding:{deterministic_id(work.partition, one.kind, one.subject)}": one for one in found}
    stored = await read_all(work.store, work.partition, ids)
    rank = ("Critical", "Error", "Warning", "Info")
    fresh = [(id_, one) for id_, one in ids.items() if id_ not in stored]
    return sorted(fresh, key=lambda pair: rank.index(pair[1].severity))[:MAX_FINDINGS]


def _outcome(
    work: Work, state: Document | None, verified: Verification, new: Sequence[tuple[str, Finding]], *, looked_at: int
) -> Outcome:
    at = work.at
    documents = [_finding_document(work, id_, one, at) for id_, one in new]
    body = {"verified_to": verified.verified_to, "verified_hash": verified.head_hash, "swept_at": at}
    documents.append(Document(work.partition, STATE_ID, "counter", body, etag=state.etag if state else ""))
    rationale = f"{looked_at} transactions, {verified.records} audit records, {len(new)} new findings"
    run = with_stages(work.run, [stage("sweep", "Succeeded", order=1, at=at, code="swept", rationale=rationale)])
    run = with_signals(run, _signals(new, at))
    ids = {"run": run["run_id"], "command": work.command.command_id}
    payload = {
        "findings": [one._asdict() for _, one in new],
        "audit": {"verified_to": verified.verified_to, "problem": verified.problem},
        "looked_at": looked_at,
    }
    return Outcome(
        run=moved_to(run, "Completed", at=at), entries=[Entry("tenant_swept", SWEEPER, ids, payload)], writes=documents
    )


def _finding_document(work: Work, id_: str, one: Finding, at: str) -> Document:
    body = one._asdict() | {"state": "open", "raised_at": at, "run_id": work.run["run_id"]}
    return Document(work.partition, id_, "finding", body, sort=at, keys={"state": "open", "subject": one.subject})


def _signals(new: Sequence[tuple[str, Finding]], at: str) -> list[Signal]:
    return [signal(one.kind, one.severity, one.summary, at=at, requires_human=True) for _, one in new]
