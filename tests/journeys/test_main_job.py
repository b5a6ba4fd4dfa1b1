"""`python -m local run`: what a newcomer sees first, and what happens with one's own file."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import main_job
from tests.journeys.hosts import wait_for

ROOT = Path(__file__).parents[2]
SECONDS = 120


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The job as a newcomer starts it, without a terminal, in a folder of its own."""
    command = [sys.executable, "-m", "local", "run", "--folder", str(folder), "--limit", str(SECONDS), *arguments]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": ""}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS + 30, check=False
    )


def own_file(path: Path, rows: int = 300) -> Path:
    """Ten merchants with a department's card each, over six months; one line is no transaction."""
    chance = random.Random(11)
    lines = ["Booked;Supplier;Betrag (EUR);Card;Department;Category"]
    for number in range(rows):
        merchant = chance.randrange(10)
        day, month = 1 + chance.randrange(28), 1 + 6 * number // rows
        amount = f"{20 + merchant},{chance.randrange(100):02}"
        name = f"Supplier {'abcdefghij'[merchant]} Works"
        lines.append(f"{day:02}.{month:02}.2026;{name};{amount};card {merchant};Team;K{merchant % 4}")
    lines.insert(100, "31.02.2026;Nobody;1,00;card 1;Team;K1")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_sample_statement_from_ingestion_to_a_verified_record(tmp_path: Path):
    job = run(tmp_path / "demo")
    assert job.returncode == 0, job.stdout + job.stderr
    assert job.stderr == ""
    assert "\x1b" not in job.stdout
    for fact in (
        "Ingest samples/statement.csv: 120 transactions",
        "s-016 XQZ HLDG VRNT: bob says",
        "s-124 XQZ HLDG VRNT: decided alone by merchant memory",
        "s-125 KTR VLN BZP: decided alone by merchant memory",
        "same amount as s-064",
        "each linked to the one before: unbroken",
        "Everything that was expected has happened",
    ):
        assert fact in job.stdout
    instructing = next(line for line in job.stdout.splitlines() if line.startswith("s-075"))
    assert "descriptor_instructs" in instructing
    assert "NeedsReview" in instructing
    assert "Categorized" in next(line for line in job.stdout.splitlines() if line.startswith("s-124"))


def test_ones_own_file_becomes_history_and_decisions_by_month(tmp_path: Path):
    file = own_file(tmp_path / "own.csv")
    job = run(tmp_path / "demo", "--data", str(file))
    assert job.returncode == 0, job.stdout + job.stderr
    assert "line 101: '31.02.2026' is no date" in job.stdout
    assert "Import 150 rows up to 2026-03-31 as reviewed history" in job.stdout
    months = {line.split()[0]: line.split() for line in job.stdout.splitlines() if line.startswith("2026-0")}
    assert sorted(months) == ["2026-04", "2026-05", "2026-06"]
    total = next(line for line in job.stdout.splitlines() if line.startswith("in all"))
    rows, alone, share, _, agreement = (cell for cell in total.replace("│", " ").split()[2:7])
    assert (rows, agreement) == ("150", "100.0")
    assert int(alone) > 75
    assert float(share) == pytest.approx(100 * int(alone) / 150, abs=0.1)


def test_a_folder_with_somebody_elses_files_is_left_alone(tmp_path: Path):
    (tmp_path / "letters.txt").write_text("dear all", encoding="utf-8")
    job = run(tmp_path)
    assert job.returncode == 1
    assert "holds something that is not ours" in job.stderr
    assert (tmp_path / "letters.txt").exists()


WRONG = {
    "there is no file": (None, []),
    "is empty": ("", []),
    "--map date=COLUMN": ("a,b,c\n1,2,3\n", []),
    "--currency": ("Date,Description,Amount\n2026-01-01,shop,-1\n", []),
    "no column 'Day'": ("Date,Description,Amount\n2026-01-01,shop,-1\n", ["--map", "date=Day"]),
    "dd/mm/yyyy": ("Date,Description,Amount\n01/02/2026,shop,-1\n", ["--currency", "EUR"]),
}


@pytest.mark.parametrize("told", WRONG)
def test_a_wrong_file_is_one_clear_line(told: str, tmp_path: Path, capsys, monkeypatch):
    content, options = WRONG[told]
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    file = tmp_path / "file.csv"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    assert main_job.main(["--data", str(file), "--folder", str(tmp_path / "demo"), *options]) == 1
    shown = capsys.readouterr()
    assert told in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert not (tmp_path / "demo").exists()


def test_a_job_that_is_killed_leaves_no_host_behind(tmp_path: Path):
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "local", "run", "--folder", str(folder), "--limit", str(SECONDS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
        wait_for(lambda: is_held(folder / "host.lock"), "a host at work")
        job.kill()
    wait_for(lambda: not is_held(folder / "host.lock"), "the end of the host")


def is_held(lock: Path) -> bool:
    """Whether a host works in the folder: its lock ends with its process."""
    if not lock.exists():
        return False
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
