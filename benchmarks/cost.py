"""`make cost` counts anew and writes docs/scale-and-cost.md; `make cost ARGS=--page` only writes it, for new prices.

The counts are kept in `cost_counts.json`, so that the page can be held to them: tests/journeys/test_cost_page.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import cost_page
from benchmarks.cost_counts import Counts
from benchmarks.measure import ROOT, child

COUNTED = Path(__file__).with_name("cost_counts.json")
PAGE = ROOT / "docs" / "scale-and-cost.md"


def fresh() -> Counts:
    """Counted in a process of its own: the app and its tracer are one to a process."""
    told: Counts = child(sys.executable, ["-m", "benchmarks.cost_counts"], seconds=180)
    return told


def kept() -> Counts:
    """As they were counted last."""
    told: Counts = json.loads(COUNTED.read_text(encoding="utf-8"))
    return told


def main() -> None:
    """Counts, unless told not to, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the page from the kept counts")
    if not parser.parse_args().page:
        COUNTED.write_text(json.dumps(fresh(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(cost_page.page(kept()), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
