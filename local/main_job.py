"""`python -m local run`: the main job, on the sample statement or on your own file (`--data FILE.csv`)."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import FrameType

from local import own_job, sample_job
from local.child_host import fresh_folder
from local.job import Deadline, JobFailedError
from local.screen import Screen
from local.statement import read_statement
from local.statement_columns import ROLES, wishes_of
from local.statement_rows import Wishes
from shared.errors import CountersignError

SAMPLE_SECONDS = 180.0
OWN_SECONDS = 1800.0
EPILOGUE = f"""A column may mean: {", ".join(ROLES)}.
A date's format may be told too: --map "date=Booked:dd/mm/yyyy"."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when everything expected has happened, 1 with one clear line when not, 130 after Ctrl-C."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(options)
    except (JobFailedError, CountersignError) as failed:
        sys.stdout.flush()
        sys.stderr.write(f"countersign: {' '.join(str(failed).split())}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("countersign: stopped\n")
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    screen = Screen()
    if options.data is None:
        fresh_folder(options.folder)
        sample_job.run(screen, options.folder, Deadline(options.limit or SAMPLE_SECONDS))
        return
    wishes = Wishes(wishes_of(options.map), options.currency.upper(), options.spending, options.decimal)
    statement = read_statement(options.data, wishes)
    fresh_folder(options.folder)
    deadline = Deadline(options.limit or OWN_SECONDS)
    own_job.run(
        screen, statement, options.folder, deadline, history_until=options.history_until or own_job.LAST_MONTHS_NEW
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local run", description=__doc__, epilog=EPILOGUE)
    add = parser.add_argument
    add("--data", type=Path, metavar="FILE.csv", help="your own transactions")
    add("--map", action="append", default=[], metavar="ROLE=COLUMN", help="what a column means; may be repeated")
    add("--currency", default="", metavar="EUR", help="of amounts, where the file has no currency column")
    add("--decimal", choices=(".", ","), default="", help="the decimal mark, where the file leaves it open")
    spending = parser.add_mutually_exclusive_group()
    spending.add_argument("--spending-positive", dest="spending", action="store_const", const="positive", default="")
    spending.add_argument("--spending-negative", dest="spending", action="store_const", const="negative")
    add("--history-until", type=_day, metavar="YYYY-MM-DD",
        help="rows with a category up to this day are history (default: all but the last three months)")  # fmt: skip
    add("--folder", type=Path, default=Path(".countersign/demo"), help="emptied first (default: %(default)s)")
    add("--limit", type=float, default=0.0, metavar="SECONDS", help="the whole job may take no longer")
    return parser.parse_args(arguments)


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no day like 2026-01-31")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as failed:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: {failed}") from failed


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a job like Ctrl-C: the host is stopped first."""
    del number, frame
    raise KeyboardInterrupt
