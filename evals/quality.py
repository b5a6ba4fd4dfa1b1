"""How well each lane's specialist tells its transactions from others, on labelled rows: `python -m evals.quality`.

Rows were written by somebody else than the rules (evals/lanes/*.jsonl). Half of them, chosen by a hash of the words of
their text (of the id for anomalies, which are about amounts), were looked at while the rules were written; the other
half was held out, and only it says how good the rules are. Two limits of that: a dozen of its rows were printed once
before the halves were fixed, and its totals (not its failures) were read between rounds of work. And rows and rules
were both made up from general knowledge: statements of a real bank will be stranger than either.

`--write docs/quality.md` writes the table, `--failures seen` names what fails in the half that may be looked at,
`--dialogues FILE` replays recorded dialogues through the conversation's grammar.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from evals import conversation, recurring
from shared.contracts.transactions import TransactionFacts
from shared.guard.decision import Concern, Proposal
from shared.guard.policy import Policy, policy_from
from shared.ledger.descriptor import normalised
from shared.specialists.registry import SERVES
from shared.specialists.routing import lane_of
from shared.specialists.specialist import Case, Charge, Knowledge

ROOT: Final = Path(__file__).resolve().parent.parent
ROWS: Final = ROOT / "evals" / "lanes"
LANES: Final = ("transfer", "income", "debt", "investment", "anomaly")
LEAST_BP: Final = 5000
HALVES: Final = ("seen", "held out")
_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass
class Score:
    """Counts for one lane and one half; for routing `right` and `wrong` lanes are all there is."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def precision(self) -> float:
        return self.true_positives / max(1, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        return self.true_positives / max(1, self.true_positives + self.false_negatives)

    def count(self, *, expected: bool, got: bool, row: str) -> None:
        if expected and got:
            self.true_positives += 1
        elif expected:
            self.false_negatives += 1
        elif got:
            self.false_positives += 1
        else:
            self.true_negatives += 1
        if expected != got:
            self.failures.append(row)


def money_policy() -> Policy:
    """The policy as it ships."""
    return policy_from(yaml.safe_load((ROOT / "policies" / "money.yaml").read_text()))


def half_of(lane: str, row: Mapping[str, Any]) -> str:
    """Which half a row is in. Texts with the same words are never on both sides."""
    key = row["id"] if lane == "anomaly" else " ".join(_WORD.findall(row["transaction"]["descriptor"].casefold()))
    return HALVES[hashlib.sha256(key.encode()).digest()[0] % 2]


def case_of(row: Mapping[str, Any], policy: Policy) -> Case:
    """The case that a row describes."""
    facts = TransactionFacts(**row["transaction"])
    context = row["context"]
    knowledge = Knowledge(
        own_accounts=frozenset(context.get("own_accounts", ())),
        counterparts=tuple(Charge(**entry) for entry in context.get("counterparts", ())),
        charges=tuple(Charge(**entry) for entry in context.get("recent_charges", ())),
        merchant_amounts=tuple(context.get("merchant_amounts_minor", ())),
        category_amounts={"its own": tuple(context.get("category_amounts_minor", ()))},
    )
    return Case(facts, normalised(facts.descriptor), knowledge, policy, frozenset(policy.categories))


def speaks(lane: str, case: Case) -> bool:
    """Whether the lane's own specialist has a proposal of some confidence, or for anomaly a concern."""
    said = SERVES[lane][0].propose(case)
    opinions: Iterable[object] = said if isinstance(said, tuple) else (said,)
    return any(
        isinstance(one, Concern) or (isinstance(one, Proposal) and one.confidence_bp >= LEAST_BP) for one in opinions
    )


def rows_of(lane: str) -> list[dict[str, Any]]:
    """The labelled rows of a lane; none when the file is not there."""
    path = ROWS / f"{lane}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def lane_scores(policy: Policy) -> dict[tuple[str, str], Score]:
    """Per lane and half: does its specialist speak where it should, and only there?"""
    scores = {(lane, half): Score() for lane in LANES for half in HALVES}
    for lane in LANES:
        for row in rows_of(lane):
            got = speaks(lane, case_of(row, policy))
            scores[lane, half_of(lane, row)].count(expected=row["expected"], got=got, row=row["id"])
    return scores


def routing_scores(policy: Policy) -> dict[tuple[str, str], Score]:
    """Per lane and half: does routing send there what belongs there, and only that?"""
    scores: dict[tuple[str, str], Score] = {}
    for row in rows_of("routing"):
        half, want, got = half_of("routing", row), row["expected"], _routed(row, policy)
        for lane in (*LANES, "categorization"):
            score = scores.setdefault((f"routing → {lane}", half), Score())
            score.count(expected=want == lane, got=got == lane, row=row["id"])
    return scores


def _routed(row: Mapping[str, Any], policy: Policy) -> str:
    return lane_of(case_of(row, policy), conflict=row["context"].get("rule_conflict"))


def table(scores: Mapping[tuple[str, str], Score]) -> list[str]:
    """The figures as Markdown."""
    lines = [
        "| lane | half | rows | precision | recall | right | false | missed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (lane, half), score in sorted(
        scores.items(), key=lambda item: (item[0][0].split(" ")[0] == "routing", item[0])
    ):
        lines.append(
            f"| {lane} | {half} | {score.rows} | {score.precision:.3f} | {score.recall:.3f} | {score.true_positives}"
            f" | {score.false_positives} | {score.false_negatives} |"
        )
    return lines


def failures(scores: Mapping[tuple[str, str], Score], half: str) -> list[str]:
    """The first fifteen ids that fail in a lane."""
    return [
        f"{lane} ({half}): {', '.join(score.failures[:15])}"
        for (lane, where), score in scores.items()
        if where == half and score.failures
    ]


def report(policy: Policy, scores: Mapping[tuple[str, str], Score]) -> str:
    """docs/quality.md."""
    doc = (__doc__ or "").split("\n\n", 1)[1].split("`--write")[0].strip()
    lines = [
        "# Quality of the single lanes",
        "",
        "Generated by `python -m evals.quality --write docs/quality.md`.",
        "",
        doc,
        "",
    ]
    lines += [
        f"Policy `{policy.version}`. A lane speaks when its specialist proposes at {LEAST_BP} basis points or more"
    ]
    lines += ["(anomaly: raises a concern)."]
    lines += ["", *table(scores), "", "What fails (first fifteen of a lane):", ""]
    lines += [f"- {line}" for half in HALVES for line in failures(scores, half)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Prints the table and what fails; writes it where asked."""
    parser = argparse.ArgumentParser(prog="python -m evals.quality", description="How well the lanes' rules do.")
    parser.add_argument("--write", type=Path, help="a Markdown file to write")
    parser.add_argument("--dialogues", type=Path, help="recorded dialogues to replay (see evals/dialogues.py)")
    parser.add_argument("--failures", choices=HALVES, help="name what fails in this half alone")
    options = parser.parse_args(arguments)
    policy = money_policy()
    scores = lane_scores(policy) | routing_scores(policy)
    if not scores or not any(score.rows for score in scores.values()):
        print("no rows in evals/lanes")
        return 1
    print("\n".join(table(scores)))
    for half in (options.failures,) if options.failures else HALVES:
        print("\n".join(failures(scores, half)))
    before = options.write.read_text() if options.write and options.write.exists() else ""
    spoken = conversation.section(tuple(sorted(policy.categories)), options.dialogues, before)
    again = recurring.section()
    print(f"\n{again}\n{spoken}")
    if options.write:
        options.write.write_text(f"{report(policy, scores)}\n{again}\n{spoken}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
