"""kill -9 in the middle of the work: of statements, and of transfers with a bank that is well and one that is not.

`make chaos` does it more often, with more rows, more kills and the host's own waits.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEED = "1038"
"""Its four kills of transfers are aimed at the steps after the answer, and one of them is the bank's end, too."""


def test_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path):
    command = f"-m local chaos --rounds 4 --rows 160 --kills 2 --seed {SEED} --hurried --at-once 4 --folder {tmp_path}"
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "0 rounds with something wrong" in done.stdout
    assert "1 transfers, bank well; " in done.stdout
    assert "1 transfers, bank in trouble" in done.stdout
    assert list(tmp_path.iterdir()) == []
