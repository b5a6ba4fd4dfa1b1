"""The main job on the sample: ingest, review, see memory decide, ask, countersign a transfer, sweep, verify.

Every step states what must have happened; the first that did not ends the job with one line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from local import conversation_job
from local.api_client import ApiClient, segment
from local.child_host import ROOT, ChildHost
from local.job import Deadline, expect, wait_until
from local.screen import Screen
from local.statement import read_statement
from local.statement_rows import StatementRow
from local.tenant_job import Tenant, Transaction, counted, send, transaction, transactions, verify, wait_decided
from shared.contracts.currencies import EXPONENTS

SAMPLES = ROOT / "samples"
STATEMENTS = ("statement.csv", "statement_next.csv")
MUST_WAIT = {
    "s-065": "duplicate_charge",
    "s-075": "descriptor_instructs",
    "s-091": "",  # a high amount at a merchant never seen before
    "s-113": "",  # eight times the usual at this merchant
}
"""Transactions of the sample that no policy of ours may let pass, and the reason code that must be among theirs."""
REVIEWS = {
    "s-016": ("personal.hair_beauty", "s-124"),
    "s-026": ("leisure.sport", "s-125"),
}
"""A transaction at an unknown merchant: what the reviewer says of it, and the merchant's next one."""
FOUND = {"duplicate_charge": "s-065"}
WAIT_SECONDS = 30.0


def run(screen: Screen, folder: Path, deadline: Deadline) -> None:
    """`JobFailedError` when something expected did not happen."""
    with ChildHost(folder, deadline) as host:
        tenant = Tenant(host, "household", deadline)
        with screen.step("Start the local host"):
            tenant.start()
            screen.line(f"   {host.url}, data in {folder}")
        alice = tenant.client("alice", "member")
        _ingest(screen, tenant, alice)
        with screen.step("A person looks at two unknown merchants"):
            _review(screen, tenant, alice, tenant.client("bob", "reviewer"))
        with screen.step("The next statement: memory decides these merchants"):
            _ingest_next(screen, tenant, alice)
        story = conversation_job.Story(screen, tenant, host.bank_url)
        with screen.step("Alice asks about her money"):
            conversation_job.ask(story)
        with screen.step("Alice asks for a transfer: a card, and no money moves"):
            card = conversation_job.request(story)
        with screen.step("The wrong person, another amount, another card"):
            conversation_job.refuse(story, card)
        with screen.step("Bob countersigns"):
            conversation_job.sign(story, card)
            conversation_job.record(story, card)
        with screen.step("The nightly sweep"):
            _sweep(screen, tenant, alice)
        with screen.step("Verify the audit chain"):
            records = verify(tenant.client("carol", "auditor"), show=lambda _: None)
            screen.line(f"   {records} records, each linked to the one before: unbroken")
        summary = _summary(alice, records)
    expect(host.exit_code == 0, f"a clean stop of the host, but it ended with {host.exit_code}")
    _show_summary(screen, summary)


def _ingest(screen: Screen, tenant: Tenant, alice: ApiClient) -> None:
    rows = read_statement(SAMPLES / STATEMENTS[0]).rows
    with screen.step(f"Ingest samples/{STATEMENTS[0]}: {len(rows)} transactions"):
        _send_and_wait(screen, tenant, alice, rows, name="statement")
    decided = {one["facts"]["transaction_id"]: one for one in transactions(alice, "Categorized", "NeedsReview")}
    expect(set(decided) == {row.transaction_id for row in rows}, "a decision for each transaction of the statement")
    _show(screen, sorted(decided.values(), key=lambda one: (one["facts"]["booked_on"], one["facts"]["transaction_id"])))
    for one in decided.values():
        told = one["reason_codes"] and one["policy_version"] and one["run_id"]
        expect(bool(told), f"a reason, a policy version and a run for {one['facts']['transaction_id']}")
    for id_, code in {**MUST_WAIT, **dict.fromkeys(REVIEWS, "")}.items():
        one = decided[id_]
        expect(one["review_state"] == "NeedsReview", f"{id_} waiting for a person")
        expect(not code or code in one["reason_codes"], f"reason code {code} for {id_}")
    waiting = [one for one in decided.values() if one["review_state"] == "NeedsReview"]
    expect(len(waiting) < len(rows) / 2, "more than half of the statement decided alone")
    _show_waiting(screen, waiting)


def _send_and_wait(screen: Screen, tenant: Tenant, alice: ApiClient, rows: list[StatementRow], *, name: str) -> None:
    totals = send(alice, rows, name=name, sent=lambda _: None)
    expect(totals["accepted"] == len(rows), f"{len(rows)} accepted, but {totals}")
    with screen.progress("decided", len(rows)) as show:
        wait_decided(tenant, alice, len(rows), show=show)


def _review(screen: Screen, tenant: Tenant, alice: ApiClient, bob: ApiClient) -> None:
    """Another person than the one who sent the statement."""
    for id_, (category, _) in REVIEWS.items():
        seen = transaction(bob, id_)
        body = {
            "action": "reclassify",
            "category": category,
            "decision_version": seen["decision_version"],
            "note": "known from the receipt",
        }
        bob.post(f"/api/v1/transactions/{segment(id_)}/review", body, key=f"review:{id_}")
        now = transaction(bob, id_)
        expect(now["review_state"] == "Reviewed" and now["category"] == category, f"{id_} reviewed as {category}")
        expect("bob" in now["reviewed_by"], f"bob on record as the reviewer of {id_}")
        screen.line(f"   {id_} {seen['facts']['descriptor']}: bob says {category}")
    # the event of a review teaches memory and counts the review, in one commit
    what = "merchant memory to learn from both reviews"
    wait_until(
        lambda: True if counted(alice, "Reviewed") == len(REVIEWS) else None,
        seconds=WAIT_SECONDS,
        deadline=tenant.deadline,
        what=what,
    )


