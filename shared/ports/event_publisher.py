"""The event publisher: tells the world what has happened, as CloudEvents 1.0 (Event Grid).

Promise: when `publish` returns, every event was durably taken over and will be delivered at least once to each
subscriber, in no promised order. If it raises (`RetryableError`), any subset may have been taken: publish all again;
receivers recognise a repeat by (`source`, `id`). An event over 1 MB is `TerminalError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

CloudEvent = dict[str, Any]
"""{"specversion": "1.0", "id", "source", "type", "subject", "time", "datacontenttype", "data", "traceparent"?}"""


class EventPublisher(Protocol):
    """See the module docstring for the promises."""

    async def publish(self, events: Sequence[CloudEvent]) -> None: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
