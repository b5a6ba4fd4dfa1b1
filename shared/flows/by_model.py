"""A message answered with a model: the same advisors are its tools, and its wishes go the same way as the grammar's.

A model gains no right that the grammar lacks: its tools are the known intents; what it asks for in the world must be
a wish that the grammar finds in the person's own words, or one that the person has said yes to, and comes before any
tool's answer has been read; the guard judges it like anybody's wish.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from shared.conversation import wording
from shared.conversation.context import WISH
from shared.conversation.grounding import beyond, together, ungrounded, voiced_as
from shared.conversation.intent import Intent, Reading
from shared.conversation.redaction import NOTHING, Hidden, Restoring, redact, redact_values, restored, restored_values
from shared.conversation.tools import CODES, REPLY_SCHEMA, instructions, intent_called, tools
from shared.flows.by_grammar import advised, still_open
from shared.flows.making_way import Understood, understood
from shared.flows.turn import Book, Draft, Still, Turn
from shared.ports.document_store import Body
from shared.ports.language_model import LanguageModel, Line, ModelReply, ModelRequest, ModelUnavailableError, ToolCall
from shared.specialists.advisor import Advisor, Wish
from shared.specialists.counsel import Counsel

HISTORY = 20
"""Earlier messages that the model is shown."""
PUT_TO_THE_PERSON = "the person is asked by us whether this is wanted: nothing is noted yet"
MAY_BE_MEANT = "I may have heard a wish that you did not voice"


class ModelLimits(NamedTuple):
    """rounds: requests of one turn. seconds: for all of them together. tokens: read and written, together."""

    rounds: int = 4
    seconds: float = 25.0
    max_output_tokens: int = 1_200
    tokens: int = 24_000


STANDARD = ModelLimits()


@dataclass(slots=True)
class _Loop:
    """What one turn has gathered so far. spoken: the person's words. heard: as the grammar reads the newest of them,
    and the cards that make way for it. voiced: the wishes that it finds there, each for one call. put: what the person
    is to be asked. read: whether text from outside has entered. denied: whether a wish was refused that nobody voiced.
    """

    lines: list[Line]
    hidden: Hidden
    spoken: list[str]
    heard: Understood
    voiced: list[Intent]
    put: Intent | None = None
    counsels: list[Counsel] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    read: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    rounds: int = 0
    refused: list[str] = field(default_factory=list)
    denied: bool = False


async def drafted(
    turn: Turn,
    book: Book,
    advisors: Mapping[str, Advisor],
    model: LanguageModel,
    *,
    limits: ModelLimits,
    disposition: str,
    preview: Callable[[Wish], Body],
) -> Draft:
    """The model's answer, a stage of the book. preview: what the guard thinks of a wish, as the model is told it.

    Raises `ModelUnavailableError`; then nothing of this counts, whatever was said.
    """
    name = await book.entered("model")
    loop = await _loop(turn, disposition)
    try:
        async with asyncio.timeout(limits.seconds):
            await _affirmed(turn, book, advisors, loop, preview=preview)
            reply = await _rounds(turn, book, advisors, model, loop, limits=limits, preview=preview)
    except (ModelUnavailableError, TimeoutError) as failed:
        details = {"model": model.name, "rounds": loop.rounds}
        why = str(failed) or "the model took too long"
        await book.left(name, "Failed", code="model_unavailable", rationale=why, details=details)
        raise ModelUnavailableError(why) from failed
    summary, code = str(reply.output["response_summary"]), str(reply.output["outcome_code"])
    details = {
        "model": reply.model,
        "response_id": reply.response_id,
        "response_summary": restored(summary, loop.hidden)[:500],
        "outcome_code": code[:120],
        "input_tokens": loop.input_tokens,
        "output_tokens": loop.output_tokens,
        "rounds": loop.rounds,
        "refused": loop.refused[:10],
        "asked_back": loop.put.name if loop.put else "",
    }
    own = code if code in CODES else "model_replied"
    await book.left(name, "Succeeded", code=own, rationale=summary or own, details=details)
    return await _draft(turn, book, loop, reply)


async def _draft(turn: Turn, book: Book, loop: _Loop, reply: ModelReply) -> Draft:
    """What the model has said, and in our own words what it must not be believed on."""
    told = [one.advice for one in loop.counsels if one.advice]
    ours = ""
    if loop.put is not None:
        ours = f"\n\n{wording.unsure(MAY_BE_MEANT, loop.put)}"
    elif loop.denied and not loop.wishes:
        ours = f"\n\n{wording.NOTHING_ASKED_FOR}"
    heard = _believed(loop)
    ours += f"\n\n{heard.said}" * bool(heard.said)
    await book.say(ours)
    return Draft(
        text=restored(str(reply.output["reply"]), loop.hidden) + ours,
        source=reply.model,
        specialists=tuple(dict.fromkeys(one.specialist for one in loop.counsels)),
        mentions=tuple(dict.fromkeys(id_ for advice in told for id_ in advice.mentions)),
        wishes=tuple(loop.wishes),
        still=_still_open(turn, loop, heard.reading),
        gone=heard.gone,
        recent=turn.context.recent,
        said=True,
        tokens=(loop.input_tokens, loop.output_tokens),
    )


async def _rounds(
    turn: Turn,
    book: Book,
    advisors: Mapping[str, Advisor],
    model: LanguageModel,
    loop: _Loop,
    *,
    limits: ModelLimits,
    preview: Callable[[Wish], Body],
) -> ModelReply:
    """Requests until there is an answer. In the last round there are no tools: the model has to answer."""
    for number in range(1, limits.rounds + 1):
        loop.rounds = number
        restoring = Restoring(loop.hidden)

        async def said(words: str, restoring: Restoring = restoring) -> None:
            await book.say(restoring.feed(words))

        offered = () if number == limits.rounds else tools(acting=not loop.read)
        request = ModelRequest(tuple(loop.lines), offered, REPLY_SCHEMA, limits.seconds, limits.max_output_tokens)
        reply = await model.respond(request, said=said)
        await book.say(restoring.rest())
        loop.input_tokens += reply.input_tokens
        loop.output_tokens += reply.output_tokens
        if not (reply.tool_calls or str(reply.output["reply"]).strip() or loop.wishes or loop.put):
            raise ModelUnavailableError("the model said nothing")
        if not reply.tool_calls:
            return reply
        if loop.input_tokens + loop.output_tokens > limits.tokens:
            raise ModelUnavailableError("the turn's token budget is used up")
        await _called(turn, book, advisors, loop, reply.tool_calls, preview=preview)
    raise ModelUnavailableError(f"no answer after {limits.rounds} rounds")


async def _called(
    turn: Turn,
    book: Book,
    advisors: Mapping[str, Advisor],
    loop: _Loop,
    calls: Sequence[ToolCall],
    *,
    preview: Callable[[Wish], Body],
) -> None:
    """Carry out the calls of one round, and tell the model what came of them."""
    read = [(call, intent_called(call.name, restored_values(call.arguments, loop.hidden))) for call in calls]
    verdicts = [(call, _verdict(turn, loop, intent)) for call, intent in read]
    intents = [one for _, one in verdicts if isinstance(one, Intent)]
    counsels = iter(await advised(turn, book, intents, advisors))
    for call, verdict in verdicts:
        if isinstance(verdict, str):
            loop.refused.append(f"{call.name[:60]}: {verdict}")
            _tell(turn, loop, call, {"refused": verdict})
            continue
        counsel = next(counsels)
        loop.counsels.append(counsel)
        _tell(turn, loop, call, _result(loop, counsel, preview))
    loop.read = True


async def _affirmed(
    turn: Turn,
    book: Book,
    advisors: Mapping[str, Advisor],
    loop: _Loop,
    *,
    preview: Callable[[Wish], Body],
) -> None:
    """A wish that we have put to the person, who says yes: it is theirs, whatever the model makes of the yes."""
    pending = turn.context.pending
    if turn.context.asked != WISH or pending is None:
        return
    wished = next((one for one in loop.voiced if one.name == pending.name), None)
    if wished is None:
        return
    (counsel,) = await advised(turn, book, [wished], advisors)
    loop.counsels.append(counsel)
    slots, loop.hidden = redact_values(wished.slots, turn.profile["accounts"], loop.hidden)
    _tell(turn, loop, ToolCall("affirmed", wished.name, slots), _result(loop, counsel, preview))
    loop.read = True


def _verdict(turn: Turn, loop: _Loop, intent: Intent | str) -> Intent | str:
    """What is carried out for a call, or why nothing is."""
    if isinstance(intent, str) or not intent.acts:
        return intent
    if loop.read:
        loop.denied = True
        return "a wish comes before anything is looked up"
    own = voiced_as(intent, loop.voiced)
    slot = ungrounded(beyond(intent, own), loop.spoken, currency=turn.context.currency)
    if slot:
        loop.denied = True
        return f"the person has not said {slot}: ask for it"
    if own is not None:
        loop.voiced.remove(own)
        return together(intent, own)
    loop.put = loop.put or intent
    return PUT_TO_THE_PERSON


def _still_open(turn: Turn, loop: _Loop, reading: Reading) -> Still:
    """What the person's next message may answer, and the slot that was asked for."""
    if loop.put is not None:
        return Still(loop.put, WISH, question=turn.context.question)
    asked = loop.heard.said and not loop.heard.gone  # by us, about what came too late; a model asks in its own words
    return still_open(turn, reading if asked else reading._replace(candidate=None), loop.counsels)


