"""What it costs to index `function_app` in a cold process, beside an empty app on the same `azure-functions`."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Measured, child

EMPTY_APP = "import azure.functions as func\n\napp = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
INDEX = """
import sys, time
began = time.perf_counter()
sys.path.insert(0, sys.argv[1])
import function_app
functions = function_app.app.get_functions()
elapsed = time.perf_counter() - began
print('{"ms": %f, "functions": %d}' % (elapsed * 1e3, len(functions)))
"""
TIMES = 11


def measured() -> Measured:
    """Medians of alternating cold starts, from the first import to the list of functions; bytecode is cached."""
    empty, ours, functions = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "function_app.py").write_text(EMPTY_APP, encoding="utf-8")
        for turn in range(TIMES + 1):
            bare = child(sys.executable, ["-c", INDEX, folder])
            whole = child(sys.executable, ["-c", INDEX, str(ROOT)])
            if turn:  # the first one compiles
                empty.append(bare["ms"])
                ours.append(whole["ms"])
            functions = whole["functions"]
    empty_ms, ours_ms = statistics.median(empty), statistics.median(ours)
    return {"empty_ms": empty_ms, "ours_ms": ours_ms, "ratio": ours_ms / empty_ms, "functions": functions}