def _ingest_next(screen: Screen, tenant: Tenant, alice: ApiClient) -> None:
    rows = read_statement(SAMPLES / STATEMENTS[1]).rows
    _send_and_wait(screen, tenant, alice, rows, name="statement-next")
    found = [transaction(alice, row.transaction_id) for row in rows]
    _show(screen, found)
    decided = {one["facts"]["transaction_id"]: one for one in found}
    for category, next_id in REVIEWS.values():
        one = decided[next_id]
        by_memory = one["review_state"] == "Categorized" and one["decided_by"] == "merchant_memory"
        expect(by_memory and one["category"] == category, f"{next_id} decided by memory as {category}")
        screen.line(f"   {next_id} {one['facts']['descriptor']}: decided alone by merchant memory", style="green")


def _sweep(screen: Screen, tenant: Tenant, alice: ApiClient) -> None:
    """Fired as the timer would; the findings are there when its run is Completed."""
    alice.call("POST", "/admin/functions/start_nightly_sweep", {})

    def swept() -> dict[str, Any] | None:
        tenant.host.check_alive()
        runs = alice.get("/api/v1/runs", limit=20)["items"]
        return next((one for one in runs if one["command_type"] == "SweepTenant" and one["completed_at"]), None)

    run_ = wait_until(swept, seconds=WAIT_SECONDS, deadline=tenant.deadline, what="the sweep to end")
    expect(run_["status"] == "Completed", f"a completed sweep, but it is {run_['status']}")
    findings = list(alice.pages("/api/v1/findings"))
    screen.table(
        ("finding", "subject", "severity", "what"),
        [(one["kind"], one["subject"], one["severity"], one["summary"]) for one in findings],
    )
    subjects = {(one["kind"], one["subject"]) for one in findings}
    for kind, subject in FOUND.items():
        expect((kind, subject) in subjects, f"the sweep to find {kind} {subject}")
    expect(not {kind for kind, _ in subjects} & {"audit_break", "stuck_run"}, "no broken record and no stuck run")


def _show(screen: Screen, found: Iterable[Transaction]) -> None:
    rows = []
    for one in found:
        facts, alone = one["facts"], one["review_state"] == "Categorized"
        suggested = f"{one['suggested_category']} ?" if one["suggested_category"] else "-"
        rows.append(
            (
                facts["transaction_id"],
                facts["descriptor"],
                amount(facts),
                one["category"] if alone else suggested,
                f"{one['confidence_bp'] / 100:.0f} %" if one["confidence_bp"] else "-",
                one["review_state"],
                one["reason_codes"][0],
            )
        )
    columns = ("transaction", "descriptor", "amount", "category", "confidence", "decision", "reason code")
    screen.table(columns, rows, numbers=("amount", "confidence"))


def _show_waiting(screen: Screen, waiting: list[Transaction]) -> None:
    codes = Counter(one["reason_codes"][0] for one in waiting)
    screen.line(f"   {len(waiting)} wait for a person:", style="yellow")
    for code, number in codes.most_common():
        ids = [one["facts"]["transaction_id"] for one in waiting if one["reason_codes"][0] == code]
        screen.line(f"     {number:3}  {code}: {', '.join(sorted(ids)[:8])}{' ...' if number > 8 else ''}")


def amount(facts: dict[str, Any]) -> str:
    """ "-12.50 EUR", from minor units."""
    digits = EXPONENTS.get(facts["currency"], 2)
    whole = f"{abs(facts['amount_minor']):0{digits + 1}d}"
    text = f"{int(whole[: len(whole) - digits]):,}" + (f".{whole[-digits:]}" if digits else "")
    return f"{'-' if facts['amount_minor'] < 0 else ''}{text} {facts['currency']}"


def _summary(alice: ApiClient, records: int) -> list[tuple[str, str]]:
    states = Counter(one["review_state"] for one in alice.pages("/api/v1/transactions"))
    total = sum(states.values())
    sent = sum(len(read_statement(SAMPLES / name).rows) for name in STATEMENTS)
    expect(total == sent, f"{sent} transactions in the end, but there are {total}")
    expect(not states["Unclassified"], "nothing left undecided")
    return [
        ("transactions", str(total)),
        ("decided alone", f"{states['Categorized']} ({100 * states['Categorized'] / total:.0f} %)"),
        ("reviewed by a person", str(states["Reviewed"])),
        ("waiting for a person", str(states["NeedsReview"])),
        ("audit records", str(records)),
    ]


def _show_summary(screen: Screen, summary: list[tuple[str, str]]) -> None:
    screen.line("")
    screen.line("Summary", style="bold")
    screen.table(("what", "count"), summary, numbers=("count",))
    timings = [(title, f"{seconds:.1f}") for title, seconds in screen.timings]
    timings.append(("in all", f"{sum(seconds for _, seconds in screen.timings):.1f}"))
    screen.table(("step", "seconds"), timings, numbers=("seconds",))
    screen.line(f"Everything that was expected has happened ({time.strftime('%H:%M:%S')}).", style="bold green")
