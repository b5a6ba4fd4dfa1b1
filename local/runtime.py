"""The one module that touches Microsoft's `azure_functions_runtime`: index the app, then invoke its functions.

The package is what the platform itself runs, so bindings decode here as they do there. Its entry points are internal
API: `tests/functions/test_runtime_canary.py` fails first when a new version moves them. It keeps its registry in
globals, so a process hosts one app.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import random
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from local import log
from local.protobuf_stand_ins import StatusResult, http_invocation, init_request
from shared.errors import ConfigurationError

logger = logging.getLogger("countersign.local.runtime")

_PREFIX = "-".join(f"{random.getrandbits(bits):0{bits // 4}x}" for bits in (32, 16, 16, 16)) + "-"
_invocations = itertools.count(1)
LISTEN_SECONDS = 10.0
FORGET_SECONDS = 5.0
type Metadata = dict[str, Any]

TRIGGERS = {
    "httpTrigger": "http",
    "serviceBusTrigger": "service_bus",
    "eventGridTrigger": "event_grid",
    "timerTrigger": "timer",
}


class Function(NamedTuple):
    """One indexed function. `kind`: one of `TRIGGERS`' values; `binding`: its trigger as Microsoft's indexer saw it."""

    name: str
    id: str
    kind: str
    parameter: str
    binding: dict[str, Any]


class Outcome(NamedTuple):
    """What an invocation came to; `value` is the runtime's own datum of `$return`, or None."""

    ok: bool
    value: Any
    error: str


class Reply(NamedTuple):
    """An HTTP function's answer."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def new_invocation_id() -> str:
    """A GUID to correlate log lines with: the process and a number. Nobody's security rests on it, so it is cheap."""
    return f"{_PREFIX}{next(_invocations):012x}"


