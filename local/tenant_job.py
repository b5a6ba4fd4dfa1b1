"""What both jobs do to a tenant over HTTP: send a statement, wait until everything is decided, verify the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from local.api_client import ApiClient, segment
from local.child_host import ChildHost
from local.job import Deadline, expect, wait_until
from local.screen import Advance
from local.statement_rows import StatementRow

BATCH = 500
STALLED_SECONDS = 60.0
READY_SECONDS = 20.0
LOOK_SECONDS = 0.2
VERIFY = "/api/v1/audit/verify"

Transaction = dict[str, Any]


class Tenant(NamedTuple):
    """A tenant on a running host, and how long the job may still take."""

    host: ChildHost
    name: str
    deadline: Deadline

    def client(self, who: str, *roles: str) -> ApiClient:
        """A connection of `who` with these roles in this tenant."""
        caller = f"{who}; tenants={self.name}; roles={','.join(roles)}"
        return ApiClient(self.host.url, caller, self.deadline)

    def start(self) -> None:
        """Start the host and wait until it says that it can accept."""
        self.host.start()

        def ready() -> bool | None:
            self.host.check_alive()
            return True if self.client("probe", "member").get("/api/ready")["ready"] else None

        wait_until(ready, seconds=READY_SECONDS, deadline=self.deadline, what="a ready host")


def send(client: ApiClient, rows: Sequence[StatementRow], *, name: str, sent: Advance) -> dict[str, int]:
    """POST the rows as new transactions, a batch after the other; what became of them. name: of the statement."""
    totals = {"accepted": 0, "duplicate": 0, "refused": 0}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        body = {"transactions": [row.facts() for row in batch]}
        told = client.post("/api/v1/transactions", body, key=f"{name}:{start}")
        totals = {what: number + told[what] for what, number in totals.items()}
        sent(start + len(batch))
    return totals


def wait_decided(
    tenant: Tenant, client: ApiClient, total: int, *, show: Advance, sending: Future[Any] | None = None
) -> None:
    """Until `sending` has ended and no transaction waits for a worker. It may take long, but it must move."""
    seen = (True, -1)

    def moved() -> tuple[bool, int] | None:
        tenant.host.check_alive()
        busy = sending is not None and not sending.done()  # looked at first: what it sent last is undecided below
        now = (busy or undecided(client), counted(client, "Categorized", "NeedsReview"))
        show(min(total, now[1]) if now[0] else total)
        return now if now != seen else None

    while seen[0]:
        what = f"progress with undecided transactions ({seen[1]} of {total} are decided)"
        # the host decides on the same machine: looking costs it time
        seen = wait_until(moved, seconds=STALLED_SECONDS, deadline=tenant.deadline, what=what)
        time.sleep(LOOK_SECONDS if seen[0] else 0)


def undecided(client: ApiClient) -> bool:
    """Whether a transaction still waits for a worker."""
    return bool(client.get("/api/v1/transactions", review_state="Unclassified", limit=1)["items"])


def counted(client: ApiClient, *states: str) -> int:
    """How many transactions are in these review states, as far as the events have been delivered."""
    counts: dict[str, int] = client.get("/api/v1/counters")["by_review_state"]
    return sum(int(counts.get(state, 0)) for state in states)


def transactions(client: ApiClient, *states: str) -> Iterator[Transaction]:
    """All transactions in these review states."""
    for state in states:
        yield from client.pages("/api/v1/transactions", review_state=state)


def transaction(client: ApiClient, transaction_id: str) -> Transaction:
    """One transaction."""
    found: Transaction = client.get(f"/api/v1/transactions/{segment(transaction_id)}")
    return found


def verify(client: ApiClient, *, show: Callable[[int], None]) -> int:
    """Check the whole audit chain, page by page; the number of records."""
    start: dict[str, Any] = {"from": 0}
    records = 0
    while True:
        found = client.post(VERIFY, start)
        records += int(found["records"])
        expect(
            found["ok"],
            f"an unbroken audit chain, but record {found['broken_at']}: {found['problem']} {found['document']}",
        )
        show(records)
        if not found["next_from"]:
            return records
        start = {"from": found["next_from"], "from_hash": found["head_hash"]}
