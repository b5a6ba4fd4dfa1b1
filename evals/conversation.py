"""How well the grammar of the conversation understands: own labelled sentences, and recorded dialogues where given.

Own sentences are in evals/conversation/*.jsonl, written before the phrases were tuned on them by the same hand, so
their figures flatter. Half of them, by a hash of the id, was looked at; the other half was kept apart. `talks.jsonl`
holds whole conversations and what each reply has to say; a journey has them with the local host. A trap must never act:
a question about a wish, a negation, a supposition, somebody else's words, another day, an unclear amount.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from evals import dialogues
from shared.conversation.grammar import Context, read
from shared.conversation.intent import INTENTS

ROWS: Final = Path(__file__).resolve().parent / "conversation"
HALVES: Final = ("seen", "held out")
TODAY: Final = date(2025, 5, 14)
FILES: Final = ("questions", "wishes", "talk", "everyday")


@dataclass
class Scores:
    """Per (intent, half): `right`, `false`, `missed`, `rows`, and `slots` when every slot is right too."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    traps: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)


def half_of(identity: str) -> str:
    """Which half a row is in."""
    return HALVES[hashlib.sha256(identity.encode()).digest()[0] % 2]


def rows_of(name: str) -> list[dict[str, Any]]:
    """The labelled rows of a file."""
    return [json.loads(line) for line in (ROWS / f"{name}.jsonl").read_text().splitlines() if line]


def scored(categories: tuple[str, ...]) -> Scores:
    """All own sentences. categories: the chart that they are said under."""
    scores = Scores()
    heard = Context(TODAY, "USD", categories)
    for row in (row for name in FILES for row in rows_of(name)):
        _score(row, scores, heard)
    for row in rows_of("traps"):
        half = half_of(row["id"])
        acted = [intent.name for intent in read(row["text"], heard=heard).intents if INTENTS[intent.name].acts]
        scores.traps[half, "acted" if acted else "kept still"] += 1
        if acted:
            scores.failures.append((half, f"{row['id']} acted: {acted} for {row['text']!r}"))
    return scores


def _score(row: Mapping[str, Any], scores: Scores, heard: Context) -> None:
    half, wanted = half_of(row["id"]), row["intent"]
    reading = read(row["text"], heard=heard)
    names = [intent.name for intent in reading.intents]
    scores.counts[wanted, half, "rows"] += 1
    scores.counts[wanted, half, "right" if wanted in names else "missed"] += 1
    for name in names:
        if name != wanted:
            scores.counts[name, half, "false"] += 1
    exact = len(names) == 1 and names == [wanted] and dict(reading.intents[0].slots) == row["slots"]
    scores.counts[wanted, half, "slots"] += exact
    if not exact:
        got = [(intent.name, dict(intent.slots)) for intent in reading.intents]
        scores.failures.append((half, f"{row['id']} {row['text']!r}: {got} {reading.unsure}; not {row['slots']}"))


def lines(scores: Scores) -> list[str]:
    """The figures as Markdown."""
    table = ["| intent | half | sentences | precision | recall | every slot right |", "|---|---|---|---|---|---|"]
    for name, half in sorted({(name, half) for name, half, _ in scores.counts}):
        right, false, rows, slots = (scores.counts[name, half, what] for what in ("right", "false", "rows", "slots"))
        precision, recall = right / max(1, right + false), right / max(1, rows)
        table.append(f"| {name} | {half} | {rows} | {precision:.3f} | {recall:.3f} | {slots} of {rows} |")
    for half in HALVES:
        acted, still = scores.traps[half, "acted"], scores.traps[half, "kept still"]
        table.append(f"| traps that acted | {half} | {acted + still} | | | {acted} |")
    return table


HEADING: Final = "## The conversation's grammar"
REPLAYED: Final = "### Recorded dialogues"


def section(categories: tuple[str, ...], recorded: Path | None, before: str) -> str:
    """The part of docs/quality.md on the conversation.

    recorded: the dialogues' file, which is not part of this project; without it their figures stay as in `before`,
    the document as it was.
    """
    doc = (__doc__ or "").split("\n\n", 1)[1].strip()
    own = [HEADING, "", doc, "", *lines(scored(categories)), ""]
    if recorded is not None:
        outcome = dialogues.replay(recorded)
        told = (dialogues.__doc__ or "").split("\n\n", 1)[1].strip()
        figures = dialogues.lines(outcome)
        return "\n".join([*own, REPLAYED, "", told, "", *figures, "", f"Source: {dialogues.SOURCE}", ""])
    kept = before[before.index(REPLAYED) :] if REPLAYED in before else f"{REPLAYED}\n\nNot measured yet.\n"
    return "\n".join([*own, kept])
