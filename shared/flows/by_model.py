"""A message answered with a model: the same advisors are its tools, and its wishes go the same way as the grammar's.

A model gains no right that the grammar lacks: its tools are the known intents; what it asks for in the world must be
in the person's own words and comes before any tool's answer has been read; the guard judges it like anybody's wish.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from shared.conversation.grounding import ungrounded
from shared.conversation.intent import INTENTS, Intent
from shared.conversation.redaction import NOTHING, Hidden, Restoring, redact, redact_values, restored, restored_values
from shared.conversation.tools import REPLY_SCHEMA, instructions, intent_called, tools
from shared.flows.by_grammar import advised
from shared.flows.turn import Book, Draft, Turn
from shared.ports.document_store import Body
from shared.ports.language_model import LanguageModel, Line, ModelReply, ModelRequest, ModelUnavailableError, ToolCall
from shared.specialists.advisor import Advisor, Wish
from shared.specialists.counsel import Counsel

HISTORY = 20
"""Earlier messages that the model is shown."""
CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")


class ModelLimits(NamedTuple):
    """rounds: requests of one turn. seconds: for all of them together. tokens: read and written, together."""

    rounds: int = 4
    seconds: float = 25.0
    max_output_tokens: int = 1_200
    tokens: int = 24_000


STANDARD = ModelLimits()


@dataclass(slots=True)
class _Loop:
    """What one turn has gathered so far. read: whether text from outside has entered."""

    lines: list[Line]
    hidden: Hidden
    spoken: list[str]
    counsels: list[Counsel] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    read: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    rounds: int = 0
    refused: list[str] = field(default_factory=list)


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
    }
    own = code if CODE.fullmatch(code) else "model_replied"
    await book.left(name, "Succeeded", code=own, rationale=summary or own, details=details)
    return _draft(turn, loop, reply)


def _draft(turn: Turn, loop: _Loop, reply: ModelReply) -> Draft:
    told = [one.advice for one in loop.counsels if one.advice]
    return Draft(
        text=restored(str(reply.output["reply"]), loop.hidden).strip(),
        source=reply.model,
        specialists=tuple(dict.fromkeys(one.specialist for one in loop.counsels)),
        mentions=tuple(dict.fromkeys(id_ for advice in told for id_ in advice.mentions)),
        wishes=tuple(loop.wishes),
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
    allowed = {call.call_id: intent for call, intent in read if not _refusal(turn, loop, intent)}
    intents = [intent for intent in allowed.values() if isinstance(intent, Intent)]
    counsels = dict(zip(allowed, await advised(turn, book, intents, advisors), strict=True))
    for call, intent in read:
        counsel = counsels.get(call.call_id)
        if counsel is None:
            refused = _refusal(turn, loop, intent)
            loop.refused.append(f"{call.name[:60]}: {refused}")
            _tell(turn, loop, call, {"refused": refused})
            continue
        loop.counsels.append(counsel)
        _tell(turn, loop, call, _result(loop, counsel, preview))
    loop.read = True


def _refusal(turn: Turn, loop: _Loop, intent: Intent | str) -> str:
    """Why a call is not carried out, "" when it is."""
    if isinstance(intent, str):
        return intent
    if not INTENTS[intent.name].acts:
        return ""
    if loop.read:
        return "a wish comes before anything is looked up"
    slot = ungrounded(intent, loop.spoken, currency=turn.context.currency)
    return f"the person has not said {slot}: ask for it" if slot else ""


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
    spoken = [one.body["text"] for one in page.documents if one.body["role"] == "user"]
    return _Loop(lines, hidden, [body["text"], *spoken])
