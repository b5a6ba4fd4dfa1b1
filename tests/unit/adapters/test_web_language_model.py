"""The web adapter, through the package's own HTTP client: what it sends, and what it makes of every kind of answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.adapters.web.language_model import OpenAILanguageModel
from shared.errors import ConfigurationError
from shared.ports.language_model import Line, ModelReply, ModelRequest, ModelUnavailableError, Tool, ToolCall
from tests.model_events import (
    called,
    completed,
    created,
    failed,
    frames,
    incomplete,
    message,
    message_events,
    refused,
    spoken,
)

QUESTION = "what did I spend at the clinic?"
REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {"reply": {"type": "string"}, "outcome": {"type": "string", "enum": ["answered", "unsure"]}},
    "required": ["reply", "outcome"],
    "additionalProperties": False,
}
LOOK = Tool(
    "look",
    "Looks something up.",
    {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"], "additionalProperties": False},
)
REQUEST = ModelRequest((Line("developer", "Be brief."), Line("user", QUESTION)), (LOOK,), REPLY, 5.0, 300)
GOOD = '{"reply": "About €64.", "outcome": "answered"}'
GOOD_PIECES = ['{"re', 'ply": "', "About", " €6", '4."', ', "outcome": "answered"}']
type Answering = Callable[[httpx2.Request], httpx2.Response]


def stream(events: Iterable[dict[str, Any]]) -> httpx2.Response:
    return raw(b"".join(frames(events)))


def raw(body: bytes | AsyncIterator[bytes], status: int = 200, **headers: str) -> httpx2.Response:
    told = {"content-type": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx2.Response(status, headers=told, content=body)


def refusal_of(status: int, code: str | None = "some_code", **headers: str) -> httpx2.Response:
    """As providers do it, with the prompt in the message."""
    body = {"error": {"message": f"Could not answer: {QUESTION}", "type": "x", "param": None, "code": code}}
    return httpx2.Response(status, headers=headers, json=body)


class Provider:
    """Answers each request with the next of `answers`, keeping what it was sent; counts what was said."""

    def __init__(self, *answers: httpx2.Response | Exception | Answering) -> None:
        self._answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.said: list[str] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else answer(request)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]

    async def asked(self, request: ModelRequest = REQUEST, **options: Any) -> ModelReply:
        model = OpenAILanguageModel(
            **{"name": "first", "api_key": "key", "base_url": "https://model.example/openai/v1/", **options},
            transport=httpx2.MockTransport(self),
        )
        try:
            return await model.respond(request, said=self.hear)
        finally:
            await model.close()

    async def hear(self, words: str) -> None:
        self.said.append(words)


async def failure(provider: Provider, request: ModelRequest = REQUEST, **options: Any) -> ModelUnavailableError:
    with pytest.raises(ModelUnavailableError) as caught:
        await provider.asked(request, **options)
    whole = "".join(traceback.format_exception(caught.value))
    assert QUESTION not in whole
    assert "key" not in str(caught.value).lower().replace("openai_api_key", "")
    return caught.value


# What is sent


async def test_a_request_says_what_is_wanted_strictly_and_leaves_nothing_behind():
    look = ToolCall("call-1", "look", {"at": "x"})
    lines = (*REQUEST.lines, Line("tool", '{"n": 1}', look), Line("assistant", "One."), Line("user", "And?"))
    provider = Provider(stream(spoken([GOOD])))
    await provider.asked(REQUEST._replace(lines=lines))
    [sent], [body] = provider.requests, provider.bodies
    assert str(sent.url) == "https://model.example/openai/v1/responses"
    assert sent.headers["authorization"] == "Bearer key"
    assert body == {
        "model": "first",
        "input": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
            {"type": "function_call", "call_id": "call-1", "name": "look", "arguments": '{"at": "x"}'},
            {"type": "function_call_output", "call_id": "call-1", "output": '{"n": 1}'},
            {"role": "assistant", "content": "One."},
            {"role": "user", "content": "And?"},
        ],
        "text": {"format": {"type": "json_schema", "name": "answer", "strict": True, "schema": REPLY}},
        "tools": [{"type": "function", **LOOK._asdict(), "strict": True}],
        "parallel_tool_calls": True,
        "max_output_tokens": 300,
        "stream": True,
        "store": False,
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx2.Response(200, json={"data": []}), ""),
        (refusal_of(404), ""),
        (refusal_of(501), ""),
        (refusal_of(401), "first refused our credentials"),
        (refusal_of(403), "or the roles of the identity"),
        (refusal_of(503), "first failed (503)"),
        (httpx2.ConnectError("no route"), "first cannot be reached"),
    ],
    ids=["a list", "no list", "no list either", "a stranger", "no role", "down", "unreachable"],
)
async def test_a_ping_proves_sign_in_and_connection_and_costs_nothing(answer: httpx2.Response | Exception, said: str):
    provider = Provider(answer)
    model = OpenAILanguageModel(
        name="first", api_key="key", base_url="https://model.example/v1", transport=httpx2.MockTransport(provider)
    )
    try:
        await model.ping(timeout_seconds=5)
        told = ""
    except ModelUnavailableError as failed:
        told = str(failed)
    assert said in told
    assert bool(told) is bool(said)
    assert QUESTION not in told
    assert [(sent.method, sent.url.path) for sent in provider.requests] == [("GET", "/v1/models")]
    await model.close()


async def test_without_tools_none_are_mentioned():
    provider = Provider(stream(spoken([GOOD])))
    await provider.asked(REQUEST._replace(tools=()))
    assert not {"tools", "parallel_tool_calls"} & provider.bodies[0].keys()


async def test_an_identity_gives_a_fresh_token_for_every_request():
    tokens: Iterator[str] = iter(["one", "two"])

    async def token() -> str:
        return next(tokens)

    provider = Provider(stream(spoken([GOOD])), stream(spoken([GOOD])))
    model = OpenAILanguageModel(name="first", api_key=token, transport=httpx2.MockTransport(provider))
    await model.respond(REQUEST, said=provider.hear)
    await model.respond(REQUEST, said=provider.hear)
    await model.close()
    assert [sent.headers["authorization"] for sent in provider.requests] == ["Bearer one", "Bearer two"]
    assert str(provider.requests[0].url) == "https://api.openai.com/v1/responses"


async def test_an_identity_without_a_token_is_no_answer_and_no_request():
    async def token() -> str:
        raise PermissionError(f"no identity here; {QUESTION}")

    provider = Provider()
    error = await failure(provider, api_key=token, fallback="second")
    assert str(error) == "no token for the model: PermissionError"
    assert provider.requests == []


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    provider = Provider(stream(spoken([GOOD])))
    await provider.asked(base_url="", api_key="")
    assert provider.requests[0].url.host == "api.openai.com"
    assert provider.requests[0].headers["authorization"] == "Bearer none"


@pytest.mark.parametrize("address", ["model.example/v1", "file:///v1", "https://", "ftp://x"])
def test_an_address_that_is_none_is_named(address: str):
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        OpenAILanguageModel(name="first", api_key="key", base_url=address)


async def test_a_schema_must_begin_with_the_words_for_the_person():
    other = {**REPLY, "properties": dict(reversed(REPLY["properties"].items()))}
    with pytest.raises(ValueError, match="first member of reply_schema must be `reply`"):
        await Provider().asked(REQUEST._replace(reply_schema=other))


# Answers


async def test_words_are_said_as_they_come_and_usage_is_counted():
    provider = Provider(stream(spoken(GOOD_PIECES)))
    reply = await provider.asked()
    assert reply == ModelReply((), json.loads(GOOD), "first", "resp_1", 31, 17)
    assert provider.said == ["About", " €6", "4."]


async def test_an_endpoint_that_streams_nothing_before_the_end_is_heard_all_the_same():
    provider = Provider(stream([created(), completed([message(GOOD)])]))
    assert (await provider.asked()).output == json.loads(GOOD)
    assert provider.said == ["About €64."]


async def test_thinking_and_remarks_by_the_way_are_not_for_the_person():
    remark = message("I will look it up.", index=1, phase="commentary")
    answer = message(GOOD, index=2, phase="final_answer")
    thought = {"id": "rs_1", "type": "reasoning", "summary": []}
    events = [
        created(),
        {"type": "response.output_item.added", "output_index": 0, "item": thought},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": '{"reply": "hm"}'},
        *message_events(remark, ["I will", " look it up."], index=1),
        *message_events(answer, GOOD_PIECES, index=2),
        {"type": "response.something.new", "whatever": [1]},
        completed([thought, remark, answer]),
    ]
    provider = Provider(stream(events))
    assert (await provider.asked()).output == json.loads(GOOD)
    assert provider.said == ["About", " €6", "4."]


async def test_several_tool_calls_come_back_together_and_nothing_is_said():
    calls = (ToolCall("a", "look", {"at": "x"}), ToolCall("b", "look", {"at": "é😀"}))
    provider = Provider(stream(called(calls)))
    reply = await provider.asked()
    assert (reply.tool_calls, reply.output, provider.said) == (calls, {}, [])


async def test_a_message_beside_a_tool_call_is_not_said():
    call = {"id": "fc", "type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at": "x"}'}
    events = [
        created(),
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        *message_events(message(GOOD, index=1), GOOD_PIECES, index=1),
        completed([call, message(GOOD, index=1)]),
    ]
    provider = Provider(stream(events))
    assert (await provider.asked()).tool_calls == (ToolCall("a", "look", {"at": "x"}),)
    assert provider.said == []


async def test_a_tool_call_after_words_is_no_answer():
    call = {"id": "fc", "type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at": "x"}'}
    events = [created(), *message_events(message(GOOD), GOOD_PIECES), completed([message(GOOD), call])]
    error = await failure(Provider(stream(events)))
    assert str(error) == "first called tools after it had begun to answer"


def call_of(**changes: Any) -> Iterator[dict[str, Any]]:
    item = {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at": "x"}', **changes}
    yield from [created(), completed([{name: value for name, value in item.items() if value is not None}])]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (spoken(["About €64."]), "gave an answer that is not JSON"),
        (spoken([""]), "gave an answer that is not JSON"),
        (spoken(['["reply"]']), "something else than the schema: $ is not of type object"),
        (spoken(['{"reply": "x"}']), "something else than the schema: $.outcome is missing"),
        (spoken(['{"reply": 5, "outcome": "unsure"}']), "schema: $.reply is not of type string"),
        (spoken(['{"reply": "x", "outcome": "sure"}']), "schema: $.outcome is not one of the values"),
        (spoken(['{"reply": "x", "outcome": "unsure", "extra": 1}']), "schema: $ has a member that is not listed"),
        (spoken(['{"reply": "x", "outcome": "unsure", "outcome": "unsure"}']), "gave an answer that is not JSON"),
        (spoken(['{"reply": "x\\ud83d", "outcome": "unsure"}']), "not JSON"),
        (spoken(['{"reply": "x", "outcome": NaN}']), "gave an answer that is not JSON"),
        (spoken(["[" * 100_000]), "gave an answer that is not JSON"),
        (refused(), "declined to answer"),
        ([created(), incomplete("max_output_tokens")], "had not finished after 300 tokens"),
        ([created(), incomplete("content_filter")], "was stopped by a content filter"),
        ([created(), incomplete("other")], "left its answer incomplete"),
        ([created(), failed("server_error")], "failed (server_error)"),
        ([created(), failed(QUESTION)], "first failed"),
        ([{"type": "error", "code": "rate_limit_exceeded", "message": QUESTION}], "failed (rate_limit_ex"),
        ([{"type": "error", "error": {"code": "overloaded", "message": QUESTION}}], "failed (overloaded)"),
        ([created()], "broke off"),
        ([created(), {"type": "response.completed", "response": {}}], "broke off"),
        ([created(), completed([])], "gave an answer that is not JSON"),
        ([created(), *message_events(message(GOOD), GOOD_PIECES), completed([message(GOOD.replace("64", "65"))])],
         "completed another answer than it had streamed"),
        (call_of(name="touch"), "called a tool that it was not given"),
        (call_of(call_id=None), "called a tool that it was not given"),
        (call_of(arguments=None), "called a tool that it was not given"),
        (call_of(arguments="{"), "gave a call that is not JSON"),
        (call_of(arguments='{"at": "\\ud83d"}'), "gave a call that is not JSON"),
        (call_of(arguments="[]"), "called look with something else than its parameters: $ is not of type object"),
        (call_of(arguments='{"at": 5}'), "called look with something else than its parameters: $.at is not of type"),
        ([created(), completed([{"type": "function_call"}] * 17)], "called more than 16 tools at once"),
        ([{"type": "response.output_text.delta", "output_index": "0", "delta": 5}], "broke off"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_said_to_be_none_and_why(events: Iterable[dict[str, Any]], why: str):
    assert why in str(await failure(Provider(stream(events))))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>hello</html>", b"data: {not json\n\n", b"data: \xff\xfe\n\n", b"data: [DONE]\n\n"),
        *(b"data: 5\n\n", b"data: null\n\n", b'data: {"type": []}\n\n', b'data: {"error": {"message": "x"}}\n\n'),
    ],
)
async def test_what_is_no_stream_of_events_is_no_answer(body: bytes):
    await failure(Provider(raw(body)))


def test_the_events_in_these_tests_are_those_that_the_provider_documents():
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    look = ToolCall("a", "look", {"at": "x"})
    documented: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    seen = set()
    for events in (
        *(spoken(GOOD_PIECES), spoken(GOOD_PIECES, phase="final_answer"), called([look, look]), refused()),
        *([failed("server_error")], [incomplete("max_output_tokens")], [incomplete("content_filter")]),
    ):
        for frame in frames(events):
            event = json.loads(frame.partition(b"data: ")[2])
            assert documented.validate_python(event).type == event["type"]
            seen.add(event["type"])
    assert len(seen) == 15


# What goes wrong on the way


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (400, "first refused the request (400) (some_code)"),
        (401, "first refused our credentials; check OPENAI_API_KEY, or the roles of the identity (401) (some_code)"),
        (403, "first refused our credentials"),
        (404, "first is not known at that address; check MODEL and OPENAI_BASE_URL (404)"),
        (409, "first refused the request (409)"),
        (422, "first refused the request (422)"),
        (429, "first is over its rate limit or quota (429)"),
        (500, "first failed (500)"),
        (503, "first failed (503)"),
    ],
)
async def test_a_status_is_told_with_what_to_do_and_nothing_of_what_was_sent(status: int, why: str):
    provider = Provider(refusal_of(status))
    assert str(await failure(provider)).startswith(why)
    assert len(provider.requests) == 1


async def test_a_code_that_is_text_is_not_repeated():
    assert str(await failure(Provider(refusal_of(400, QUESTION)))) == "first refused the request (400)"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("99999", 3600.0), ("Wed, 21 Oct", None), ("-1", None)])
async def test_how_long_to_wait_is_passed_on_and_not_waited_for(header: str, seconds: float | None):
    started = time.monotonic()
    error = await failure(Provider(refusal_of(429, **{"retry-after": header})))
    assert error.retry_after_seconds == seconds
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (httpx2.ConnectError("no route"), "cannot be reached, or the connection broke"),
        (httpx2.RemoteProtocolError("gone"), "cannot be reached, or the connection broke"),
        (httpx2.ConnectTimeout("slow"), "did not answer in time"),
        (httpx2.ReadTimeout("slow"), "did not answer in time"),
    ],
)
async def test_a_broken_connection_is_no_answer(trouble: Exception, why: str):
    provider = Provider(trouble)
    assert why in str(await failure(provider))
    assert len(provider.requests) == 1


async def broken_after(events: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    for frame in frames(events):
        yield frame
    raise httpx2.ReadError("reset by peer")


async def endless(events: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    for frame in frames(events):
        yield frame
    await asyncio.sleep(60)


async def test_a_connection_that_breaks_midway_is_no_answer():
    provider = Provider(raw(broken_after(list(spoken(GOOD_PIECES))[:8])), stream(spoken([GOOD])))
    assert "the connection broke" in str(await failure(provider, fallback="second"))
    assert "".join(provider.said) == "About €6"
    assert len(provider.requests) == 1  # a person who has heard the beginning of one answer is not given another


# The fallback


@pytest.mark.parametrize(
    "first",
    [
        httpx2.ConnectError("no route"),
        refusal_of(404),
        refusal_of(429),
        refusal_of(503),
        stream([created(), failed("server_error")]),
        stream([created(), incomplete("max_output_tokens")]),
        stream([created()]),
        stream(spoken(["not JSON"])),
        stream(call_of(name="touch")),
    ],
    ids=lambda first: getattr(first, "status_code", "error"),
)
async def test_the_fallback_is_asked_once_when_nothing_has_been_said(first: Any):
    if isinstance(first, httpx2.Response):
        first = httpx2.Response(first.status_code, headers=first.headers, content=first.content)
    provider = Provider(first, stream(spoken(GOOD_PIECES, model="second")))
    reply = await provider.asked(fallback="second")
    assert (reply.output, reply.model) == (json.loads(GOOD), "second")
    assert [body["model"] for body in provider.bodies] == ["first", "second"]
    assert {**provider.bodies[0], "model": "second"} == provider.bodies[1]
    assert "".join(provider.said) == "About €64."


async def test_tokens_of_the_attempt_that_failed_are_counted_too():
    provider = Provider(stream([created(), incomplete("max_output_tokens")]), stream(spoken([GOOD])))
    reply = await provider.asked(fallback="second")
    assert (reply.input_tokens, reply.output_tokens) == (62, 34)


@pytest.mark.parametrize(
    "first",
    [refused(), [created(), incomplete("content_filter")]],
    ids=["refusal", "content filter"],
)
async def test_a_model_that_declines_is_not_gone_round(first: Iterable[dict[str, Any]]):
    provider = Provider(stream(first))
    await failure(provider, fallback="second")
    assert len(provider.requests) == 1


async def test_credentials_that_are_refused_are_not_tried_again():
    provider = Provider(refusal_of(401))
    await failure(provider, fallback="second")
    assert len(provider.requests) == 1


async def test_when_both_fail_both_are_told():
    provider = Provider(refusal_of(503, **{"retry-after": "3"}), refusal_of(429, **{"retry-after": "9"}))
    error = await failure(provider, fallback="second")
    assert str(error) == "first failed (503) (some_code); second is over its rate limit or quota (429) (some_code)"
    assert error.retry_after_seconds == 9


async def test_a_model_that_does_not_begin_leaves_half_of_the_time_to_the_other():
    provider = Provider(raw(endless([created()])), stream(spoken([GOOD], model="second")))
    await Provider(stream(spoken([GOOD]))).asked()  # the package is loaded
    started = time.monotonic()
    reply = await provider.asked(REQUEST._replace(timeout_seconds=0.6), fallback="second")
    assert reply.model == "second"
    assert 0.25 < time.monotonic() - started < 0.55


async def test_a_model_that_has_begun_to_think_is_given_the_whole_time():
    thought = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}}

    async def thinking() -> AsyncIterator[bytes]:
        yield b"".join(frames([created(), thought]))
        await asyncio.sleep(0.4)
        yield b"".join(frames([*message_events(message(GOOD, index=1), [GOOD], index=1), completed([message(GOOD)])]))

    await Provider(stream(spoken([GOOD]))).asked()
    reply = await Provider(raw(thinking())).asked(REQUEST._replace(timeout_seconds=0.7), fallback="second")
    assert reply.model == "first"


async def test_when_time_is_up_it_is_up_for_both():
    await Provider(stream(spoken([GOOD]))).asked()
    provider = Provider(raw(endless([created()])), raw(endless([created()])))
    started = time.monotonic()
    error = await failure(provider, REQUEST._replace(timeout_seconds=0.4), fallback="second")
    assert time.monotonic() - started < 0.6
    assert str(error) == "first did not begin to answer in time; second did not begin to answer in time"


# Life


async def test_answers_at_once_share_one_client_and_a_stream_left_early_is_closed():
    closed: list[bool] = []

    async def watched() -> AsyncIterator[bytes]:
        try:
            yield b"".join(frames(list(spoken(GOOD_PIECES))[:8]))
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    speaking = asyncio.Semaphore(0)

    async def hear(words: str) -> None:
        speaking.release()

    model = OpenAILanguageModel(
        name="first", api_key="key", transport=httpx2.MockTransport(Provider(*[raw(watched()) for _ in range(3)]))
    )
    tasks = [asyncio.create_task(model.respond(REQUEST, said=hear)) for _ in range(3)]
    for _ in range(6):  # two words of each
        await asyncio.wait_for(speaking.acquire(), 5)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert closed == [True] * 3
    await model.close()


def test_the_package_is_not_loaded_before_it_is_needed():
    program = (
        "import sys; from shared.adapters.web.language_model import OpenAILanguageModel as M; "
        "M(name='m', api_key='k'); print({'openai', 'httpx2', 'pydantic'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
