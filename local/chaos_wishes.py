"""What one round of transfers does, decided by its seed alone: wishes, aims of the kills, and the bank's troubles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from local.sandbox_ledger import Account
from local.sandbox_trouble import Trouble
from shared.contracts.currencies import money_text

TENANT = "chaos"
PAYER, PAYEE = "acc-current", "Anna"
START_MINOR = 100_000_000
ACCOUNTS = (
    Account(id=PAYER, owner_name="Household", currency="EUR", balance_minor=START_MINOR),
    Account(id=PAYEE, owner_name="Anna Kelly", currency="EUR", balance_minor=0),
)
LARGEST_MINOR = 99_999
"""Above it policy asks for two signatures."""
REJECTED = 0.2

UNDER_WAY = "message under way"
ACCEPTED = "message accepted"
WAITING = "card waits"
ANSWERED = "card answered"
REQUESTED = "last check outstanding"
INTENDED = "intent recorded, bank without it"
EFFECTED = "bank has done it, no outcome"
SETTLED = "settled"
STEPS = (UNDER_WAY, ACCEPTED, WAITING, ANSWERED, REQUESTED, INTENDED, EFFECTED, SETTLED)

SHAPES = ("bank well", "bank in trouble")
TIMEOUT_MS = 800
"""The hosts' patience with the bank, by their policy."""
BEFORE = (
    Trouble(fail_status=500),
    Trouble(fail_status=503),
    Trouble(fail_status=429),
    Trouble(drop="before"),
    Trouble(latency_ms=2 * TIMEOUT_MS),
    Trouble(fail_status=500, calls="all"),
    Trouble(drop="before", calls="all"),
)
AFTER = (
    Trouble(fail_status=500, stage="after"),
    Trouble(fail_status=503, stage="after"),
    Trouble(drop="after"),
    Trouble(latency_ms=2 * TIMEOUT_MS, stage="after"),
    Trouble(drop="after", calls="all"),
)
"""What a bank does wrong when it has done its work."""
BANK_DIES = 0.4
Fate = Literal["lives", "dies", "dies and comes back late"]
DEATHS: tuple[Fate, ...] = ("dies", "dies and comes back late")


@dataclass(slots=True)
class Wish:
    """One person's wish for a transfer in a conversation of its own, and what the people in it were told.

    decision: what the signer says. begun, accepted: the message was sent; was answered with 202. answers: to the
    signer. refused: answers that nobody should get.
    """

    conversation: str
    amount_minor: int
    decision: Literal["approve", "reject"]
    think_seconds: float = 0.0
    begun: bool = False
    accepted: bool = False
    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def message(self) -> dict[str, Any]:
        """The body of the post."""
        amount = money_text(self.amount_minor, "EUR").replace(",", "")
        return {"message": f"transfer {amount} from {PAYER} to {PAYEE}"}


class Wave(NamedTuple):
    """Wishes that come while the host is up, and the kill that ends it: when one of them stands at `aim`, and
    `pause_seconds` later. bank: what becomes of it in the same moment."""

    wishes: Sequence[Wish]
    aim: str
    pause_seconds: float
    trouble: Trouble
    bank: Fate


class Plan(NamedTuple):
    """A round: wave after wave, with a kill at the end of each."""

    name: str
    shape: str
    waves: Sequence[Wave]

    @property
    def wishes(self) -> list[Wish]:
        """Of all waves."""
        return [wish for wave in self.waves for wish in wave.wishes]


def plan_of(seed: int, number: int, attempt: int, kills: int) -> Plan:
    """The plan of a round; kills: at most one for each gap between two steps, each aimed at another."""
    name = f"{seed}-{number}-{attempt}-transfers"
    chance = Random(name)  # noqa: S311  repeatable, not secret
    shape = SHAPES[number % len(SHAPES)]
    aims = chance.sample(STEPS[:-1], min(kills, len(STEPS) - 1))
    each = 3
    wishes = wishes_of(chance, each * len(aims))
    waves = [_wave(aim, wishes[each * place : each * (place + 1)], chance, shape) for place, aim in enumerate(aims)]
    return Plan(name, shape, waves)


def wishes_of(chance: Random, number: int) -> list[Wish]:
    """Each with an amount of its own, so that the bank's books name it."""
    amounts = chance.sample(range(100, LARGEST_MINOR), number)
    decided = ["reject" if chance.random() < REJECTED else "approve" for _ in amounts]
    if number > 1:
        decided[:2] = ["approve", "reject"]
    chance.shuffle(decided)
    return [
        Wish(
            f"talk-{place}",
            amount,
            "approve" if decision == "approve" else "reject",
            think_seconds=chance.uniform(0, 0.05),
        )
        for place, (amount, decision) in enumerate(zip(amounts, decided, strict=True))
    ]


def _wave(aim: str, wishes: Sequence[Wish], chance: Random, shape: str) -> Wave:
    if aim in (REQUESTED, INTENDED, EFFECTED):  # a step that a rejected wish never reaches
        wishes[0].decision = "approve"
    latency = chance.randint(20, 120)
    stage: Literal["before", "after"] = "after" if aim == EFFECTED else "before"
    trouble = Trouble(latency_ms=latency, stage=stage, times=0)
    bank: Fate = "lives"
    if shape == "bank in trouble":
        kinds = AFTER if aim == EFFECTED else BEFORE + AFTER
        trouble = chance.choice(kinds).model_copy(update={"times": chance.randint(1, 4)})
        if chance.random() < BANK_DIES:
            bank = chance.choice(DEATHS)
    longest = latency / 1000 if aim in (INTENDED, EFFECTED) else 0.015
    return Wave(wishes, aim, chance.uniform(0, longest), trouble, bank)
