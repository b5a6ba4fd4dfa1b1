"""The Event Grid adapter against the topic that EVENTGRID_TOPIC_ENDPOINT names, with EVENTGRID_TOPIC_KEY or as whoever
has signed in. Nobody emulates Event Grid. What is published is of a type that no subscription of ours asks for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from shared.adapters.azure.credentials import EntraCredential
from shared.adapters.azure.event_publisher import EventGridEventPublisher
from shared.errors import RetryableError

ENDPOINT, KEY = os.environ.get("EVENTGRID_TOPIC_ENDPOINT", ""), os.environ.get("EVENTGRID_TOPIC_KEY", "")
pytestmark = [pytest.mark.live, pytest.mark.skipif(not ENDPOINT, reason="EVENTGRID_TOPIC_ENDPOINT is not set")]


@pytest.fixture
async def publisher() -> AsyncIterator[EventGridEventPublisher]:
    entra = EntraCredential()
    made = EventGridEventPublisher(endpoint=ENDPOINT, credential=KEY or entra)
    yield made
    await made.close()
    await entra.close()


def event(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"{uuid4()}",
        "source": "/countersign/conformance",
        "type": "countersign.conformance.tried.v1",
        "subject": f"{number}",
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "datacontenttype": "application/json",
        "data": {"number": number},
    }


async def test_live_events_are_taken_over(publisher: EventGridEventPublisher):
    await publisher.ping()
    await publisher.publish([event(number) for number in range(20)])
    await publisher.ping()  # repeats what the topic has last refused


@pytest.mark.skipif(not KEY, reason="an identity cannot be wrong on purpose; with EVENTGRID_TOPIC_KEY it is tried")
async def test_live_a_wrong_key_is_retryable_and_shown_to_nobody():
    publisher = EventGridEventPublisher(endpoint=ENDPOINT, credential="d3Jvbmc=")
    with pytest.raises(RetryableError) as failed:
        await publisher.publish([event(0)])
    assert "d3Jvbmc=" not in str(failed.value)
    await publisher.close()
