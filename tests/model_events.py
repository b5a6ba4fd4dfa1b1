"""The Responses API seen from the provider's side: the events that a script's steps become, as they are streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from shared.adapters.embedded.language_model import Calls, Fails, Says, Step, words_of
from shared.ports.language_model import Line, ToolCall

Event = dict[str, Any]
RESPONSE: Event = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_772_366_400,
    "store": False,
    "error": None,
    "instructions": None,
    "metadata": {},
    "incomplete_details": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "usage": None,
}
USAGE = {
    "input_tokens": 31,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 17,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 48,
}


def lines_of(body: Mapping[str, Any]) -> tuple[Line, ...]:
    """The lines that a request's body carries."""
    calls: dict[str, ToolCall] = {}
    lines = []
    for item in body["input"]:
        if item.get("type") == "function_call":
            calls[item["call_id"]] = ToolCall(item["call_id"], item["name"], json.loads(item["arguments"]))
        elif item.get("type") == "function_call_output":
            lines.append(Line("tool", item["output"], calls[item["call_id"]]))
        else:
            lines.append(Line(item["role"], item["content"]))
    return tuple(lines)


def events_of(step: Step, body: Mapping[str, Any]) -> Iterator[Event]:
    """What a provider streams for one step of a script. A token is a word here."""
    model, tokens = body["model"], body["max_output_tokens"]
    match step:
        case Says():
            answer = dict(step.made(lines_of(body)))
            pieces = pieces_of(json.dumps(answer, ensure_ascii=False))
            if len(answer["reply"].split()) <= tokens:
                yield from spoken(pieces, model=model)
            else:
                yield from list(spoken(pieces, model=model))[: tokens + 4]
                yield incomplete("max_output_tokens")
        case Calls():
            yield from called(step.tools, model=model)
        case Fails():
            cut = json.dumps({"reply": step.after_saying}, ensure_ascii=False).removesuffix('"}')
            yield from list(spoken([cut], model=model))[:5] if step.after_saying else [created(model)]
            yield failed("server_error", model=model)


def pieces_of(text: str) -> list[str]:
    """JSON text in pieces about as long as tokens."""
    return words_of(text)


def created(model: str = "first") -> Event:
    return {"type": "response.created", "response": {**RESPONSE, "model": model, "status": "in_progress", "output": []}}


def completed(output: Sequence[Mapping[str, Any]], *, model: str = "first") -> Event:
    response = {**RESPONSE, "model": model, "status": "completed", "output": list(output), "usage": USAGE}
    return {"type": "response.completed", "response": response}


def failed(code: str, *, model: str = "first") -> Event:
    error = {"code": code, "message": "The server had an error while it read: what did I spend?"}
    return {
        "type": "response.failed",
        "response": {**RESPONSE, "model": model, "status": "failed", "output": [], "error": error, "usage": USAGE},
    }


def incomplete(reason: str) -> Event:
    details = {"incomplete_details": {"reason": reason}, "status": "incomplete", "output": [], "usage": USAGE}
    return {"type": "response.incomplete", "response": {**RESPONSE, "model": "first", **details}}


def message(text: str, *, index: int = 0, **more: Any) -> Event:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{index}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
        **more,
    }


def spoken(pieces: Iterable[str], *, model: str = "first", index: int = 0, **more: Any) -> Iterator[Event]:
    """A whole answer whose text comes in these pieces. `more`: members of the message item, such as `phase`."""
    pieces = list(pieces)
    yield created(model)
    yield {"type": "response.in_progress", "response": {**RESPONSE, "model": model, "output": []}}
    item = message("".join(pieces), index=index, **more)
    yield from message_events(item, pieces, index=index)
    yield completed([item], model=model)


def message_events(item: Mapping[str, Any], pieces: Iterable[str], *, index: int = 0) -> Iterator[Event]:
    at = {"item_id": item["id"], "output_index": index, "content_index": 0}
    begun = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    yield {"type": "response.content_part.added", **at, "part": {**item["content"][0], "text": ""}}
    for piece in pieces:
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": item["content"][0]["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": item["content"][0]}
    yield {"type": "response.output_item.done", "output_index": index, "item": dict(item)}


def called(calls: Sequence[ToolCall], *, model: str = "first") -> Iterator[Event]:
    """A whole answer that calls tools."""
    yield created(model)
    items = []
    for index, call in enumerate(calls):
        arguments = json.dumps(dict(call.arguments))
        item = {"id": f"fc_{index}", "type": "function_call", "call_id": call.call_id, "name": call.name}
        at = {"item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "arguments": ""}}
        for piece in pieces_of(arguments):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
        items.append({**item, "arguments": arguments, "status": "completed"})
        yield {"type": "response.function_call_arguments.done", **at, "name": call.name, "arguments": arguments}
        yield {"type": "response.output_item.done", "output_index": index, "item": items[-1]}
    yield completed(items, model=model)


def refused(text: str = "I can't help with that.") -> Iterator[Event]:
    """A whole answer that is a refusal."""
    item = {**message(""), "content": [{"type": "refusal", "refusal": text}]}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield created()
    yield {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}}
    yield {"type": "response.refusal.delta", **at, "delta": text}
    yield {"type": "response.refusal.done", **at, "refusal": text}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield completed([item])


def frames(events: Iterable[Event]) -> Iterator[bytes]:
    """Server-sent events, numbered as the provider numbers them."""
    for number, event in zip(count(), events, strict=False):
        yield f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n".encode()
