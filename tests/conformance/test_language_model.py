"""What every language model promises (`shared/ports/language_model.py`), held against each adapter.

The same script is told by the scripted model, and by an endpoint on this machine that the web adapter talks to.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from shared.adapters.embedded.language_model import Calls, Fails, Says, ScriptedLanguageModel, Turn
from shared.adapters.web.language_model import OpenAILanguageModel
from shared.ports.language_model import LanguageModel, Line, ModelRequest, ModelUnavailableError, Tool, ToolCall
from tests.journeys.model_server import ModelServer

REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reply": {"type": "string"},
        "outcome": {"type": "string", "enum": ["answered", "unsure"]},
        "about": {"type": ["string", "null"]},
    },
    "required": ["reply", "outcome", "about"],
    "additionalProperties": False,
}
SPENDING = Tool(
    "spending",
    "How much was spent on a category.",
    {
        "type": "object",
        "properties": {"category": {"type": "string"}, "months": {"type": "integer", "minimum": 1}},
        "required": ["category", "months"],
        "additionalProperties": False,
    },
)
FOOD = ToolCall("call-1", "spending", {"category": "groceries", "months": 1})
RENT = ToolCall("call-2", "spending", {"category": "rent", "months": 2})
WORDS = 'You spent  €64.12 on "food":\n\t- TESCO \\ 5512 \U0001f600 \x1b done.'


def output(reply: str, outcome: str = "answered", about: str | None = None) -> dict[str, Any]:
    return {"reply": reply, "outcome": outcome, "about": about}


def told(lines: Any) -> dict[str, Any]:
    return output(" and ".join(str(json.loads(line.text)["minor"]) for line in lines if line.role == "tool"))


SCRIPT = [
    Turn("hello", Says(output(WORDS))),
    Turn("nothing", Says(output(""))),
    Turn("slow", Says(output("one two three four"), begins_after_seconds=0.2, word_seconds=0.1)),
    Turn("what did I spend?", Calls((FOOD,)), Says(told)),
    Turn("on both?", Calls((FOOD, RENT)), Says(told)),
    Turn("fail", Fails()),
    Turn("fail midway", Fails(after_saying="You spent")),
    Turn("at length", Says(output("word " * 40))),
]


@pytest.fixture(params=["scripted", "openai"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[LanguageModel]:
    with ExitStack() as stack:
        if request.param == "scripted":
            opened: LanguageModel = ScriptedLanguageModel(SCRIPT, name="first")
        else:
            server = stack.enter_context(ModelServer(SCRIPT))
            opened = OpenAILanguageModel(name="first", api_key="key", base_url=server.url)
        yield opened
        await opened.close()


class Person:
    """Hears what is said, and when."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.at: list[float] = []

    async def __call__(self, words: str) -> None:
        self.words.append(words)
        self.at.append(time.monotonic())

    @property
    def heard(self) -> str:
        return "".join(self.words)


@pytest.fixture
def person() -> Iterator[Person]:
    return Person()


def ask(text: str, *more: Line, tools: tuple[Tool, ...] = (SPENDING,), seconds: float = 10, tokens: int = 500):
    lines = (Line("developer", "Answer from the ledger."), Line("assistant", "Good day."), Line("user", text), *more)
    return ModelRequest(lines, tools, REPLY, timeout_seconds=seconds, max_output_tokens=tokens)


def result(call: ToolCall, minor: int) -> Line:
    return Line("tool", json.dumps({"minor": minor}), call)


async def test_an_answer_is_of_the_schema_and_its_reply_was_said_word_by_word(model: LanguageModel, person: Person):
    reply = await model.respond(ask("hello"), said=person)
    assert reply.output == output(WORDS)
    assert person.heard == WORDS
    assert len(person.words) > 4
    assert reply.tool_calls == ()
    assert reply.model == "first"
    assert reply.response_id
    assert reply.input_tokens > 0 < reply.output_tokens


async def test_an_empty_reply_is_an_answer_in_silence(model: LanguageModel, person: Person):
    reply = await model.respond(ask("nothing"), said=person)
    assert (reply.output["reply"], person.heard) == ("", "")


async def test_words_are_said_when_they_come_and_not_at_the_end(model: LanguageModel, person: Person):
    started = time.monotonic()
    await model.respond(ask("nothing"), said=person)
    await model.respond(ask("slow"), said=person)
    ended = time.monotonic()
    assert person.heard == "one two three four"
    assert person.at[0] - started < ended - started - 0.25
    assert person.at[-1] - person.at[0] > 0.25


