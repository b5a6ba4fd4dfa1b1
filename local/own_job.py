"""The main job on somebody's own file: the older part is imported as reviewed history, the rest arrives as new.

Then a table by month says how much was decided alone, how often the file's own category agreed with that, and why the
rest waits for a person.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import NamedTuple

from local.api_client import ApiClient
from local.child_host import ChildHost
from local.job import Deadline, JobFailedError, expect
from local.screen import Screen
from local.statement import Statement, categories_of
from local.statement_rows import StatementRow
from local.tenant_job import Tenant, send, transactions, verify, wait_decided
from shared.contracts.currencies import EXPONENTS
from shared.contracts.history import MAX_HISTORY_ROWS
from shared.contracts.requests import MAX_CHART
from shared.guard.reasons import REASONS

MONTHS_AS_NEW = 3
LAST_MONTHS_NEW = "all but the last three months"
"""In place of a day."""
MAX_SHOWN = 20
ENOUGH_TO_TELL = 1000
TENANT = "own-file"


class Split(NamedTuple):
    """The rows by what happens to them. until: the last day of history, "" without any."""

    history: list[StatementRow]
    new: list[StatementRow]
    until: str


class Judged(NamedTuple):
    """One decision as it counts in the tables: code is the first reason code."""

    month: str
    alone: bool
    agrees: bool
    code: str


def run(screen: Screen, statement: Statement, folder: Path, deadline: Deadline, *, history_until: str) -> None:
    """`JobFailedError` when something expected did not happen."""
    _show_file(screen, statement)
    chart = categories_of(statement.rows)
    if len(chart) > MAX_CHART:
        raise JobFailedError(f"the file has {len(chart)} categories; a chart holds {MAX_CHART}: choose another column")
    split = split_rows(statement.rows, history_until if chart else "")
    with ChildHost(folder, deadline) as host:
        tenant = Tenant(host, TENANT, deadline)
        with screen.step("Start the local host"):
            tenant.start()
        if split.history:
            _import_history(screen, tenant, split, chart)
        elif chart:
            _use_chart(tenant.client("olga", "operator"), chart, split.new[0].currency)
        member = tenant.client("alice", "member")
        with screen.step(f"{len(split.new):,} transactions arrive as new, in date order"):
            totals = _arrive(screen, tenant, member, split.new)
        judged = read_out(tenant, split.new)
        expect(len(judged) == totals["accepted"], f"{totals['accepted']} decisions, but there are {len(judged)}")
        show_months(screen, judged, labelled=bool(chart))
        _show_reasons(screen, judged)
        with screen.step("Verify the audit chain"):
            records = verify(tenant.client("carol", "auditor"), show=lambda _: None)
            screen.line(f"   {records:,} records, each linked to the one before: unbroken")
    expect(host.exit_code == 0, f"a clean stop of the host, but it ended with {host.exit_code}")
    _show_times(screen, split)


def split_rows(rows: Sequence[StatementRow], history_until: str) -> Split:
    """Rows with a category up to that day are history; the default leaves the file's last three months as new.

    history_until: `YYYY-MM-DD`, `LAST_MONTHS_NEW`, or "" for none. An old row without a category is new:
    it can teach nothing.
    """
    until = _three_months_before(rows[-1].booked_on) if history_until == LAST_MONTHS_NEW else history_until
    history = [row for row in rows if row.category and row.booked_on <= until]
    new = [row for row in rows if not row.category or row.booked_on > until]
    if not new:
        raise JobFailedError(f"no row of the file is later than {until}: choose an earlier --history-until")
    return Split(history, new, until)


def _three_months_before(last_day: str) -> str:
    """The last day before the three calendar months that end with the one of `last_day`."""
    last = date.fromisoformat(last_day)
    months = last.year * 12 + last.month - MONTHS_AS_NEW  # the month before them, counted from 1
    first = date(months // 12, months % 12 + 1, 1)
    return date.fromordinal(first.toordinal() - 1).isoformat()


def _show_file(screen: Screen, statement: Statement) -> None:
    rows = statement.rows
    screen.line(f"{len(rows):,} transactions from {rows[0].booked_on} to {rows[-1].booked_on}")
    for note in statement.notes:
        screen.line(f"   {note}")
    if statement.bad:
        screen.line(f"   {len(statement.bad):,} lines are no transactions and were left out:", style="yellow")
        for bad in statement.bad[:MAX_SHOWN]:
            screen.line(f"     line {bad.line}: {bad.why}", style="yellow")
        if len(statement.bad) > MAX_SHOWN:
            screen.line(f"     ... and {len(statement.bad) - MAX_SHOWN:,} more", style="yellow")


def _use_chart(operator: ApiClient, chart: Sequence[str], currency: str, limit_minor: int = 0) -> None:
    """The profile of a tenant that nothing is known of yet; uploads add its accounts. limit_minor 0: the policy's."""
    limits = {currency: limit_minor} if limit_minor else {}
    profile = {"chart": list(chart), "base_currency": currency, "time_zone": "UTC", "accounts": []}
    operator.call("PUT", "/api/v1/profile", profile | {"review_limit_minor": limits})


