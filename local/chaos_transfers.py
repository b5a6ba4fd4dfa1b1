"""One round of transfers: wishes come, the host is killed in the middle of them, again and again, and in the end the
bank's books say what really happened."""

from __future__ import annotations

import http.client
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import yaml

from local.chaos_bank import BankProcess
from local.chaos_checks import wrong_at_stop
from local.chaos_files import left_to_do, redelivered, unsent
from local.chaos_host import ROOT, Victim, call
from local.chaos_money import BRIEFLY, Seen, broken_promises, look, step_of, wrong_at_end, wrong_now
from local.chaos_people import People
from local.chaos_report import Kind, Report
from local.chaos_wishes import ACCOUNTS, FROZEN_AT_TIMES, PAYER, SETTLED, STEPS, TENANT, TIMEOUT_MS, Plan, Wave, Wish
from local.sandbox_trouble import Trouble

KIND = Kind("transfers", STEPS, "wishes")
POLL_SECONDS = 0.0005
REACH_SECONDS = 10.0
"""Until a wish stands where the kill is aimed at. Then it comes anyway."""
LAST_ORDERS_SECONDS = 0.05
LATE_SECONDS = 0.5
TROUBLE_SECONDS = 1.0
DONE_SECONDS = 180.0
"""Until everything is done after the last restart: a bank in trouble is asked again after 2 s, 4 s, 8 s and so on."""
BREAKER = {"failures": 5, "window_seconds": 60, "open_seconds": 1, "probe_seconds": 3}
"""As it ships, with shorter pauses: a round need not wait for minutes."""


class _Round(NamedTuple):
    plan: Plan
    victim: Victim
    bank: BankProcess
    people: list[People]
    report: Report
    until: float

    @property
    def data(self) -> Path:
        return self.victim.folder / "data"


def play(plan: Plan, folder: Path, *, hurried: bool) -> Report:
    """The whole round. What goes wrong is in the report; only a broken harness raises."""
    begun = time.monotonic()
    report = Report(KIND, plan.name, plan.shape)
    with ExitStack() as ends:
        bank = ends.enter_context(BankProcess(folder / "bank", ACCOUNTS))
        settings = bank.environment(f"{TENANT}={PAYER}") | {"COUNTERSIGN_ACTION_POLICY": str(impatient_policy(folder))}
        victim = Victim(folder, hurried=hurried, settings=settings)
        ends.callback(victim.kill)
        until = begun + (REACH_SECONDS + 5) * len(plan.waves) + DONE_SECONDS / 2
        playing = _Round(plan, victim, bank, [], report, until)
        victim.start()
        for wave in plan.waves:
            _one_wave(playing, wave)
        report.counted = bool(report.kills)
        for trouble in plan.aftermath:
            bank.meets(trouble)
            time.sleep(TROUBLE_SECONDS)
        bank.meets(Trouble())
        _finish(playing)
    report.seconds = time.monotonic() - begun
    return report


def impatient_policy(folder: Path) -> Path:
    """The policy that ships, with less patience for the bank, and each amount counting for itself, so that a plan knows
    who has to sign: a file in `folder`."""
    shipped = yaml.load((ROOT / "policies" / "actions.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    shipped["breaker"] = BREAKER
    transfers = shipped["actions"]["transfer_funds"]
    transfers |= {"timeout_ms": TIMEOUT_MS, "cumulative_hours": 0}
    path = folder / "actions.yaml"
    path.write_text(json.dumps(shipped), encoding="utf-8")
    return path


def _one_wave(playing: _Round, wave: Wave) -> None:
    victim, bank = playing.victim, playing.bank
    bank.meets(wave.trouble)
    bank.freeze(FROZEN_AT_TIMES, "active")
    for wish in wave.wishes:
        people = People(wish, lambda: victim.url, playing.until)
        playing.people.append(people)
        people.start()
    _reach(playing, wave)
    if wave.freezes:
        bank.freeze(FROZEN_AT_TIMES)
    time.sleep(wave.pause_seconds)
    if wave.bank != "lives":
        bank.count()
        bank.kill()
    victim.kill(outlived=wave.is_outlived)
    _note_the_kill(playing, wave)
    if wave.bank == "dies":
        bank.start()
    victim.start(stillborn_seconds=wave.stillborn_seconds)
    if wave.bank == "dies and comes back late":
        time.sleep(LATE_SECONDS)
        bank.start()
    bank.meets(wave.trouble)
    if playing.plan.aftermath:
        time.sleep(TROUBLE_SECONDS / 4)  # what was left half done meets the wave's trouble


def _reach(playing: _Round, wave: Wave) -> None:
    """Return when one of the wave's wishes stands where the kill is aimed at, or all have been there unseen."""
    end, before = time.monotonic() + REACH_SECONDS, STEPS[: STEPS.index(wave.aim)]
    while time.monotonic() < end:
        steps = _steps(wave.wishes, look(playing.data, playing.bank, BRIEFLY))
        if wave.aim in steps or not (steps.total() < len(wave.wishes) or any(step in steps for step in before)):
            return
        time.sleep(POLL_SECONDS)


def _steps(wishes: Sequence[Wish], seen: Seen) -> Counter[str]:
    return Counter(step_of(wish, seen) for wish in wishes if wish.begun)


def _note_the_kill(playing: _Round, wave: Wave) -> None:
    """Where everybody stands; and what is wrong already, once the bank has done what it was asked for before."""
    report, wishes = playing.report, playing.plan.wishes
    kill = _steps(wishes, look(playing.data, playing.bank, BRIEFLY))
    report.kills += [kill] if report.in_flight(kill) else []  # one that hit nothing proves nothing
    time.sleep(wave.trouble.latency_ms / 1000 + LAST_ORDERS_SECONDS)
    seen = look(playing.data, playing.bank)
    place = f"after the kill at {wave.aim!r}"
    report.wrong += [f"{place}: {one}" for one in [*wrong_now(seen), *broken_promises(wishes, seen)]]
    report.absorbed["commands redelivered"] += redelivered(playing.data)
    report.absorbed["outboxes found unsent at a kill"] += unsent(playing.data)


def _finish(playing: _Round) -> None:
    report, bank = playing.report, playing.bank
    _wait(playing)
    report.wrong += wrong_at_stop(playing.victim, playing.data, {TENANT})
    bank.count()
    report.wrong += wrong_at_end(playing.data, playing.plan.wishes, bank)
    report.absorbed["orders sent to the bank again"] = max(0, bank.orders - len(bank.booked()))
    report.absorbed["signatures given again"] = sum(
        len(answers) - 1 for wish in playing.plan.wishes for answers in wish.answers.values() if answers
    )


def _wait(playing: _Round) -> None:
    """Until everybody has their answer and nothing is left to do. The timers are fired sooner than they would be."""
    end = time.monotonic() + DONE_SECONDS
    while time.monotonic() < end:
        try:
            steps = _steps(playing.plan.wishes, look(playing.data, playing.bank, BRIEFLY))
            busy = any(one.is_alive() for one in playing.people)
            if not busy and steps.total() == steps[SETTLED] and not left_to_do(playing.data):
                return
            for timer in ("relay_outbox", "probe_breakers"):
                call(playing.victim.url, "POST", f"/admin/functions/{timer}", {}, tenant="system")
        except (OSError, http.client.HTTPException, sqlite3.OperationalError):
            time.sleep(0.1)  # busy: what is really wrong shows in the checks
        time.sleep(0.4)
