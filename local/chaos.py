"""`python -m local chaos`: kill -9 at random moments, restart, and check that nothing was lost or done twice.

Two kinds of rounds take turns. Statements: one kill while uploads are worked. Transfers: wishes on their way from
message to bank, a kill at each step of the way, and a bank in a process of its own whose books say what happened.

A kill counts only when something was half done at it, and a round when one of its kills does. Everything random comes
from the seed; what the machine does in between does not, so that a seed leads near a failure, not always to it: the
folder of a failed round is kept.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local import chaos_plan, chaos_round, chaos_transfers, chaos_wishes
from local.chaos_host import end_all
from local.chaos_report import Report, show, tell
from local.job import JobFailedError

ATTEMPTS = 6
"""How often a round that does not count is tried again, with another moment."""
AT_ONCE = 3
KILLS = 7
"""One aimed at each gap between two steps."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when every round counted and nothing was wrong."""
    options = _options(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-", dir=options.folder))
    print(f"seed {seed}, {options.rounds} rounds, in {folder}", flush=True)
    begun = time.monotonic()
    reports = _all_rounds(seed, options, folder)
    good = [one for one in reports if one.counted and not one.wrong]
    show(reports, time.monotonic() - begun)
    if len(good) == options.rounds:
        shutil.rmtree(folder)
        return 0
    print(f"{options.rounds - len(good)} rounds failed: seed {seed}, files kept in {folder}")
    return 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local chaos", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=20, help="rounds that count (default: %(default)s)")
    add("--statements", dest="only", action="store_const", const="statements", help="no rounds of transfers")
    add("--transfers", dest="only", action="store_const", const="transfers", help="no rounds of statements")
    add("--rows", type=int, default=2000, help="of the statements of a round (default: %(default)s)")
    add("--kills", type=int, default=KILLS, help="in a round of transfers (default: %(default)s)")
    add("--hurried", action="store_true", help="shorten the host's waits for what a killed invocation has left")
    add("--seed", type=int, help="of an earlier run (default: a new one)")
    add("--at-once", type=int, default=AT_ONCE, help="rounds side by side (default: %(default)s)")
    add("--folder", type=Path, default=None, help="where to work (default: the system's temporary folder)")
    return parser.parse_args(arguments)


def _all_rounds(seed: int, options: argparse.Namespace, folder: Path) -> list[Report]:
    """Side by side: most of a round is waiting. Ctrl-C and SIGTERM end it, and the hosts with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pool = ThreadPoolExecutor(options.at_once)
    try:
        played = list(pool.map(lambda number: _round(seed, number, options, folder), range(options.rounds)))
    except KeyboardInterrupt:
        end_all()
        print(f"stopped; files kept in {folder}", flush=True)
        os._exit(130)  # the rounds' threads would wait for hosts that are gone
    pool.shutdown()
    return [one for one in played if one is not None]


def _round(seed: int, number: int, options: argparse.Namespace, folder: Path) -> Report | None:
    """The first attempt that counts or goes wrong; None when the harness itself could not go on."""
    report: Report | None = None
    for attempt in range(ATTEMPTS):
        try:
            report = _attempt(seed, number, attempt, options, folder)
        except (JobFailedError, OSError) as failed:
            print(f"round {number}: {failed}", flush=True)
            return None
        if not report.wrong:
            shutil.rmtree(folder / report.name)
        if report.counted or report.wrong:
            tell(number, report)
            return report
    print(f"round {number}: no kill hit the middle of the work in {ATTEMPTS} attempts", flush=True)
    return report


def _attempt(seed: int, number: int, attempt: int, options: argparse.Namespace, folder: Path) -> Report:
    """Statements and transfers take turns, unless only one of them is asked for; and so do the shapes of each."""
    is_transfers, place = (options.only == "transfers", number) if options.only else (number % 2 == 1, number // 2)
    if is_transfers:
        plan = chaos_wishes.plan_of(seed, place, attempt, options.kills)
        return chaos_transfers.play(plan, _made(folder / plan.name), hurried=options.hurried)
    uploads = chaos_plan.plan_of(seed, place, attempt, options.rows)
    return chaos_round.play(uploads, _made(folder / uploads.name), hurried=options.hurried)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
