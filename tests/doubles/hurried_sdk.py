"""Microsoft's AMQP clients look every 50 ms whether their connection has got a step further, a dozen times before the
first message, and once a second whether it is to be closed. Tests look twenty times as often: over a socket on this
machine the answer is there at once."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

LOOKING = (
    "azure.servicebus.aio._servicebus_sender_async",
    "azure.servicebus.aio._servicebus_receiver_async",
    "azure.servicebus._pyamqp.aio._client_async",
    "azure.eventhub.aio._client_base_async",
    "azure.eventhub.aio._transport._pyamqp_transport_async",
    "azure.eventhub._pyamqp.aio._client_async",
)
LOOKS_EVERY_SECONDS = (0.05, 1)


async def _sleep(seconds: float, result: object = None) -> object:
    return await asyncio.sleep(seconds / 20 if seconds in LOOKS_EVERY_SECONDS else seconds, result)


@contextmanager
def hurried() -> Iterator[None]:
    """Every other pause of theirs stays as it is."""
    quick = SimpleNamespace(**{**vars(asyncio), "sleep": _sleep})
    with pytest.MonkeyPatch.context() as patch:
        for name in LOOKING:
            patch.setattr(importlib.import_module(name), "asyncio", quick)
        yield
