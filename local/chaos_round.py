"""One round of chaos: upload, kill -9, look at what is left, restart, wait until all is done, check everything."""

from __future__ import annotations

import http.client
import sqlite3
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from local.chaos_checks import wrong_in_files, wrong_over_http
from local.chaos_files import (
    LOST,
    left_to_do,
    published,
    published_so_far,
    reading,
    record_events,
    redelivered,
    standing,
    tally,
)
from local.chaos_host import Client, Victim, call
from local.chaos_plan import Plan

POLL_SECONDS = 0.002
REACH_SECONDS = 60.0
"""Until the host has made as many decisions as the plan wants before the kill."""
DONE_SECONDS = 120.0
"""Until everything is done after the last restart; what lies in the outbox waits for its 20 seconds of grace."""


@dataclass(slots=True)
class Report:
    """What a round has shown. `counted` is False when the kill came too early or too late to prove anything."""

    plan: Plan
    counted: bool = False
    wrong: list[str] = field(default_factory=list)
    kills: list[Counter[str]] = field(default_factory=list)
    duplicates: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def play(plan: Plan, folder: Path) -> Report:
    """The whole round. What goes wrong is in the report; only a broken harness raises."""
    begun = time.monotonic()
    report = Report(plan)
    victim = Victim(folder)
    clients = [Client(upload, lambda: victim.url, begun + REACH_SECONDS + DONE_SECONDS / 2) for upload in plan.uploads]
    with ExitStack() as ends:
        ends.callback(victim.kill)
        victim.start()
        record_events(folder / "data")
        for client in clients:
            client.start()
        _reach(plan, folder / "data")
        _kill(victim, report)
        steps = report.kills[0]
        committed = steps.total() - sum(steps[step] for step in _UNDECIDED)
        accepted = steps.total() - steps["upload under way"]
        report.counted = 0 < committed < accepted
        if report.counted or report.wrong:
            _recover(victim, clients, report)
    report.seconds = time.monotonic() - begun
    return report


_UNDECIDED = ("upload under way", "in the outbox", "command sent, not marked", "on the lane")


def _reach(plan: Plan, data: Path) -> None:
    """Return at the moment to kill: after so many decisions, and a little later."""
    end = time.monotonic() + REACH_SECONDS
    with reading(data / "lanes.db") as lanes:
        while published_so_far(lanes) < plan.kill_at and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
    time.sleep(plan.pause_seconds)


def _kill(victim: Victim, report: Report) -> None:
    victim.kill()
    data = victim.folder / "data"
    steps = standing(data, report.plan.ids)
    report.kills.append(tally(steps))
    report.wrong += [f"after the kill {where} was nowhere" for where, step in steps.items() if step == LOST][:5]
    report.duplicates["commands redelivered"] += redelivered(data)


def _recover(victim: Victim, clients: list[Client], report: Report) -> None:
    data = victim.folder / "data"
    victim.start()
    if report.plan.second_kill_seconds:
        time.sleep(report.plan.second_kill_seconds)
        _kill(victim, report)
        victim.start()
    _finish(victim, clients)
    for client in clients:
        if not client.answer:
            report.wrong.append(f"{client.upload.tenant}: {client.upload.key} was never accepted: {client.answers}")
    try:
        report.wrong += wrong_over_http(victim.url, data, set(report.plan.ids))
    except (OSError, http.client.HTTPException) as failed:
        report.wrong.append(f"the host does not answer: {failed!r}")
    if (code := victim.stop()) != 0:
        report.wrong.append(f"the host ended with exit code {code}")
    report.wrong += wrong_in_files(data, report.plan.ids)
    _count_duplicates(clients, data, report)


def _finish(victim: Victim, clients: list[Client]) -> None:
    """Until every upload is accepted and nothing is left to do. The relay's timer is fired sooner than it would be."""
    end = time.monotonic() + DONE_SECONDS
    while time.monotonic() < end:
        try:
            if all(client.answer for client in clients) and not left_to_do(victim.folder / "data"):
                return
            call(victim.url, "POST", "/admin/functions/relay_outbox", {}, tenant="system")
        except (OSError, http.client.HTTPException, sqlite3.OperationalError):
            time.sleep(0.1)  # busy: what is really wrong shows in the checks
        time.sleep(0.4)


def _count_duplicates(clients: list[Client], data: Path, report: Report) -> None:
    told = [event["id"] for event in published(data)]
    report.duplicates["events published again"] = len(told) - len(set(told))
    report.duplicates["uploads repeated"] = sum(client.repeats > 0 for client in clients)
    report.duplicates["rows known already"] = sum(client.answer.get("duplicate", 0) for client in clients)
