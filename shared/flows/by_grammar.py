"""A message understood without a model: the grammar reads it, advisors are asked, templates say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.conversation import grammar, wording
from shared.conversation.context import WISH
from shared.conversation.intent import Intent, Reading
from shared.conversation.talked_about import kept, leaned_on, pending_of, questioned
from shared.conversation.tools import TALK
from shared.flows.making_way import Understood, open_cards, status, understood
from shared.flows.turn import Book, Draft, Still, Turn
from shared.guard.reasons import REASONS
from shared.specialists.advisor import Advisor
from shared.specialists.counsel import Counsel, consult


async def drafted(turn: Turn, book: Book, advisors: Mapping[str, Advisor], *, acting: bool = True) -> Draft:
    """What the grammar understands and the advisors say. acting: whether anything is asked for in the world."""
    name = await book.entered("plan")
    heard = await understood(turn) if acting else Understood(grammar.read(turn.text, heard=turn.context))
    reading = heard.reading
    await _planned(book, name, reading)
    ready = [intent for intent in reading.intents if not intent.missing and intent.name not in TALK]
    counsels = await advised(turn, book, ready, advisors)
    still = still_open(turn, reading, counsels)
    parts = [_said(one) for one in counsels]
    parts += [await _talked(intent, turn, heard) for intent in reading.intents if intent.name in TALK]
    parts += [heard.said, "" if heard.said and not reading.intents else _asked(turn, reading, still)]
    told = [one.advice for one in counsels if one.advice]
    wishes = tuple(advice.wish for advice in told if advice.wish)
    if wishes and not acting:
        parts, wishes, still = [*parts, wording.ADVICE_ONLY], (), still._replace(wished=None)
    return Draft(
        text="\n\n".join(part for part in parts if part),
        source=reading.source,
        specialists=tuple(dict.fromkeys(one.specialist for one in counsels)),
        mentions=tuple(dict.fromkeys(id_ for advice in told for id_ in advice.mentions)),
        wishes=wishes,
        still=still,
        gone=heard.gone,
        recent={**turn.context.recent, **leaned_on(reading)},
    )


def still_open(turn: Turn, reading: Reading, counsels: Sequence[Counsel]) -> Still:
    """What stays talked about once the advisors have said what they need."""
    before = turn.context.pending
    pending, asked = kept(turn.context, reading, asking=asking(counsels))
    revised = reading.revises is not None and pending is not None and pending.name == reading.revises.name
    goes_on = revised or (pending is not None and pending is before)
    held = pending_of(turn.conversation) if goes_on else None
    question = questioned(turn.context, reading)
    for one in counsels[::-1]:
        if pending and not pending.missing and one.intent.name == pending.name and one.advice and one.advice.wish:
            return Still(one.intent, asked, one.advice.wish, held, question)
    return Still(pending, asked, None, held, question)


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


async def _talked(intent: Intent, turn: Turn, heard: Understood) -> str:
    """About the conversation itself. A yes signs nothing; what became of a no is said in `heard`."""
    if intent.name == "status":
        return await status(turn)
    if intent.name != "affirm":
        dropped = "" if heard.said else wording.DROPPED
        return {"deny": dropped, "help": wording.HELP, "goodbye": wording.GOODBYE}[intent.name]
    if turn.context.pending is not None and turn.context.pending.missing:
        return ""  # what is missing is asked for again
    cards = await open_cards(turn)
    return wording.signed_elsewhere(cards) if cards else wording.NOTHING_TO_AFFIRM


def _asked(turn: Turn, reading: Reading, still: Still) -> str:
    """The question that the reply ends with. An advisor's own is in its advice."""
    pending = still.pending
    if reading.unsure:
        again = pending if still.asked not in ("", WISH) and pending is not None and pending.missing else None
        candidate = reading.candidate or (pending if still.asked == WISH else None)
        return wording.unsure(reading.unsure, candidate, again=again)
    lacking = next((intent for intent in reading.intents if intent.missing), None)
    if lacking is None and pending is turn.context.pending and still.asked and pending is not None:
        lacking = pending  # a yes, where something is missing
    if lacking is not None:
        return wording.asking_for(lacking)
    return "" if reading.intents else wording.SMALL_TALK


def _said(one: Counsel) -> str:
    return one.advice.text if one.advice else wording.NOT_FOUND_OUT


def asking(counsels: Sequence[Counsel]) -> list[Intent]:
    """Intents that an advisor asks back about, each missing what it asks for."""
    found = []
    for one in counsels:
        if one.advice and one.advice.asks:
            slots = {name: value for name, value in one.intent.slots.items() if name != one.advice.asks}
            found.append(Intent(one.intent.name, slots, (one.advice.asks,)))
    return found
