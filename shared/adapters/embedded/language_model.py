"""`ScriptedLanguageModel`: a language model that says what a script tells it, for tests and demonstrations.

A script is a list of turns. A turn answers one thing that a person says, in steps: each step that calls tools is
followed by the next one once the results are there. Which step is due is read from the request alone, so the same
request always gets the same answer. A question that no turn answers is an error, loudly.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.adapters.strict_schema import misfit, require_strict
from shared.ports.language_model import Line, ModelReply, ModelRequest, ModelUnavailableError, Said, ToolCall

_WORDS = re.compile(r"\s*\S+|\s+\Z")


class UnscriptedQuestionError(AssertionError):
    """Nobody has written what the model is to say to this."""


class Says(NamedTuple):
    """Answers with `output`, or with what it makes of the request's lines (the results of tools are among them).

    begins_after_seconds, word_seconds: how long it takes to begin, and between two words.
    """

    output: Mapping[str, Any] | Callable[[Sequence[Line]], Mapping[str, Any]]
    begins_after_seconds: float = 0.0
    word_seconds: float = 0.0

    def made(self, lines: Sequence[Line]) -> Mapping[str, Any]:
        return self.output(lines) if callable(self.output) else self.output


class Calls(NamedTuple):
    """Calls tools, all at once."""

    tools: tuple[ToolCall, ...]


class Fails(NamedTuple):
    """There is no answer: at once, or after having said something of one."""

    after_saying: str = ""
    reason: str = "the script says so"


Step = Says | Calls | Fails


class Turn:
    """`when`: what the person says last (spelled exactly), or a question to ask of the lines."""

    def __init__(self, when: str | Callable[[Sequence[Line]], bool], *steps: Step) -> None:
        self._when = when
        self._steps = steps

    def step(self, lines: Sequence[Line]) -> Step | None:
        """The step that is due, None when this turn is not meant or has none left."""
        spoken = max((n for n, line in enumerate(lines) if line.role == "user"), default=None)
        if spoken is None:
            return None
        if not (self._when(lines) if callable(self._when) else lines[spoken].text == self._when):
            return None
        answered = [line.call.call_id for line in lines[spoken:] if line.call is not None]
        for step in self._steps:
            asked = [call.call_id for call in step.tools] if isinstance(step, Calls) else []
            if not asked or answered[: len(asked)] != asked:
                return None if answered else step
            answered = answered[len(asked) :]
        return None


def due(script: Sequence[Turn], lines: Sequence[Line]) -> Step:
    """What the first turn that answers these lines says."""
    for turn in script:
        if (step := turn.step(lines)) is not None:
            return step
    last = next((line.text for line in reversed(lines) if line.role == "user"), "")
    results = sum(line.role == "tool" for line in lines)
    raise UnscriptedQuestionError(f"no turn of the script answers {last!r} with {results} results of tools")


class ScriptedLanguageModel:
    """`asked` keeps the latest thousand requests. Tokens are counted as words."""

    def __init__(self, script: Sequence[Turn], *, name: str = "scripted") -> None:
        self.name = name
        self.asked: deque[ModelRequest] = deque(maxlen=1_000)
        self._script = tuple(script)
        self._closed = False

    async def respond(self, request: ModelRequest, *, said: Said) -> ModelReply:
        if self._closed:
            raise ModelUnavailableError(f"{self.name} is closed")
        self.asked.append(request)
        step = due(self._script, request.lines)
        try:
            async with asyncio.timeout(request.timeout_seconds) as limit:
                return await self._carry_out(step, request, said)
        except TimeoutError:
            if not limit.expired():  # the caller's own
                raise
            raise ModelUnavailableError(f"{self.name} did not finish in time") from None

    async def ping(self, *, timeout_seconds: float) -> None:
        """A script is always there, until it is closed."""
        del timeout_seconds
        if self._closed:
            raise ModelUnavailableError(f"{self.name} is closed")

    async def close(self) -> None:
        self._closed = True

    async def _carry_out(self, step: Step, request: ModelRequest, said: Said) -> ModelReply:
        reply = ModelReply(
            (), {}, self.name, f"scripted-{len(request.lines)}", _tokens(line.text for line in request.lines), 0
        )
        require_strict(request.reply_schema)
        for tool in request.tools:
            require_strict(tool.parameters)
        match step:
            case Fails():
                await _say(step.after_saying, 0.0, said)
                raise ModelUnavailableError(f"{self.name} failed: {step.reason}")
            case Calls():
                parameters = {tool.name: tool.parameters for tool in request.tools}
                for call in step.tools:
                    _fits(call.arguments, parameters.get(call.name), f"the call of {call.name}")
                return reply._replace(tool_calls=step.tools, output_tokens=len(step.tools))
        output = step.made(request.lines)
        _fits(output, request.reply_schema, "the answer")
        if (cost := _tokens([output["reply"]])) > request.max_output_tokens:
            raise ModelUnavailableError(f"{self.name} had not finished after {request.max_output_tokens} tokens")
        await asyncio.sleep(step.begins_after_seconds)
        await _say(output["reply"], step.word_seconds, said)
        return reply._replace(output=output, output_tokens=cost)


def words_of(text: str) -> list[str]:
    """`text` in words with the white space before them; joined they are the text."""
    return _WORDS.findall(text)


async def _say(text: str, word_seconds: float, said: Said) -> None:
    for n, word in enumerate(words_of(text)):
        if n and word_seconds:
            await asyncio.sleep(word_seconds)
        await said(word)


def _fits(value: Mapping[str, Any], schema: Mapping[str, Any] | None, what: str) -> None:
    wrong = "that tool was not given" if schema is None else misfit(value, schema)
    if wrong:
        raise UnscriptedQuestionError(f"{what} in the script does not fit the request: {wrong}")


def _tokens(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)