def _believed(loop: _Loop) -> Understood:
    """What the person said, less a correction that the model has not taken up: the card waits until it is."""
    reading = loop.heard.reading
    revised = reading.revises
    if revised is None or any(wish.action == revised.acts for wish in loop.wishes):
        return loop.heard
    others = tuple(intent for intent in reading.intents if intent is not revised)
    return Understood(reading._replace(intents=others, revises=None))


def _result(loop: _Loop, counsel: Counsel, preview: Callable[[Wish], Body]) -> Body:
    if counsel.advice is None:
        return {"failed": counsel.failed}
    told: Body = {"text": counsel.advice.text, "facts": dict(counsel.advice.facts)}
    if counsel.advice.wish is None:
        return told
    loop.wishes.append(counsel.advice.wish)
    return {**told, "judgement": preview(counsel.advice.wish)}


def _tell(turn: Turn, loop: _Loop, call: ToolCall, result: Mapping[str, Any]) -> None:
    safe, loop.hidden = redact_values(result, turn.profile["accounts"], loop.hidden)
    loop.lines.append(Line("tool", orjson.dumps(safe).decode(), call))


async def _loop(turn: Turn, disposition: str) -> _Loop:
    """The conversation as the model is shown it, redacted; and the person's own words in it, as they are."""
    work, body = turn.work, turn.message.body
    page = await work.store.query(
        work.partition, "message", key=("conversation", body["conversation_id"]),
        high=f"{body['turn']:08d}:0", descending=True, limit=HISTORY,
    )  # fmt: skip
    hidden = NOTHING
    lines = [Line("developer", instructions(turn.context, disposition))]
    for earlier in [*(document.body for document in reversed(page.documents)), body]:
        if earlier["status"] == "superseded" or "erased_at" in earlier:
            continue
        text, hidden = redact(earlier["text"], turn.profile["accounts"], hidden)
        lines.append(Line("user" if earlier["role"] == "user" else "assistant", text))
    earlier_words = [one.body for one in page.documents if one.body["role"] == "user"]
    spoken = [one["text"] for one in earlier_words if one["status"] != "superseded"]
    heard = await understood(turn)
    voiced = [one for one in heard.reading.intents if one.acts]
    return _Loop(lines, hidden, [body["text"], *spoken], heard, voiced)
