"""The app in this process, on Azure's adapters over doubles of the services: functions are called as the host would."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from benchmarks.cost_meters import Counted, LogMeter, Meters, SpanMeter
from functions import BLUEPRINTS
from local import own_bank
from shared import bootstrap
from shared.contracts.lanes import ACTIONS, INGESTION, MESSAGES, SWEEP
from tests.doubles.azure import Azure, Message

TENANT = own_bank.TENANT
WORKERS = {
    INGESTION.queue: "ingestion_completed",
    SWEEP.queue: "nightly_anomaly_sweep",
    MESSAGES.queue: "agent_message_posted",
    ACTIONS.queue: "action_requested",
}
EVENT = frozenset({"specversion", "id", "source", "type", "subject", "datacontenttype", "dataschema", "data"})
ROLES = "member,reviewer,auditor,operator"
OWN = {"AUTH_MODE": "dev", "MODEL": "", "BANK_URL": "", "PYTHON_ENABLE_OPENTELEMETRY": "true"}


class App:
    """`meters` sees everything that is done here."""

    def __init__(self, azure: Azure, meters: Meters, functions: dict[str, Any]) -> None:
        self.azure, self.meters, self._functions = azure, meters, functions

    async def call(
        self, name: str, body: Any = None, *, who: str = "alice", asked: dict[str, str] | None = None, **route: str
    ) -> Any:
        """The JSON of an answer below 300. asked: the query string."""
        route_of = self._functions[name].get_trigger().get_dict_repr()
        request = func.HttpRequest(
            str(getattr(route_of["methods"][0], "value", route_of["methods"][0])),
            f"http://localhost/api/{route_of['route']}",
            headers={"X-Dev-Caller": f"{who}; tenants={TENANT}; roles={ROLES}", "Content-Type": "application/json"},
            params=asked,
            route_params=route,
            body=b"" if body is None else json.dumps(body).encode(),
        )
        answer = await self._run(name, request)
        content = answer.get_body()
        if answer.status_code >= 300:
            raise RuntimeError(f"{name}: {answer.status_code}: {content[:500]!r}")
        return json.loads(content) if "json" in (answer.mimetype or "") else content

    async def fire(self, timer: str) -> None:
        """A timer's function, now."""
        await self._run(timer, None)

    async def handle(self, message: Message) -> None:
        """As the trigger of its lane gets it."""
        told = SimpleNamespace(
            get_body=lambda: message.body,
            message_id=message.message_id,
            delivery_count=1,
            session_id=message.session_id,
        )
        await self._run(WORKERS[message.lane], told)

    async def handle_all(self) -> int:
        """Every message that waits, also those that others leave; how many."""
        number = 0
        while self.azure.messages:
            await self.handle(self.azure.messages.popleft())
            number += 1
        return number

    async def react_all(self) -> int:
        """Every event that waits, as Event Grid delivers it; how many."""
        events = list(self.azure.events)
        self.azure.events.clear()
        for event in events:
            told = {name: value for name, value in event.items() if name in EVENT}
            more = {name: value for name, value in event.items() if name not in EVENT | {"time"}}
            await self._run("transaction_decision_changed", func.CloudEvent(**told, **more))
        return len(events)

    async def counted(self) -> Counted:
        """What came since the last time, once everything has come to rest."""
        await bootstrap.delivery().telemetry.flush()
        await self.meters.settle()
        return self.meters.read()

    async def _run(self, name: str, argument: Any) -> Any:
        self.meters.executions += 1
        return await self._functions[name].get_user_function()(argument)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[App]:
    """The app with a bank of its own, started from nothing; its settings are this process's until the end, and its
    tracer for good."""
    await bootstrap.shutdown()
    azure, before = Azure(), dict(os.environ)
    await azure.start()
    os.environ.update(azure.settings, **OWN, COUNTERSIGN_DATA=str(folder))
    bank = await own_bank.open_bank(folder)
    spans, provider = SpanMeter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    logs, logger = LogMeter(), logging.getLogger("countersign")
    level, was_passed_on = logger.level, logger.propagate
    logger.addHandler(logs)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield App(azure, Meters(azure, logs, spans), indexed())
    finally:
        logger.removeHandler(logs)
        logger.setLevel(level)
        logger.propagate = was_passed_on
        await bootstrap.shutdown()
        if bank is not None:
            await own_bank.close_bank(bank)
        await azure.stop()
        os.environ.clear()
        os.environ.update(before)


def indexed() -> dict[str, Any]:
    """The functions of the app, by name."""
    app = func.FunctionApp()
    for blueprint in BLUEPRINTS:
        app.register_functions(blueprint)
    return {str(function.get_function_name()): function for function in app.get_functions()}
