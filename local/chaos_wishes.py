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
PAYER, PAYEE, FROZEN_AT_TIMES = "acc-current", "Anna", "Berta"
START_MINOR = 100_000_000
ACCOUNTS = (
    Account(id=PAYER, owner_name="Household", currency="EUR", balance_minor=START_MINOR),
    Account(id=PAYEE, owner_name="Anna Kelly", currency="EUR", balance_minor=0),
    Account(id=FROZEN_AT_TIMES, owner_name="Berta Holm", currency="EUR", balance_minor=0),
)
ONE_SIGNS_MINOR, LARGEST_MINOR = 100_000, 300_000
"""Above the first policy asks for two signatures."""
REJECTED, TO_FROZEN, SPOKEN = 0.2, 0.2, 0.3
"""Shares of wishes: that the signer rejects; that go to the account that is frozen at times; that are asked for in the
second app's chat."""
FREEZES, OUTLIVED, STILLBORN = 0.3, 0.3, 0.2
"""Shares of kills: with which the account is frozen; that the second app outlives for a moment; after which the next
host is killed as well, while it starts."""
LONGEST_START_SECONDS = 1.0

UNDER_WAY = "message under way"
ACCEPTED = "message accepted"
WAITING = "card waits"
ANSWERED = "card answered"
REQUESTED = "last check outstanding"
INTENDED = "intent recorded, bank without it"
EFFECTED = "bank has done it, no outcome"
SETTLED = "settled"
STEPS = (UNDER_WAY, ACCEPTED, WAITING, ANSWERED, REQUESTED, INTENDED, EFFECTED, SETTLED)

TROUBLED = "bank in trouble"
SHAPES = ("bank well", TROUBLED)
AFTERMATH = 4
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
STEP_SECONDS = 0.015
"""Longer than a step of our own takes."""
PAUSED = 0.5
"""The share of kills that come later than at once: what a commit promises is sent within a millisecond or two."""
DEATHS: tuple[Fate, ...] = ("dies", "dies and comes back late")


@dataclass(slots=True)
class Wish:
    """One person's wish for a transfer in a conversation of its own, and what the people in it were told.

    decision: what the first signer says. is_spoken: asked for in the second app's chat. begun, accepted: the message
    was sent; was accepted. answers: to each signer. refused: answers that nobody should get.
    """

    conversation: str
    amount_minor: int
    decision: Literal["approve", "reject"]
    payee: str = PAYEE
    is_spoken: bool = False
    think_seconds: float = 0.0
    begun: bool = False
    accepted: bool = False
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What is asked for."""
        amount = money_text(self.amount_minor, "EUR").replace(",", "")
        return f"transfer {amount} from {PAYER} to {self.payee}"

    @property
    def signers(self) -> tuple[str, ...]:
        """Whose answers it takes."""
        return ("bob", "rita")[: 1 + (self.decision == "approve" and self.amount_minor > ONE_SIGNS_MINOR)]

    @property
    def ends(self) -> frozenset[str]:
        """The states that its action may end in."""
        if self.decision == "reject":
            return frozenset({"cancelled"})
        return frozenset({"done"} if self.payee == PAYEE else {"done", "refused", "cancelled"})


class Wave(NamedTuple):
    """Wishes that come while the host is up, and the kill that ends it: when one of them stands at `aim`, and
    `pause_seconds` later. In the same moment: freezes: one payee's account is frozen, until the next wave; bank: what
    becomes of it; is_outlived: the second app, which works on the same files, is left to end by itself.
    stillborn_seconds: the next host is killed so long after its start, 0 for not at all."""

    wishes: Sequence[Wish]
    aim: str
    pause_seconds: float
    trouble: Trouble
    freezes: bool
    bank: Fate
    is_outlived: bool
    stillborn_seconds: float


class Plan(NamedTuple):
    """A round: wave after wave, with a kill at the end of each."""

    name: str
    shape: str
    waves: Sequence[Wave]
    aftermath: Sequence[Trouble]
    """What the bank meets after the last kill, one after the other, before it is well."""

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
    aftermath = [_some(BEFORE + AFTER, chance) for _ in range(AFTERMATH)] if shape == TROUBLED else []
    return Plan(name, shape, waves, aftermath)


def wishes_of(chance: Random, number: int) -> list[Wish]:
    """Each with an amount of its own, so that the bank's books name it."""
    amounts = chance.sample(range(100, LARGEST_MINOR), number)
    return [
        Wish(
            f"talk-{place}",
            amount,
            "reject" if chance.random() < REJECTED else "approve",
            payee=FROZEN_AT_TIMES if chance.random() < TO_FROZEN else PAYEE,
            is_spoken=chance.random() < SPOKEN,
            think_seconds=chance.uniform(0, 0.05),
        )
        for place, amount in enumerate(amounts)
    ]


def _wave(aim: str, wishes: Sequence[Wish], chance: Random, shape: str) -> Wave:
    if aim in (REQUESTED, INTENDED, EFFECTED):  # a step that a rejected wish never reaches
        wishes[0].decision = "approve"
    latency = chance.randint(20, 120)
    stage: Literal["before", "after"] = "after" if aim == EFFECTED else "before"
    trouble = Trouble(latency_ms=latency, stage=stage, times=0)
    bank: Fate = "lives"
    if shape == TROUBLED:
        kinds = AFTER[:-1] if aim == EFFECTED else BEFORE + AFTER  # the last one may be spent on a look-up
        trouble = _some(kinds, chance)
        if chance.random() < BANK_DIES:
            bank = chance.choice(DEATHS)
    longest = latency / 1000 if aim in (INTENDED, EFFECTED) else STEP_SECONDS
    return Wave(
        wishes,
        aim,
        pause_seconds=chance.uniform(0, longest) if chance.random() < PAUSED else 0.0,
        trouble=trouble,
        freezes=chance.random() < FREEZES,
        bank=bank,
        is_outlived=chance.random() < OUTLIVED,
        stillborn_seconds=chance.uniform(0.1, LONGEST_START_SECONDS) if chance.random() < STILLBORN else 0.0,
    )


def _some(kinds: Sequence[Trouble], chance: Random) -> Trouble:
    return chance.choice(kinds).model_copy(update={"times": chance.randint(1, 4)})
