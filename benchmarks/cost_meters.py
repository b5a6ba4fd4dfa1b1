"""What the services on Azure were asked for, read off their doubles: requests, messages, events, blobs, executions."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared.adapters.log_lines import JsonLines
from tests.doubles.azure import Azure
from tests.doubles.cosmos_served import Asked

QUIET_SECONDS = 0.03
KINDS = {
    "container": "once",
    "ranges": "once",
    "plan": "plans",
    "read": "reads",
    "query": "queries",
    "batch": "batches",
}
"""Of requests to Cosmos DB; everything else writes a single item. `once`: what the SDK asks for and keeps."""

type Counted = dict[str, float]


class LogMeter(logging.Handler):
    """Lines as they are written on Azure. `lines`, `size`: how many, and their bytes."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines())
        self.lines = self.size = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        self.size += len(self.format(record).encode()) + 1


class SpanMeter(SpanExporter):
    """Spans as they are exported. `number`, `size`: how many, and their bytes as JSON."""

    def __init__(self) -> None:
        self.number = self.size = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.number += len(spans)
        self.size += sum(len(span.to_json(indent=None)) for span in spans)
        return SpanExportResult.SUCCESS


class Meters:
    """Between two `read`s lies what was done in the meantime. `executions` is counted by whoever calls functions.

    Of Service Bus and Event Grid the doubles see what the app sends. What the platform then does with each message
    (hand it over, take it back as completed) and each event (deliver it) is counted by their rules.
    """

    def __init__(self, azure: Azure, logs: LogMeter, spans: SpanMeter) -> None:
        self._azure, self._logs, self._spans = azure, logs, spans
        self.executions = 0
        self.sends = self.messages = self.message_bytes = 0
        self.events_in = self.event_data = 0
        self._place = self._blobs = 0
        self._count_sends()
        self._count_event_data()

    def _count_sends(self) -> None:
        took = self._azure.queues.took

        def counted(address: str, message: bytes, message_format: int) -> Any:
            before = len(self._azure.messages)
            outcome = took(address, message, message_format)
            arrived = list(self._azure.messages)[before:]
            self.sends += 1
            self.messages += len(arrived)
            self.message_bytes += sum(len(one.body) for one in arrived)
            return outcome

        self._azure.queues.took = counted

    def _count_event_data(self) -> None:
        listener = self._azure.hub.listener
        took = listener.took

        def counted(address: str, message: bytes, message_format: int) -> Any:
            self.event_data += 1
            return took(address, message, message_format)

        listener.took = counted

    async def settle(self) -> None:
        """Until nothing more is asked of the store: removals are done behind a command's back."""
        seen = -1
        while seen != len(self._azure.served.asked):
            seen = len(self._azure.served.asked)
            await asyncio.sleep(QUIET_SECONDS)

    def read(self) -> Counted:
        """What came since the last reading."""
        asked = self._azure.served.asked[self._place :]
        self._place = len(self._azure.served.asked)
        told: Counted = {
            **_cosmos(asked),
            "bus_sends": self._taken("sends"),
            "bus_messages": self._taken("messages"),
            "bus_bytes": self._taken("message_bytes"),
            "grid_events": sum(self._azure.topic.batches),
            "grid_requests": len(self._azure.topic.batches),
            "hub_lines": len(self._azure.hub.events),
            "hub_bytes": sum(len(repr(event)) for event in self._azure.hub.events),
            "hub_sends": self._taken("event_data"),
            "blob_writes": len(self._azure.container.blobs) - self._blobs,
            "blob_lists": self._azure.container.listed,
            "executions": self._taken("executions"),
            "log_lines": self._logs.lines,
            "log_bytes": self._logs.size,
            "spans": self._spans.number,
            "span_bytes": self._spans.size,
        }
        self._azure.topic.batches.clear()
        self._azure.hub.events.clear()
        self._azure.container.listed = 0
        self._logs.lines = self._logs.size = self._spans.number = self._spans.size = 0
        self._blobs = len(self._azure.container.blobs)
        return {name: value for name, value in told.items() if value}

    def _taken(self, name: str) -> int:
        value: int = getattr(self, name)
        setattr(self, name, 0)
        return value


def _cosmos(asked: list[Asked]) -> Counted:
    """Requests as they went over the wire, and what they were charged; failed ones too."""
    number, units = Counter[str](), dict[str, float]()
    for one in asked:
        kind = KINDS.get(one.operation, "writes")
        number[f"cosmos_{kind}"] += 1
        units[f"ru_{kind}"] = units.get(f"ru_{kind}", 0.0) + one.units
    return {**number, **units, "ru": sum(units.values())}


def per(counted: Counted, number: float) -> Counted:
    """Shares of what `number` of something needed together."""
    return {name: value / number for name, value in counted.items()}