class Runtime:
    """The indexed app. Made by `Runtime.start`.

    web_server: where the HTTP requests of an HTTP v2 app go, "" for an app that has its requests given with `http`.
    """

    def __init__(self, functions: Sequence[Function], timeout_seconds: float, web_server: str = "") -> None:
        from azure_functions_runtime.bindings.datumdef import Datum
        from azure_functions_runtime.native_invocation import invocation_request_native

        self._timeout_seconds = timeout_seconds if timeout_seconds != float("inf") else None
        self.functions = {function.name: function for function in functions}
        self.web_server = web_server
        self._datum: Any = Datum
        self._native: Any = invocation_request_native
        self._no_properties: Any = Datum("{}", "json")

    @classmethod
    async def start(cls, app_dir: Path, *, timeout_seconds: float = 1800.0) -> Runtime:
        """Import and index `function_app.py`; `ConfigurationError` with Microsoft's own words when it cannot be."""
        from azure_functions_runtime import handle_event, start_threadpool_executor

        script = os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
        if not (app_dir / script).is_file():
            raise ConfigurationError(f"{app_dir / script} does not exist: --app-dir must name the folder that holds it")
        sys.path[:] = [str(app_dir), *(entry for entry in sys.path if entry != str(app_dir))]
        microsoft = logging.getLogger("azure.functions")
        level = microsoft.level
        microsoft.setLevel(logging.CRITICAL)  # a failure is told below, in one line
        try:
            response = await handle_event.worker_init_request(init_request(str(app_dir)))
        finally:
            microsoft.setLevel(level)
        if response.result.status != StatusResult.Success:
            raise ConfigurationError(f"the app could not be indexed: {_first_line(response.result.exception.message)}")
        start_threadpool_executor()
        found = _functions(handle_event._metadata_result or [])  # noqa: SLF001 the only view of the index there is
        address = response.capabilities.get("HttpUri", "")
        if address:
            _one_way_to_log()
            await _listening(address)
        return cls(found, timeout_seconds, address)

    def of_kind(self, kind: str) -> list[Function]:
        """The functions with one kind of trigger, by name."""
        return sorted((f for f in self.functions.values() if f.kind == kind), key=lambda f: f.name)

    async def http(
        self,
        function: Function,
        invocation_id: str,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        route: Mapping[str, str],
        body: bytes,
    ) -> Outcome:
        """Invoke an HTTP function; read the answer with `reply_of`."""
        datum = self._datum
        request = {
            "method": datum(method, "string"),
            "url": datum(url, "string"),
            "headers": {name: datum(value, "string") for name, value in headers.items()},
            "query": {name: datum(value, "string") for name, value in query.items()},
            "params": {name: datum(value, "string") for name, value in route.items()},
            "body": datum(body, "bytes"),
        }
        return await self._invoke(function, invocation_id, datum(request, "http"), {}, headers.get("traceparent", ""))

    async def http_v2(
        self, function: Function, invocation_id: str, *, method: str, url: str, route: Mapping[str, str], trace: str
    ) -> Outcome:
        """Invoke a function of an HTTP v2 app. The request itself goes to `web_server`, before or after, with the
        header `x-ms-invocation-id`; its answer comes from there, also when the function fails (a plain 500)."""
        from azure_functions_runtime.handle_event import invocation_request

        log.invocation.set((function.name, invocation_id))
        request = http_invocation(
            invocation_id, function.id, function.parameter, method=method, url=url, route=route, traceparent=trace
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = (await invocation_request(request)).result
        except (TimeoutError, KeyError) as failed:  # a KeyError: it failed before its request had come
            error = f"{type(failed).__name__}: no answer within {self._timeout_seconds} s (functionTimeout)"
            _end_http_v2(invocation_id, RuntimeError(error))
            return Outcome(False, None, error)
        finally:
            _forget_http_v2(invocation_id)
        ok = result.status == StatusResult.Success
        return Outcome(ok, None, "" if ok else result.exception.message)

    async def service_bus(
        self, function: Function, invocation_id: str, body: bytes, fields: Mapping[str, str | int], properties: str
    ) -> Outcome:
        """Invoke a Service Bus function with one message. `properties`: the application properties as JSON text."""
        datum = self._datum
        metadata: Metadata = {
            name: datum(value, "int" if type(value) is int else "string") for name, value in fields.items()
        }
        # Without `UserProperties` the converter cannot tell one message from a batch, and refuses both.
        given = datum(properties, "json") if properties else self._no_properties
        metadata["UserProperties"] = metadata["ApplicationProperties"] = given
        return await self._invoke(function, invocation_id, datum(body, "bytes"), metadata, "")

    async def event_grid(self, function: Function, invocation_id: str, event_json: str) -> Outcome:
        """Invoke an Event Grid function with one event of either schema, as JSON text."""
        return await self._invoke(function, invocation_id, self._datum(event_json, "json"), {}, "")

    async def timer(self, function: Function, invocation_id: str, status_json: str) -> Outcome:
        """Invoke a timer function. `status_json`: {"IsPastDue", "ScheduleStatus", "Schedule"}."""
        return await self._invoke(function, invocation_id, self._datum(status_json, "json"), {}, "")

    async def _invoke(
        self, function: Function, invocation_id: str, datum: object, metadata: Metadata, traceparent: str
    ) -> Outcome:
        log.invocation.set((function.name, invocation_id))
        inputs = [(function.parameter, datum)]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                ok, value, _outputs, error, _trace = await self._native(
                    invocation_id, function.id, inputs, metadata, traceparent
                )
        except TimeoutError:
            logger.error("function %s took longer than functionTimeout and was cancelled", function.name)  # noqa: TRY400
            return Outcome(False, None, f"TimeoutError: no result within {self._timeout_seconds} s (functionTimeout)")
        return Outcome(ok, value, error or "")

    @staticmethod
    def reply_of(outcome: Outcome) -> Reply:
        """The answer of a successful HTTP invocation: an `HttpResponse`, a plain `str`, or nothing (204)."""
        datum = outcome.value
        if datum is None or datum.value is None:
            return Reply(204, (), b"")
        if datum.type != "http":
            return Reply(200, (("content-type", "text/plain; charset=utf-8"),), str(datum.value).encode())
        value = datum.value
        headers = [(name, header.value) for name, header in value["headers"].items()]
        headers += [("Set-Cookie", morsel.OutputString()) for jar in value["cookies"] or () for morsel in jar.values()]
        return Reply(int(value["status_code"].value), headers, value["body"].value)

    @staticmethod
    def stop() -> None:
        """Wait for functions that run in threads, then let the threads go."""
        from azure_functions_runtime import stop_threadpool_executor

        stop_threadpool_executor()


def _one_way_to_log() -> None:
    """Before the web server of an HTTP v2 app starts, which is when it would set up log lines of its own."""
    from uvicorn.config import LOGGING_CONFIG

    LOGGING_CONFIG.clear()
    LOGGING_CONFIG.update(version=1, disable_existing_loggers=False, incremental=True)


async def _listening(address: str) -> None:
    """Wait for the web server of an HTTP v2 app."""
    host, _, port = address.rpartition("/")[2].partition(":")
    async with asyncio.timeout(LISTEN_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionRefusedError:
                await asyncio.sleep(0.005)
                continue
            writer.close()
            return


def _end_http_v2(invocation_id: str, failed: Exception) -> None:
    """Answer the request of an invocation that will never answer it, whether it has come yet or not."""
    from azure_functions_runtime.http_v2 import AsyncContextReference, http_coordinator

    http_coordinator._context_references.setdefault(invocation_id, AsyncContextReference())  # noqa: SLF001
    http_coordinator.set_http_response(invocation_id, failed)


def _forget_http_v2(invocation_id: str) -> None:
    """The runtime keeps a note of every invocation for good. Not at once: the answer is still being picked up."""
    from azure_functions_runtime.http_v2 import http_coordinator

    notes: dict[str, object] = http_coordinator._context_references  # noqa: SLF001
    asyncio.get_running_loop().call_later(FORGET_SECONDS, notes.pop, invocation_id, None)


def _functions(metadata: Sequence[Any]) -> list[Function]:
    found = []
    for entry in metadata:
        bindings = [_json(raw) for raw in entry.raw_bindings]
        trigger = next(b for b in bindings if str(b.get("type", "")).endswith("Trigger"))
        if (kind := TRIGGERS.get(trigger["type"])) is None:
            raise ConfigurationError(f"function {entry.name}: the local host cannot fire a {trigger['type']}")
        if kind == "service_bus" and (trigger.get("topicName") or trigger.get("cardinality", "one") != "one"):
            raise ConfigurationError(f"function {entry.name}: the local host delivers one message of a queue at a time")
        found.append(Function(entry.name, entry.function_id, kind, trigger["name"], trigger))
    return found


def _json(text: str) -> dict[str, Any]:
    return {key: _setting(value) for key, value in json.loads(text).items()}


def _setting(value: Any) -> Any:
    """Binding values may be app settings, `%NAME%`; the host puts them in."""
    if not isinstance(value, str) or not (names := re.findall(r"%([^%]+)%", value)):
        return value
    for name in names:
        if name not in os.environ:
            raise ConfigurationError(f"a binding names the setting {name}, which is not set")
        value = value.replace(f"%{name}%", os.environ[name])
    return value


def _first_line(text: str) -> str:
    """Without the advice that the runtime adds to import errors: it is about the cloud."""
    return " ".join(text.partition(" Cannot find module.")[0].split())[:600]