async def test_a_tool_call_comes_back_alone_and_its_result_leads_to_the_answer(model: LanguageModel, person: Person):
    first = await model.respond(ask("what did I spend?"), said=person)
    assert (first.tool_calls, first.output, person.heard) == ((FOOD,), {}, "")
    second = await model.respond(ask("what did I spend?", result(first.tool_calls[0], 6412)), said=person)
    assert (second.tool_calls, second.output) == ((), output("6412"))


async def test_several_tools_may_be_called_at_once(model: LanguageModel, person: Person):
    first = await model.respond(ask("on both?"), said=person)
    assert first.tool_calls == (FOOD, RENT)
    results = [result(call, minor) for call, minor in zip(first.tool_calls, (6412, 165000), strict=True)]
    second = await model.respond(ask("on both?", *results), said=person)
    assert person.heard == second.output["reply"] == "6412 and 165000"


async def test_the_same_question_gets_the_same_answer_every_time(model: LanguageModel, person: Person):
    replies = await asyncio.gather(*[model.respond(ask("hello"), said=person) for _ in range(5)])
    assert [reply.output for reply in replies] == [output(WORDS)] * 5


async def test_a_model_that_fails_is_unavailable_and_has_said_nothing(model: LanguageModel, person: Person):
    with pytest.raises(ModelUnavailableError, match="first failed"):
        await model.respond(ask("fail"), said=person)
    assert person.heard == ""


async def test_a_model_that_fails_midway_is_unavailable(model: LanguageModel, person: Person):
    with pytest.raises(ModelUnavailableError, match="first failed"):
        await model.respond(ask("fail midway"), said=person)
    assert person.heard == "You spent"


async def test_the_whole_call_ends_within_its_time(model: LanguageModel, person: Person):
    await model.respond(ask("nothing"), said=person)
    started = time.monotonic()
    with pytest.raises(ModelUnavailableError, match="in time"):
        await model.respond(ask("slow", seconds=0.35), said=person)
    assert time.monotonic() - started < 0.6
    assert "one two three four".startswith(person.heard)


async def test_an_answer_costs_no_more_than_was_allowed(model: LanguageModel, person: Person):
    assert (await model.respond(ask("at length", tokens=60), said=person)).output["reply"] == "word " * 40
    with pytest.raises(ModelUnavailableError, match="had not finished after 20 tokens"):
        await model.respond(ask("at length", tokens=20), said=person)


async def test_what_the_listener_raises_is_the_callers_own(model: LanguageModel):
    async def gone(words: str) -> None:
        raise TimeoutError("the person has left")

    with pytest.raises(TimeoutError, match="the person has left"):
        await model.respond(ask("hello"), said=gone)


async def test_a_cancelled_call_ends_at_once_and_the_next_one_works(model: LanguageModel, person: Person):
    await model.respond(ask("nothing"), said=person)
    task = asyncio.create_task(model.respond(ask("slow"), said=person))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await model.respond(ask("hello"), said=person)).output == output(WORDS)


@pytest.mark.parametrize(
    "schema",
    [
        {**REPLY, "additionalProperties": True},
        {**REPLY, "required": ["reply"]},
        {**REPLY, "properties": {**REPLY["properties"], "about": {"type": "string", "format": "date"}}},
    ],
)
async def test_a_schema_that_is_not_strict_is_a_mistake_and_not_a_missing_answer(
    model: LanguageModel, person: Person, schema: dict[str, Any]
):
    with pytest.raises(ValueError, match=r"^\$"):
        await model.respond(ask("hello")._replace(reply_schema=schema), said=person)
    tool = SPENDING._replace(parameters={**SPENDING.parameters, "required": []})
    with pytest.raises(ValueError, match=r"^\$"):
        await model.respond(ask("hello", tools=(tool,)), said=person)


async def test_a_closed_model_is_unavailable(model: LanguageModel, person: Person):
    await model.respond(ask("hello"), said=person)
    await model.close()
    await model.close()
    with pytest.raises(ModelUnavailableError):
        await model.respond(ask("hello"), said=person)
    with pytest.raises(ModelUnavailableError):
        await model.ping(timeout_seconds=5)


async def test_a_ping_asks_no_model_anything(model: LanguageModel):
    await model.ping(timeout_seconds=5)  # a question that nobody scripted would be refused
