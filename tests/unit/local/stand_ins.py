"""A runtime without Microsoft's: functions are plain coroutines that a test gives."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from local.runtime import Function, Outcome


class ScriptedRuntime:
    """`handlers`: (kind, name) -> a coroutine of the decoded input; raising is failing."""

    def __init__(self, handlers: dict[tuple[str, str], Callable[[Any], Awaitable[None]]], **bindings: Any) -> None:
        self._handlers = handlers
        self.functions = {name: Function(name, name, kind, "given", bindings.get(name, {})) for kind, name in handlers}

    def of_kind(self, kind: str) -> list[Function]:
        return [function for function in self.functions.values() if function.kind == kind]

    async def _run(self, function: Function, given: object) -> Outcome:
        try:
            await self._handlers[function.kind, function.name](given)
        except RuntimeError as error:
            return Outcome(False, None, repr(error))
        return Outcome(True, None, "")

    async def event_grid(self, function: Function, invocation_id: str, event_json: str) -> Outcome:
        return await self._run(function, json.loads(event_json))

    async def timer(self, function: Function, invocation_id: str, status_json: str) -> Outcome:
        return await self._run(function, json.loads(status_json))

    async def service_bus(
        self, function: Function, invocation_id: str, body: bytes, fields: dict[str, Any], properties: str
    ) -> Outcome:
        return await self._run(function, {"body": body, "properties": properties, **fields})
