"""A language model: what every adapter promises.

* **respond** is one request and one answer: either tool calls that the caller carries out and brings back, or an
  `output` of exactly the JSON Schema asked for (strict structured output), never both.
* Words of the output's `reply` member are handed to `said` as they come, in order; joined they are that member.
* The request's `timeout_seconds` bounds the whole call, `max_output_tokens` what it may cost.
* When the first choice fails or is too slow to begin, and nothing has been said, the adapter tries its fallback model
  once, within the same time; `ModelReply.model` names the one that answered. A refusal is not gone round.
* A model that is down, late, refuses, or answers something else than the schema is `ModelUnavailableError`, whose
  message holds nothing of what was sent or came back. Nothing said before the error may be taken for an answer.
* **ping** proves sign-in and connection at no cost, or raises `ModelUnavailableError`; it asks no model anything.
* Nothing else escapes, but for what is not the model's: what `said` raises, a cancellation, and `ValueError` for a
  schema that is not strict.
* Account numbers are redacted before anything leaves (`shared/conversation/redaction.py`): by the caller, who knows
  what they are; an adapter sends what it is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from shared.errors import RetryableError

Said = Callable[[str], Awaitable[None]]


class ModelUnavailableError(RetryableError):
    """There is no usable answer: fail closed."""

    code = "model_unavailable"


class Tool(NamedTuple):
    """A function the model may ask for. parameters: a strict JSON Schema object (all members required, closed)."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class ToolCall(NamedTuple):
    """The model asks for `name` with `arguments`; `call_id` ties the result to it."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]


class Line(NamedTuple):
    """One line of what the model is told. role `tool` carries a result: `text` is JSON, `call` what it answers."""

    role: Literal["developer", "user", "assistant", "tool"]
    text: str
    call: ToolCall | None = None


class ModelRequest(NamedTuple):
    """lines: oldest first. reply_schema: a strict JSON Schema whose first member is `reply` (text for the person)."""

    lines: tuple[Line, ...]
    tools: tuple[Tool, ...]
    reply_schema: Mapping[str, Any]
    timeout_seconds: float
    max_output_tokens: int


class ModelReply(NamedTuple):
    """Either `tool_calls`, or `output`. Tokens as the provider counted them, those of a failed first attempt too."""

    tool_calls: tuple[ToolCall, ...]
    output: Mapping[str, Any]
    model: str
    response_id: str
    input_tokens: int
    output_tokens: int


class LanguageModel(Protocol):
    """See the module docstring. `name` is the deployment or model asked first."""

    name: str

    async def respond(self, request: ModelRequest, *, said: Said) -> ModelReply: ...

    async def ping(self, *, timeout_seconds: float) -> None: ...

    async def close(self) -> None: ...
