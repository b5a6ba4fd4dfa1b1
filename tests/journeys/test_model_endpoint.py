"""The web adapter over real sockets: an endpoint that is slow, refuses, breaks off or is gone."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from shared.adapters.embedded.language_model import Says, Turn
from shared.adapters.web.language_model import OpenAILanguageModel
from shared.ports.language_model import Line, ModelRequest, ModelUnavailableError
from tests.journeys.model_server import ModelServer, Trouble

REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {"reply": {"type": "string"}},
    "required": ["reply"],
    "additionalProperties": False,
}
ASKED = ModelRequest((Line("user", "hello"),), (), REPLY, timeout_seconds=5, max_output_tokens=100)
HELLO = {"reply": "Hello, and good morning to you."}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer([Turn("hello", Says(HELLO, begins_after_seconds=0.05, word_seconds=0.01))]) as opened:
        yield opened


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[OpenAILanguageModel]:
    opened = OpenAILanguageModel(name="first", fallback="second", api_key="key", base_url=server.url)
    yield opened
    await opened.close()


class Person:
    def __init__(self) -> None:
        self.heard = ""
        self.first_at = 0.0

    async def __call__(self, words: str) -> None:
        self.first_at = self.first_at or time.monotonic()
        self.heard += words


async def test_the_first_word_is_passed_on_within_milliseconds(server: ModelServer, model: OpenAILanguageModel):
    waits = []
    for _ in range(10):
        person = Person()
        assert (await model.respond(ASKED, said=person)).output == HELLO
        waits.append(person.first_at - server.received[-1].first_word_at[0])
    assert statistics.median(waits) < 0.02


async def test_while_the_first_model_is_down_the_other_one_answers(server: ModelServer, model: OpenAILanguageModel):
    server.meets(Trouble(503), model="first")
    person = Person()
    assert (await model.respond(ASKED, said=person)).model == "second"
    server.recovers()
    assert (await model.respond(ASKED, said=person)).model == "first"
    assert person.heard == HELLO["reply"] * 2
    assert [one.body["model"] for one in server.received] == ["first", "second", "first"]


async def test_a_connection_that_breaks_before_a_word_leads_to_the_other(
    server: ModelServer, model: OpenAILanguageModel
):
    server.meets(Trouble(after_words=0))
    assert (await model.respond(ASKED, said=Person())).model == "second"


async def test_a_connection_that_breaks_after_a_word_is_no_answer(server: ModelServer, model: OpenAILanguageModel):
    server.meets(Trouble(after_words=3))
    person = Person()
    with pytest.raises(ModelUnavailableError, match="first cannot be reached, or the connection broke"):
        await model.respond(ASKED, said=person)
    assert person.heard == "Hello, and"
    assert len(server.received) == 1


async def test_a_model_that_keeps_silent_leaves_time_for_the_other(server: ModelServer, model: OpenAILanguageModel):
    await model.respond(ASKED, said=Person())
    server.meets(Trouble(silent_seconds=2), model="first")
    started = time.monotonic()
    assert (await model.respond(ASKED._replace(timeout_seconds=1.0), said=Person())).model == "second"
    assert time.monotonic() - started < 1.0


async def test_when_both_are_down_that_is_told_and_afterwards_it_works(server: ModelServer, model: OpenAILanguageModel):
    server.meets(Trouble(429, {"Retry-After": "7"}), model="first")
    server.meets(Trouble(500), model="second")
    with pytest.raises(ModelUnavailableError, match=r"first is over its rate limit .* second failed") as caught:
        await model.respond(ASKED, said=Person())
    assert caught.value.retry_after_seconds == 7
    server.recovers()
    assert (await model.respond(ASKED, said=Person())).output == HELLO


async def test_where_nobody_listens_there_is_no_answer():
    with ModelServer([]) as gone:
        url = gone.url
    model = OpenAILanguageModel(name="first", api_key="key", base_url=url)
    started = time.monotonic()
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        await model.respond(ASKED, said=Person())
    assert time.monotonic() - started < 2
    await model.close()


async def test_a_question_that_nobody_scripted_is_refused_and_remembered():
    with ModelServer([]) as server:
        model = OpenAILanguageModel(name="first", api_key="key", base_url=server.url)
        with pytest.raises(ModelUnavailableError, match="refused the request"):
            await model.respond(ASKED, said=Person())
        await model.close()
        assert "no turn of the script answers 'hello'" in server.unscripted.pop()
