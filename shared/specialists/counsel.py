"""Asks the advisors, side by side, each under a time-out; one that breaks down is isolated, and the person is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared.conversation.intent import Intent
from shared.errors import RetryableError
from shared.specialists.advisor import Advice, Advisor, Wish
from shared.specialists.ledger_reader import LedgerReader

log = logging.getLogger("countersign.advisors")

ADVISOR_SECONDS = 10.0
ARGUMENT_OF_SLOT = {"set_budget": {"amount_minor": "limit_minor"}}
"""Where an argument of the action is called otherwise than the slot that a person fills."""


class Counsel(NamedTuple):
    """What came of one intent. advice: None when it failed, with the reason code of the failure."""

    intent: Intent
    specialist: str
    advice: Advice | None
    failed: str = ""


async def consult(
    intents: Sequence[Intent], advisors: Mapping[str, Advisor], *, ledger: Callable[[], LedgerReader]
) -> list[Counsel]:
    """The counsel on each intent, in their order. advisors: by intent. ledger: makes a reader for one question.

    Raises `RetryableError` when the store cannot be read: the turn is tried again.
    """
    return list(await asyncio.gather(*(_one(intent, advisors, ledger()) for intent in intents)))


async def _one(intent: Intent, advisors: Mapping[str, Advisor], ledger: LedgerReader) -> Counsel:
    advisor = advisors.get(intent.name)
    if advisor is None:
        if intent.acts:
            return Counsel(intent, "conversation", _as_said(intent))
        return Counsel(intent, "conversation", None, "routing_specialist_not_registered")
    try:
        async with asyncio.timeout(ADVISOR_SECONDS):
            return Counsel(intent, advisor.name, await advisor.advise(intent, ledger))
    except TimeoutError:
        return Counsel(intent, advisor.name, None, "specialist_timed_out")
    except RetryableError:
        raise
    except Exception:
        log.exception("advisor %s broke down", advisor.name)
        return Counsel(intent, advisor.name, None, "specialist_raised")


def _as_said(intent: Intent) -> Advice:
    """A wish whose slots are the action's arguments: nothing has to be looked up for it."""
    renamed = ARGUMENT_OF_SLOT.get(intent.name, {})
    arguments = {renamed.get(slot, slot): value for slot, value in intent.slots.items()}
    return Advice("", {}, wish=Wish(intent.acts, arguments, ""))
