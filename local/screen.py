"""What a job shows: numbered steps with their seconds, tables, progress. Plain lines where nobody watches a terminal.

Text from outside (a merchant's name) is printed as it is and never read as markup.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 150
STYLES = {"Applied": "green", "Categorized": "green", "Reviewed": "cyan", "NeedsReview": "yellow"}

Advance = Callable[[int], None]


class Screen:
    """One job's output. `timings`: (step, seconds), for the summary."""

    def __init__(self) -> None:
        # rich honours NO_COLOR itself; a pipe has no width of its own, and folded columns could not be searched
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        self.timings: list[tuple[str, float]] = []

    def line(self, text: str, *, style: str = "") -> None:
        """One line."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A numbered heading, and how long what follows took."""
        self._console.print()
        self.line(f"{len(self.timings) + 1}. {title}", style="bold")
        self.timings.append((title, 0.0))
        at, begun = len(self.timings) - 1, time.monotonic()
        yield
        seconds = time.monotonic() - begun
        self.timings[at] = (title, seconds)
        self.line(f"   done in {seconds:.1f} s", style="dim")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
        """Cells are plain text; the columns named in `numbers` are set to the right."""
        table = Table(show_edge=False, pad_edge=False, header_style="bold")
        for name in columns:
            right = name in numbers
            table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        self._console.print(table)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """Call what is given with the number done so far. On a terminal a bar, else a line at every fifth."""
        if not self._console.is_terminal:
            yield _PlainProgress(self, what, total).show
            return
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as bar:
            task, begun = bar.add_task(what, total=total, rate=""), time.monotonic()

            def show(done: int) -> None:
                rate = done / max(0.001, time.monotonic() - begun)
                bar.update(task, completed=done, rate=f"{rate:,.0f} rows/s")

            yield show


class _PlainProgress:
    def __init__(self, screen: Screen, what: str, total: int) -> None:
        self._screen, self._what, self._total = screen, what, total
        self._next, self._begun = total / 5, time.monotonic()

    def show(self, done: int) -> None:
        if done < self._next and done < self._total:
            return
        if self._next > self._total:
            return  # the end was shown
        rate = done / max(0.001, time.monotonic() - self._begun)
        self._screen.line(f"   {self._what}: {done:,} of {self._total:,} ({rate:,.0f} rows/s)")
        self._next = max(self._next + self._total / 5, done + 1)
        if done >= self._total:
            self._next = self._total + 1
