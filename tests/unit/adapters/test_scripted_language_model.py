"""The scripted model: what only it promises. The rest is in the conformance suite."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.adapters.embedded.language_model import (
    Calls,
    Fails,
    Says,
    ScriptedLanguageModel,
    Turn,
    UnscriptedQuestionError,
)
from shared.ports.language_model import Line, ModelRequest, ModelUnavailableError, Tool, ToolCall

REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {"reply": {"type": "string"}},
    "required": ["reply"],
    "additionalProperties": False,
}
LOOK = Tool("look", "Looks.", {**REPLY, "properties": {"at": {"type": "string"}}, "required": ["at"]})
A, B = ToolCall("a", "look", {"at": "a"}), ToolCall("b", "look", {"at": "b"})


def request(*lines: Line | str) -> ModelRequest:
    spoken = tuple(Line("user", line) if isinstance(line, str) else line for line in lines)
    return ModelRequest(spoken, (LOOK,), REPLY, timeout_seconds=5, max_output_tokens=100)


async def silent(words: str) -> None:
    """Nobody listens."""


async def test_a_question_that_nobody_scripted_is_loud():
    model = ScriptedLanguageModel([Turn("hello", Says({"reply": "Hello."}))])
    with pytest.raises(UnscriptedQuestionError, match="no turn of the script answers 'goodbye' with 0 results"):
        await model.respond(request("hello", "goodbye"), said=silent)
    with pytest.raises(UnscriptedQuestionError, match="no turn"):
        await model.respond(request(), said=silent)
    with pytest.raises(UnscriptedQuestionError, match="with 1 results"):
        await model.respond(request("hello", Line("tool", "{}", A)), said=silent)


async def test_the_step_that_is_due_is_read_from_the_request_alone():
    model = ScriptedLanguageModel([Turn("look", Calls((A,)), Calls((B,)), Says({"reply": "Seen."}))])
    seen_a, seen_b = Line("tool", "{}", A), Line("tool", "{}", B)
    for _ in range(2):  # again, as after a redelivery
        assert (await model.respond(request("look"), said=silent)).tool_calls == (A,)
        assert (await model.respond(request("look", seen_a), said=silent)).tool_calls == (B,)
        assert (await model.respond(request("look", seen_a, seen_b), said=silent)).output == {"reply": "Seen."}
    assert (await model.respond(request("look", seen_a, seen_b, "look"), said=silent)).tool_calls == (A,)
    with pytest.raises(UnscriptedQuestionError):
        await model.respond(request("look", seen_b), said=silent)


async def test_half_the_results_of_a_step_are_not_the_step():
    model = ScriptedLanguageModel([Turn("look", Calls((A, B)), Says({"reply": "Seen."}))])
    with pytest.raises(UnscriptedQuestionError):
        await model.respond(request("look", Line("tool", "{}", A)), said=silent)


async def test_a_turn_may_look_at_all_the_lines():
    model = ScriptedLanguageModel([Turn(lambda lines: len(lines) > 1, Says(lambda lines: {"reply": lines[0].text}))])
    assert (await model.respond(request("one", "two"), said=silent)).output == {"reply": "one"}
    with pytest.raises(UnscriptedQuestionError):
        await model.respond(request("one"), said=silent)


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (Says({"answer": "Hello."}), r"the answer in the script does not fit the request: \$ has a member"),
        (Says({"reply": 5}), r"\$\.reply is not of type string"),
        (Calls((ToolCall("a", "look", {"at": 5}),)), r"the call of look .* \$\.at is not of type string"),
        (Calls((ToolCall("a", "touch", {}),)), "the call of touch .* that tool was not given"),
    ],
)
async def test_a_script_that_a_real_model_could_not_follow_is_loud(step: Says | Calls, wrong: str):
    with pytest.raises(UnscriptedQuestionError, match=wrong):
        await ScriptedLanguageModel([Turn("hello", step)]).respond(request("hello"), said=silent)


async def test_a_failure_says_why_and_what_it_was_asked_is_kept():
    model = ScriptedLanguageModel([Turn("hello", Fails(reason="out of order"))])
    with pytest.raises(ModelUnavailableError, match="scripted failed: out of order"):
        await model.respond(request("hello"), said=silent)
    assert [one.lines[-1].text for one in model.asked] == ["hello"]


async def test_slow_words_do_not_keep_others_waiting():
    model = ScriptedLanguageModel(
        [Turn("slow", Says({"reply": "a b c"}, word_seconds=0.05)), Turn("x", Says({"reply": "x"}))]
    )
    slow = asyncio.create_task(model.respond(request("slow"), said=silent))
    await model.respond(request("x"), said=silent)
    assert not slow.done()
    assert (await slow).output == {"reply": "a b c"}
