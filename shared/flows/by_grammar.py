"""A message understood without a model: the grammar reads it, advisors are asked, templates say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.conversation import grammar, wording
from shared.conversation.context import WISH
from shared.conversation.intent import Intent, Reading
from shared.flows.turn import Book, Draft, Turn
from shared.guard.reasons import REASONS
from shared.specialists.advisor import Advisor
from shared.specialists.counsel import Counsel, consult

LEANED_ON = ("account_type",)
"""Slots that a later wish may lean on."""


async def drafted(turn: Turn, book: Book, advisors: Mapping[str, Advisor]) -> Draft:
    """Plan and specialists, each a stage of the book. Raises what the store raises."""
    name = await book.entered("plan")
    reading = grammar.read(turn.text, heard=turn.context)
    await _planned(book, name, reading)
    ready = [intent for intent in reading.intents if not intent.missing and not _is_talk(intent)]
    open_ = next((intent for intent in reading.intents if intent.missing), None)
    counsels = await advised(turn, book, ready, advisors)
    parts = [_said(one) for one in counsels]
    parts += [_talked(intent, turn) for intent in reading.intents if _is_talk(intent)]
    pending, asked = (open_, open_.missing[0]) if open_ else (None, "")
    if open_:
        parts.append(wording.asking_for(open_))
    if reading.unsure:
        parts.append(wording.unsure(reading.unsure, reading.candidate))
        pending, asked = reading.candidate, WISH if reading.candidate else ""
    elif not reading.intents:
        parts.append(wording.SMALL_TALK)
    if pending is None:
        pending, asked = asked_by(counsels)
    told = [one.advice for one in counsels if one.advice]
    recent = {slot: one.slots[slot] for one in reading.intents for slot in LEANED_ON if slot in one.slots}
    return Draft(
        text="\n\n".join(part for part in parts if part),
        source=reading.source,
        specialists=tuple(dict.fromkeys(one.specialist for one in counsels)),
        mentions=tuple(dict.fromkeys(id_ for advice in told for id_ in advice.mentions)),
        wishes=tuple(advice.wish for advice in told if advice.wish),
        pending=pending,
        asked=asked,
        recent={**turn.context.recent, **recent},
    )


async def advised(turn: Turn, book: Book, intents: Sequence[Intent], advisors: Mapping[str, Advisor]) -> list[Counsel]:
    """The counsel on each, with its stage."""
    names = [await book.entered(_advisor_of(intent, advisors)) for intent in intents]
    counsels = await consult(intents, advisors, ledger=turn.ledger)
    for name, one in zip(names, counsels, strict=True):
        if one.advice is None:
            await book.left(name, "Failed", code=one.failed, rationale=REASONS[one.failed].explanation)
            continue
        details = {"intent": one.intent.name, "slots": dict(one.intent.slots), "evidence": list(one.advice.evidence)}
        code = f"wishes_{one.advice.wish.action}" if one.advice.wish else f"advised_{one.intent.name}"
        await book.left(name, "Succeeded", code=code, rationale=one.advice.text or code, details=details)
    return counsels


async def _planned(book: Book, name: str, reading: Reading) -> None:
    intents = [{"name": one.name, "slots": dict(one.slots), "missing": list(one.missing)} for one in reading.intents]
    details = {"source": reading.source, "intents": intents, "unsure": reading.unsure}
    status = "Succeeded" if reading.intents and not reading.unsure else "NeedsReview"
    code = "message_understood" if status == "Succeeded" else "message_unclear"
    rationale = ", ".join(one.name for one in reading.intents) or reading.unsure or "no known intent"
    await book.left(name, status, code=code, rationale=rationale, details=details, confidence_bp=reading.confidence_bp)


def _advisor_of(intent: Intent, advisors: Mapping[str, Advisor]) -> str:
    return advisors[intent.name].name if intent.name in advisors else "conversation"


def _is_talk(intent: Intent) -> bool:
    return intent.name in ("affirm", "deny", "help", "goodbye")


def _talked(intent: Intent, turn: Turn) -> str:
    if intent.name == "affirm":
        return wording.CARDS_ARE_SIGNED if turn.conversation["open_approvals"] else wording.NOTHING_TO_AFFIRM
    return {"deny": wording.DROPPED, "help": wording.HELP, "goodbye": wording.GOODBYE}[intent.name]


def _said(one: Counsel) -> str:
    return one.advice.text if one.advice else wording.NOT_FOUND_OUT


def asked_by(counsels: Sequence[Counsel]) -> tuple[Intent | None, str]:
    """An advisor that asks back keeps its intent open."""
    for one in counsels:
        if one.advice and one.advice.asks:
            slots = {name: value for name, value in one.intent.slots.items() if name != one.advice.asks}
            return Intent(one.intent.name, slots, (one.advice.asks,)), one.advice.asks
    return None, ""
