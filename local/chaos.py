"""`python -m local chaos`: kill -9 at random moments, restart, and check that nothing was lost or done twice.

A round counts only when at the kill at least one command was committed and at least one accepted one was not.
Everything random comes from the seed; what the machine does in between does not, so that a seed leads near a
failure, not always to it: the folder of a failed round is kept.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.chaos_files import STEPS
from local.chaos_host import end_all
from local.chaos_plan import plan_of
from local.chaos_round import Report, play
from local.job import JobFailedError

ATTEMPTS = 6
"""How often a round that does not count is tried again, with another moment."""
AT_ONCE = 3


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when every round counted and nothing was wrong."""
    options = _options(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-", dir=options.folder))
    print(f"seed {seed}, {options.rounds} rounds of {options.rows} rows, in {folder}", flush=True)
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
    add("--rows", type=int, default=2000, help="rows of each round (default: %(default)s)")
    add("--seed", type=int, help="of an earlier run (default: a new one)")
    add("--at-once", type=int, default=AT_ONCE, help="rounds side by side (default: %(default)s)")
    add("--folder", type=Path, default=None, help="where to work (default: the system's temporary folder)")
    return parser.parse_args(arguments)


def _all_rounds(seed: int, options: argparse.Namespace, folder: Path) -> list[Report]:
    """Side by side: most of a round is waiting. Ctrl-C and SIGTERM end it, and the hosts with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pool = ThreadPoolExecutor(options.at_once)
    try:
        played = list(pool.map(lambda number: _round(seed, number, options.rows, folder), range(options.rounds)))
    except KeyboardInterrupt:
        end_all()
        print(f"stopped; files kept in {folder}", flush=True)
        os._exit(130)  # the rounds' threads would wait for hosts that are gone
    pool.shutdown()
    return [one for one in played if one is not None]


def _round(seed: int, number: int, rows: int, folder: Path) -> Report | None:
    """The first attempt that counts or goes wrong; None when the harness itself could not go on."""
    report: Report | None = None
    for attempt in range(ATTEMPTS):
        plan = plan_of(seed, number, attempt, rows)
        where = folder / plan.name
        where.mkdir()
        try:
            report = play(plan, where)
        except (JobFailedError, OSError) as failed:
            print(f"round {number}: {failed}", flush=True)
            return None
        if not report.wrong:
            shutil.rmtree(where)
        if report.counted or report.wrong:
            _tell(number, report)
            return report
    print(f"round {number}: no kill hit the middle of the work in {ATTEMPTS} attempts", flush=True)
    return report


def _tell(number: int, report: Report) -> None:
    steps = "; then ".join(", ".join(f"{kill[step]} {step}" for step in STEPS if kill[step]) for kill in report.kills)
    print(f"round {number:2} {report.plan.shape}: killed with {steps}; {report.seconds:.1f} s", flush=True)
    for line in report.wrong:
        print(f"   WRONG ({report.plan.name}): {line}", flush=True)


def show(reports: Sequence[Report], seconds: float) -> None:
    """The table: where the kills hit, what came twice, how long it took."""
    kills = [kill for report in reports if report.counted for kill in report.kills]
    print(f"\n{'step at the kill':28}{'kills that hit it':>18}{'transactions':>14}")
    for step in STEPS:
        print(f"{step:28}{sum(kill[step] > 0 for kill in kills):18}{sum(kill[step] for kill in kills):14}")
    duplicates = sum((report.duplicates for report in reports), Counter[str]())
    print(f"\n{'came twice and was absorbed':46}{'times':>14}")
    for what, number in duplicates.items():
        print(f"{what:46}{number:14}")
    longest = max((report.seconds for report in reports), default=0.0)
    shapes = Counter(report.plan.shape for report in reports)
    print(f"\nrounds {len(reports)} ({', '.join(f'{number} {shape}' for shape, number in shapes.items())})")
    print(f"kills {len(kills)}, {sum(bool(report.wrong) for report in reports)} rounds with something wrong")
    print(f"seconds {seconds:.0f} in all, the longest round {longest:.0f}", file=sys.stdout)
