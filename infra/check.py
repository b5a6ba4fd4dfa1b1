"""Holds infrastructure to the code: `python -m infra.check` (`make infra`, `make check`). It needs no network, no Azure
and no compiler, so it cannot say that the Bicep compiles: .github/workflows/infra.yml asks the compiler.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.checks import access, alerts, deployment, generated, lanes, references, settings, store, workflows

ROOT: Final = Path(__file__).parents[1]
CHECKS: Final[dict[str, Callable[[Path], list[str]]]] = {
    "references": references.problems,
    "generated": generated.problems,
    "lanes": lanes.problems,
    "settings": settings.problems,
    "access": access.problems,
    "store": store.problems,
    "alerts": alerts.problems,
    "deployment": deployment.problems,
    "workflows": workflows.problems,
}


def problems(root: Path) -> list[str]:
    """`file:line: what is wrong`, of everything; of the syntax alone while that is broken."""
    broken = references.problems(root)
    return broken or [told for name, check in CHECKS.items() if name != "references" for told in check(root)]


def main() -> int:
    """Print what is wrong; 1 when anything is."""
    found = problems(ROOT)
    for told in found:
        sys.stdout.write(f"{told}\n")
    count = len(list((ROOT / "infra").glob("*.bicep")))
    sys.stdout.write(f"infra: {len(found) or 'no'} problems in {count} Bicep files and what goes with them\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
