"""Disk flushes per unit, counted by the kernel: the measured child under `strace`, only what falls into its clock."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Measured, child, data_folder

NOT_INSTALLED = "strace not installed"
_CALL = re.compile(r"^\d+\s+(?P<at>\d+\.\d+) (?:fsync|fdatasync)\(\d+<(?P<path>[^>]*)>")


def measured(arguments: Sequence[str]) -> Measured | str:
    """{"per unit", "by file"}, or why it could not be counted."""
    strace = shutil.which("strace")
    if strace is None:
        return NOT_INSTALLED
    with data_folder() as folder:
        trace = folder / "trace"
        wrapper = [strace, "-f", "-ttt", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
        try:
            result = child(sys.executable, arguments, wrapped_in=wrapper)
        except RuntimeError as failed:
            return f"strace failed: {str(failed).splitlines()[-1]}"
        return counted(trace, result)


def counted(trace: Path, result: Measured) -> Measured:
    """The calls begun within the clock of `result`, by the file they flushed."""
    files: Counter[str] = Counter()
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        call = _CALL.match(line)
        if call and result["began_at"] <= float(call["at"]) <= result["ended_at"]:
            files[Path(call["path"]).name] += 1
    by_file = {name: count / result["units"] for name, count in files.most_common()}
    return {"per unit": files.total() / result["units"], "by file": by_file}
