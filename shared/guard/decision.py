"""What the guard takes and what it gives: plain frozen values, made by specialists and by `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A specialist thinks that the transaction belongs to `target`.

    target: a category's detailed name. confidence_bp: 0..10000 (0.85 is 8500). rationale_code: <= 120 characters,
    rationale: <= 500, evidence: at most 8 short texts. `specialist` is the registered name of who says so.
    """

    specialist: str
    target: str
    confidence_bp: int
    rationale_code: str
    rationale: str
    evidence: tuple[str, ...] = ()
    runner_up_bp: int = 0


@dataclass(frozen=True, slots=True)
class Concern:
    """A specialist thinks that a person should look, whatever the others say. It can only lower trust."""

    specialist: str
    code: str
    rationale: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """How one specialist's turn ended: outcome is "answered", "abstained", "timed_out", "raised" or "rubbish".

    `detail` says what went wrong in at most 200 characters (the type of an error, never text from outside).
    """

    specialist: str
    outcome: str
    proposals: tuple[Proposal, ...] = ()
    concerns: tuple[Concern, ...] = ()
    detail: str = ""
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What the guard decided. `outcome`: Applied, NeedsReview, Deferred or Rejected.

    category: what was applied, or the best suggestion for the reviewer ("" for none). decided_by: the specialist whose
    proposal was applied or suggested, "" for none. reason_codes: at least one, the first is the one to show.
    """

    outcome: str
    category: str
    confidence_bp: int
    decided_by: str
    lane: str
    reason_codes: tuple[str, ...]
    rationale: str
    policy_version: str
