"""Ports with a span around every call: what an adapter does is seen without the adapter knowing of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, cast

from shared.adapters.azure.cosmos_charges import counted
from shared.ports.language_model import LanguageModel, ModelReply, ModelRequest, Said
from shared.ports.tracer import Attributes, Tracer


def traced[P](port: P, tracer: Tracer, name: str, methods: Sequence[str]) -> P:
    """`port` with a span `<name> <method>` around each call of one of `methods`; all else is its own."""
    return cast(P, _Traced(port, tracer, name, methods))


class _Traced:
    def __init__(self, port: Any, tracer: Tracer, name: str, methods: Sequence[str]) -> None:
        self._port = port
        for method in methods:
            setattr(self, method, _spanned(getattr(port, method), tracer, f"{name} {method}"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


def _spanned(call: Callable[..., Awaitable[Any]], tracer: Tracer, name: str) -> Callable[..., Any]:
    @wraps(call)
    async def spanned(*args: Any, **kwargs: Any) -> Any:
        with tracer.span(name, kind="client") as span, counted() as charges:
            try:
                return await call(*args, **kwargs)
            finally:
                if charges.requests:
                    span.tell({"azure.cosmosdb.operation.request_charge": charges.total_units})

    return spanned


class TracedLanguageModel:
    """A `LanguageModel` whose calls are spans by the GenAI semantic conventions (operation `chat`), without content.

    provider: `openai`, or `azure.ai.openai` for a deployment on Azure. address: of the endpoint; "" for the provider's
    own. Source: opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans, "Inference" (Development).
    """

    def __init__(self, model: LanguageModel, tracer: Tracer, *, provider: str, address: str = "") -> None:
        self._model = model
        self._tracer = tracer
        self._provider = provider
        self._where: Attributes = {"server.address": address} if address else {}
        self.name = model.name

    async def respond(self, request: ModelRequest, *, said: Said) -> ModelReply:
        asked: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": self.name,
            "gen_ai.request.max_tokens": request.max_output_tokens,
            "gen_ai.output.type": "json",
            **self._where,
        }
        with self._tracer.span(f"chat {self.name}", kind="client", attributes=asked) as span:
            reply = await self._model.respond(request, said=said)
            span.tell(
                {
                    "gen_ai.response.model": reply.model,
                    "gen_ai.response.id": reply.response_id,
                    "gen_ai.response.finish_reasons": ("tool_calls" if reply.tool_calls else "stop",),
                    "gen_ai.usage.input_tokens": reply.input_tokens,
                    "gen_ai.usage.output_tokens": reply.output_tokens,
                    "countersign.tool_calls": len(reply.tool_calls),
                }
            )
            return reply

    async def ping(self, *, timeout_seconds: float) -> None:
        await self._model.ping(timeout_seconds=timeout_seconds)

    async def close(self) -> None:
        await self._model.close()
