"""One round of statements: upload, kill -9, look at what is left, restart, wait until all is done, check everything."""

from __future__ import annotations

import http.client
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

from local.chaos_checks import wrong_at_stop, wrong_in_files
from local.chaos_files import (
    LOST,
    STEPS,
    left_to_do,
    published,
    published_so_far,
    reading,
    record_events,
    redelivered,
    standing,
    tally,
    unsent,
)
from local.chaos_host import Client, Victim, call
from local.chaos_plan import Plan
from local.chaos_report import Kind, Report

KIND = Kind("statements", STEPS, "transactions")
POLL_SECONDS = 0.002
REACH_SECONDS = 60.0
"""Until the host has made as many decisions as the plan wants before the kill."""
DONE_SECONDS = 120.0
"""Until everything is done after the last restart; what lies in the outbox waits for its 20 seconds of grace."""


def play(plan: Plan, folder: Path, *, hurried: bool) -> Report:
    """The whole round. What goes wrong is in the report; only a broken harness raises."""
    begun = time.monotonic()
    report = Report(KIND, plan.name, plan.shape)
    victim = Victim(folder, hurried=hurried)
    clients = [Client(upload, lambda: victim.url, begun + REACH_SECONDS + DONE_SECONDS / 2) for upload in plan.uploads]
    with ExitStack() as ends:
        ends.callback(victim.kill)
        victim.start()
        record_events(folder / "data")
        for client in clients:
            client.start()
        _reach(plan, folder / "data")
        _kill(victim, plan, report)
        steps = report.kills[0]
        committed = steps.total() - sum(steps[step] for step in _UNDECIDED)
        accepted = steps.total() - steps["upload under way"]
        report.counted = 0 < committed < accepted
        if report.counted or report.wrong:
            _recover(victim, clients, plan, report)
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


def _kill(victim: Victim, plan: Plan, report: Report) -> None:
    victim.kill()
    data = victim.folder / "data"
    steps = standing(data, plan.ids)
    report.kills.append(tally(steps))
    report.wrong += [f"after the kill {where} was nowhere" for where, step in steps.items() if step == LOST][:5]
    report.absorbed["commands redelivered"] += redelivered(data)
    report.absorbed["outboxes found unsent at a kill"] += unsent(data)


def _recover(victim: Victim, clients: list[Client], plan: Plan, report: Report) -> None:
    data = victim.folder / "data"
    victim.start()
    if plan.second_kill_seconds:
        time.sleep(plan.second_kill_seconds)
        _kill(victim, plan, report)
        victim.start()
    _finish(victim, clients)
    for client in clients:
        if not client.answer:
            report.wrong.append(f"{client.upload.tenant}: {client.upload.key} was never accepted: {client.answers}")
    report.wrong += wrong_at_stop(victim, data, set(plan.ids))
    report.wrong += wrong_in_files(data, plan.ids)
    _count_absorbed(clients, data, report)


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


def _count_absorbed(clients: list[Client], data: Path, report: Report) -> None:
    told = [event["id"] for event in published(data)]
    report.absorbed["events published again"] = len(told) - len(set(told))
    report.absorbed["uploads repeated"] = sum(client.repeats > 0 for client in clients)
    report.absorbed["rows known already"] = sum(client.answer.get("duplicate", 0) for client in clients)