def usual_limit(rows: Sequence[StatementRow]) -> int:
    """The amount, in minor units, that 995 of 1,000 reviewed rows do not exceed; 0 when there are too few to tell.

    People have looked at these amounts as a matter of course; what is larger still waits for one of them.
    """
    if len(rows) < ENOUGH_TO_TELL:
        return 0
    return sorted(abs(row.amount_minor) for row in rows)[len(rows) * 995 // 1000]


def _import_history(screen: Screen, tenant: Tenant, split: Split, chart: Sequence[str]) -> None:
    """Over one connection: history teaches in the order in which it happened."""
    operator = tenant.client("olga", "operator")
    rows = split.history
    with screen.step(f"Import {len(rows):,} rows up to {split.until} as reviewed history"):
        limit = usual_limit(rows)
        _use_chart(operator, chart, rows[0].currency, limit)
        screen.line(f"   the file's {len(chart)} categories are the tenant's own chart")
        if limit:
            shown = limit / 10 ** EXPONENTS[rows[0].currency]
            screen.line(f"   amounts above {shown:,.2f} wait for a person: 995 of 1,000 reviewed rows are below that")
        imported = other = 0
        with screen.progress("imported", len(rows)) as show:
            for start in range(0, len(rows), MAX_HISTORY_ROWS):
                batch = [
                    {"transaction": row.facts(), "category": row.category}
                    for row in rows[start : start + MAX_HISTORY_ROWS]
                ]
                told = operator.post("/api/v1/history", {"rows": batch}, key=f"history:{start}")
                imported += told["accepted"]
                other += told["duplicate"] + told["refused"]
                show(start + len(batch))
        _show_refused(screen, other)
        expect(imported + other == len(rows), f"{len(rows)} rows imported, but they are {imported}")


def _arrive(screen: Screen, tenant: Tenant, member: ApiClient, rows: Sequence[StatementRow]) -> dict[str, int]:
    """One connection sends while another watches the decisions, so that the bar shows what is decided."""
    with screen.progress("decided", len(rows)) as show, ThreadPoolExecutor(1) as sender:
        sending = sender.submit(send, tenant.client("alice", "member"), rows, name="own", sent=lambda _: None)
        try:
            wait_decided(tenant, member, len(rows), show=show, sending=sending)
        except BaseException:
            tenant.deadline.end_now()  # else Ctrl-C would wait for the sender
            raise
        totals = sending.result()
    _show_refused(screen, totals["duplicate"] + totals["refused"])
    return totals


def _show_refused(screen: Screen, number: int) -> None:
    if number:
        screen.line(f"   {number:,} rows have the id of another row and were not taken again", style="yellow")


def read_out(tenant: Tenant, rows: Iterable[StatementRow]) -> list[Judged]:
    """Every decision beside the file's own category, by paging; one connection for each review state."""
    labels = {row.transaction_id: row.category for row in rows}

    def read(state: str) -> list[Judged]:
        judged = []
        for one in transactions(tenant.client(f"reader-{state.lower()}", "member"), state):
            label = labels[one["facts"]["transaction_id"]]
            alone = state == "Categorized"
            said = one["category"] if alone else one["suggested_category"]
            judged.append(Judged(one["facts"]["booked_on"][:7], alone, said == label, one["reason_codes"][0]))
        return judged

    with ThreadPoolExecutor(2) as readers:
        return [one for found in readers.map(read, ("Categorized", "NeedsReview")) for one in found]


def show_months(screen: Screen, judged: Sequence[Judged], *, labelled: bool) -> None:
    """Rows, decided alone, agreement of what was decided alone with the file's category: by month and in all."""
    months = sorted({one.month for one in judged})
    lines = []
    for name in [*months, "in all"]:
        of = [one for one in judged if name in (one.month, "in all")]
        alone = [one for one in of if one.alone]
        line = [name, f"{len(of):,}", f"{len(alone):,}", _share(len(alone), len(of))]
        if labelled:
            line.append(_share(sum(one.agrees for one in alone), len(alone)))
        lines.append(line)
    screen.line("")
    columns = ["month", "rows", "decided alone", "share", *(["agreement"] if labelled else [])]
    screen.table(columns, lines, numbers=columns[1:])


def _show_reasons(screen: Screen, judged: Sequence[Judged]) -> None:
    waiting = Counter(one.code for one in judged if not one.alone)
    total = len(judged)
    lines = [
        (code, f"{number:,}", _share(number, total), REASONS[code].explanation if code in REASONS else "")
        for code, number in waiting.most_common()
    ]
    screen.line("")
    screen.line("Why the rest waits for a person:")
    screen.table(("reason code", "rows", "share", "meaning"), lines, numbers=("rows", "share"))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _show_times(screen: Screen, split: Split) -> None:
    sizes = {"Import": len(split.history), str(len(split.new)): len(split.new)}
    lines = []
    for title, seconds in screen.timings:
        rows = next((size for word, size in sizes.items() if title.replace(",", "").startswith(word)), 0)
        lines.append((title, f"{seconds:.1f}", f"{rows / seconds:,.0f}" if rows and seconds else ""))
    lines.append(("in all", f"{sum(seconds for _, seconds in screen.timings):.1f}", ""))
    screen.line("")
    screen.table(("step", "seconds", "rows/s"), lines, numbers=("seconds", "rows/s"))
    screen.line(f"Everything that was expected has happened ({time.strftime('%H:%M:%S')}).", style="bold green")
