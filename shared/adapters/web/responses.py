"""The Responses API on the wire: the body of a request, and an answer read from its stream of events. Pure.

Events are read as the plain objects they arrive as: an endpoint that calls itself compatible may send anything, and
what is not as documented must be "no answer" and never a crash. The final event carries the whole answer, which is
what counts; the deltas before it are read only so that a person sees words as they come.
Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from shared.adapters.strict_schema import misfit, require_strict
from shared.adapters.web.reply_reader import ReplyReader
from shared.ports.language_model import Line, ModelReply, ModelRequest, ToolCall

MAX_TOOL_CALLS = 16
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")


class UnusableError(Exception):
    """This attempt gave no answer. another: whether it makes sense to ask another model. Tokens it cost all the same.

    The message never holds what was sent or what came back.
    """

    def __init__(self, message: str, *, another: bool = True, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.another = another
        self.retry_after_seconds = retry_after_seconds
        self.input_tokens = 0
        self.output_tokens = 0


def body_of(request: ModelRequest, model: str) -> dict[str, Any]:
    """What is posted to `/responses`. Nothing is kept by the provider (`store`). `ValueError`: a schema not strict."""
    require_strict(request.reply_schema)
    members = request.reply_schema.get("properties", {})
    if next(iter(members), "") != "reply" or members["reply"].get("type") != "string":
        raise ValueError("the first member of reply_schema must be `reply`, a string")
    answer = {"type": "json_schema", "name": "answer", "schema": dict(request.reply_schema), "strict": True}
    body = {
        "model": model,
        "input": [item for line in request.lines for item in _items(line)],
        "text": {"format": answer},
        "max_output_tokens": request.max_output_tokens,
        "stream": True,
        "store": False,
    }
    for tool in request.tools:
        require_strict(tool.parameters)
    if request.tools:
        body["tools"] = [{"type": "function", **tool._asdict(), "strict": True} for tool in request.tools]
        body["parallel_tool_calls"] = True
    return body


def _items(line: Line) -> list[dict[str, Any]]:
    if line.role != "tool":
        return [{"role": line.role, "content": line.text}]
    if line.call is None:
        raise ValueError("a line of role `tool` names the call that it answers")
    # Without the provider's item id: one ties a call to the reasoning before it, which `store: False` does not keep.
    asked = {"call_id": line.call.call_id, "name": line.call.name, "arguments": json.dumps(line.call.arguments)}
    return [
        {"type": "function_call", **asked},
        {"type": "function_call_output", "call_id": line.call.call_id, "output": line.text},
    ]


class Answer:
    """One streamed answer. `feed` every event, say what it gives back, then ask for the `result`.

    begun: the model has started to answer. `UnusableError` as soon as it is clear that there will be none.
    """

    def __init__(self, request: ModelRequest, model: str) -> None:
        self.begun = False
        self._request = request
        self._model = model
        self._reader = ReplyReader()
        self._speaking: int | None = None  # which output item holds the answer
        self._silent: set[int] = set()  # output items that are not for the person
        self._calls_tools = False
        self._final: Mapping[str, Any] | None = None

    @property
    def said(self) -> bool:
        """Whether the person has been given any of it."""
        return bool(self._reader.text)

    def feed(self, event: object) -> str:
        """The words of `reply` that this event brought."""
        match event:
            case {
                "type": "response.output_item.added",
                "output_index": int(index),
                "item": {"type": str(kind)} as item,
            }:
                self.begun = True
                self._calls_tools = self._calls_tools or kind == "function_call"
                if kind != "message" or item.get("phase") == "commentary":
                    self._silent.add(index)
            case {"type": "response.output_text.delta", "output_index": int(index), "delta": str(piece)}:
                self.begun = True
                return self._words(index, piece)
            case {"type": "response.completed", "response": {"output": list()} as response}:
                self._final = response
            case {"type": "response.refusal.delta" | "response.refusal.done"}:
                self._fail("declined to answer", another=False)
            case {"type": "response.incomplete", "response": dict(response)}:
                self._final = response
                self._incomplete(response.get("incomplete_details"))
            case {"type": "response.failed", "response": dict(response)}:
                self._final = response
                self._fail(f"failed{code_of(response.get('error'))}")
            case {"type": "error"}:
                self._fail(f"failed{code_of(event)}")
        return ""

    def result(self) -> tuple[ModelReply, str]:
        """The answer, and what of its `reply` has not been said yet (an endpoint need not send deltas)."""
        if self._final is None:
            self._fail("broke off")
        calls, texts = self._outputs(self._final["output"])
        response_id = self._final.get("id")
        reply = ModelReply((), {}, self._model, response_id if isinstance(response_id, str) else "", *self._usage())
        if calls:
            if self.said:
                self._fail("called tools after it had begun to answer")
            return reply._replace(tool_calls=tuple(self._tool_call(call) for call in calls)), ""
        output = self._object("".join(texts), "an answer")
        if wrong := misfit(output, self._request.reply_schema):
            self._fail(f"answered something else than the schema: {wrong}")
        if not output["reply"].startswith(self._reader.text):
            self._fail("completed another answer than it had streamed")
        return reply._replace(output=output), output["reply"][len(self._reader.text) :]

    def _words(self, index: int, piece: str) -> str:
        if self._calls_tools or index in self._silent:
            return ""
        if self._speaking is None:
            self._speaking = index
        if index != self._speaking:
            return ""
        try:
            return self._reader.feed(piece)
        except ValueError:
            self._fail("answered what is not JSON")

    def _outputs(self, items: list[Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
        calls: list[Mapping[str, Any]] = []
        texts: list[str] = []
        for item in items:
            match item:
                case {"type": "function_call"}:
                    calls.append(item)
                case {"type": "message", "content": list(parts)} if item.get("phase") != "commentary":
                    texts += [part["text"] for part in parts if self._is_text(part)]
        if len(calls) > MAX_TOOL_CALLS:
            self._fail(f"called more than {MAX_TOOL_CALLS} tools at once")
        return calls, texts

    def _is_text(self, part: object) -> bool:
        match part:
            case {"type": "refusal"}:
                self._fail("declined to answer", another=False)
            case {"type": "output_text", "text": str()}:
                return True
        return False

    def _tool_call(self, item: Mapping[str, Any]) -> ToolCall:
        call_id, text = item.get("call_id"), item.get("arguments")
        tool = next((one for one in self._request.tools if one.name == item.get("name")), None)
        if tool is None or not (isinstance(call_id, str) and call_id and isinstance(text, str)):
            self._fail("called a tool that it was not given")
        arguments = self._object(text, "a call")
        if wrong := misfit(arguments, tool.parameters):
            self._fail(f"called {tool.name} with something else than its parameters: {wrong}")
        return ToolCall(call_id, tool.name, arguments)

    def _object(self, text: str, what: str) -> Any:
        try:
            value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_number)
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError):
            self._fail(f"gave {what} that is not JSON")
        return value

    def _incomplete(self, details: object) -> NoReturn:
        match details:
            case {"reason": "max_output_tokens"}:
                self._fail(f"had not finished after {self._request.max_output_tokens} tokens")
            case {"reason": "content_filter"}:
                self._fail("was stopped by a content filter", another=False)
        self._fail("left its answer incomplete")

    def _usage(self) -> tuple[int, int]:
        match self._final:
            case {"usage": {"input_tokens": int(given), "output_tokens": int(made)}}:
                return given, made
        return 0, 0

    def _fail(self, what: str, *, another: bool = True) -> NoReturn:
        error = UnusableError(f"{self._model} {what}", another=another)
        error.input_tokens, error.output_tokens = self._usage()
        raise error


def code_of(error: object) -> str:
    """` (its code)`, when it has one that is a code and no text."""
    code = error.get("code") if isinstance(error, Mapping) else None
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(members)
    if len(whole) != len(members):
        raise ValueError("a member is there twice")
    return whole


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
