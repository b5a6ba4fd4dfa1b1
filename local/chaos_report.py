"""What rounds of chaos have shown, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Kind(NamedTuple):
    """What is in flight at a kill. steps: of one of them, in order. things: what they are called in the table."""

    name: str
    steps: tuple[str, ...]
    things: str


@dataclass(slots=True)
class Report:
    """What a round has shown. `counted` is False when the kills came too early or too late to prove anything.

    kills: for each kill how many stood at each step. absorbed: what kills left half done or done twice.
    """

    kind: Kind
    name: str
    shape: str
    counted: bool = False
    wrong: list[str] = field(default_factory=list)
    kills: list[Counter[str]] = field(default_factory=list)
    absorbed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def in_flight(self, kill: Counter[str]) -> int:
        """How many were neither to come nor done with at a kill."""
        return kill.total() - kill[self.kind.steps[-1]]


def tell(number: int, report: Report) -> None:
    """One round in a line, and a line for everything that is wrong."""
    in_flight = ", ".join(str(report.in_flight(kill)) for kill in report.kills)
    what = f"{report.kind.name}, {report.shape}"
    print(f"round {number:2} {what}: killed with {in_flight} on their way; {report.seconds:.1f} s", flush=True)
    for line in report.wrong:
        print(f"   WRONG ({report.name}): {line}", flush=True)


def show(reports: Sequence[Report], seconds: float) -> None:
    """A table for each kind: where the kills hit. Then what came twice, and how long it took."""
    for kind in dict.fromkeys(report.kind for report in reports):
        _table(kind, [kill for report in reports if report.counted and report.kind == kind for kill in report.kills])
    absorbed = sum((report.absorbed for report in reports), Counter[str]())
    print(f"\n{'half done or done twice, and absorbed':46}{'times':>14}")
    for what, number in absorbed.items():
        print(f"{what:46}{number:14}")
    shapes = Counter(f"{report.kind.name}, {report.shape}" for report in reports)
    print(f"\nrounds {len(reports)} ({'; '.join(f'{number} {shape}' for shape, number in shapes.items())})")
    kills = sum(len(report.kills) for report in reports if report.counted)
    print(f"kills {kills}, {sum(bool(report.wrong) for report in reports)} rounds with something wrong")
    longest = max((report.seconds for report in reports), default=0.0)
    print(f"seconds {seconds:.0f} in all, the longest round {longest:.0f}")


def _table(kind: Kind, kills: Sequence[Counter[str]]) -> None:
    print(f"\n{kind.name + ': step at the kill':36}{'kills that hit it':>18}{kind.things:>14}")
    for step in [*kind.steps, *sorted({step for kill in kills for step in kill} - set(kind.steps))]:
        print(f"{step:36}{sum(kill[step] > 0 for kill in kills):18}{sum(kill[step] for kill in kills):14}")
