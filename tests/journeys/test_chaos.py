"""kill -9 in the middle of the work, three times; `make chaos` does it more often and with more rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_three_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path):
    command = [sys.executable, "-m", "local", "chaos", "--rounds", "3", "--rows", "160", "--seed", "8"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "0 rounds with something wrong" in done.stdout
    assert list(tmp_path.iterdir()) == []
