"""What is Event Grid's own: its refusals and pauses, lost answers, batches, and Entra tokens over TLS."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azure import event_publisher
from shared.adapters.azure.event_publisher import EventGridEventPublisher
from shared.errors import RetryableError, TerminalError
from shared.ports.event_publisher import CloudEvent
from tests.doubles.credentials import TOKEN, Signer
from tests.doubles.event_grid import KEY, SCOPE, EventGridTopic
from tests.doubles.web_server import self_signed


def event(event_id: str, **changes: Any) -> CloudEvent:
    return {"specversion": "1.0", "id": event_id, "source": "/countersign", "type": "x.v1", "data": {}, **changes}


@pytest.fixture
async def topic() -> AsyncIterator[EventGridTopic]:
    made = EventGridTopic()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def publisher(topic: EventGridTopic) -> AsyncIterator[EventGridEventPublisher]:
    made = EventGridEventPublisher(endpoint=topic.endpoint, credential=KEY)
    yield made
    await made.close()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between repetitions; what they are is held by the test of an outage."""
    monkeypatch.setattr(event_publisher, "PAUSES_SECONDS", (0.01, 0.02, 0.04))


def ids(topic: EventGridTopic) -> list[str]:
    return [one["id"] for one in topic.delivered["only"]]


async def test_many_events_travel_in_few_requests(topic: EventGridTopic, publisher: EventGridEventPublisher):
    await publisher.publish([event(str(n), data="x" * 1_000) for n in range(2_000)])
    assert ids(topic) == [str(n) for n in range(2_000)]
    assert len(topic.batches) == 3  # 2.2 MB


async def test_an_event_of_exactly_one_request_is_taken(topic: EventGridTopic, publisher: EventGridEventPublisher):
    overhead = len('[{"specversion": "1.0", "id": "e", "source": "/countersign", "type": "x.v1", "data": ""}]')
    await publisher.publish([event("e", data="x" * (1_048_576 - overhead))])
    assert ids(topic) == ["e"]
    with pytest.raises(TerminalError):
        await publisher.publish([event("e", data="x" * (1_048_577 - overhead))])


@pytest.mark.parametrize("fault", [429, 500, 503, 504, (429, {"Retry-After": "0"}), "drop"])
async def test_a_passing_fault_is_passed_over(
    topic: EventGridTopic, publisher: EventGridEventPublisher, short_pauses: None, fault: Any
):
    topic.server.faults = [fault, fault]
    await publisher.publish([event("e")])
    assert ids(topic) == ["e"]


async def test_a_lost_answer_is_published_again_under_the_same_id(
    topic: EventGridTopic, publisher: EventGridEventPublisher
):
    topic.server.faults = ["lose"]
    await publisher.publish([event("e")])
    assert ids(topic) == ["e", "e"]


async def test_an_outage_is_retryable_after_a_bounded_time(topic: EventGridTopic, publisher: EventGridEventPublisher):
    topic.server.faults = [503] * 50
    begun = time.monotonic()
    with pytest.raises(RetryableError) as failed:
        await publisher.publish([event("e")])
    assert failed.value.code == "publisher_unavailable"
    assert time.monotonic() - begun < 4
    assert topic.server.requests == 4


async def test_a_topic_that_asks_for_a_long_pause_is_left_alone(
    topic: EventGridTopic, publisher: EventGridEventPublisher
):
    topic.server.faults = [(429, {"Retry-After": "30"})]
    with pytest.raises(RetryableError) as failed:
        await publisher.publish([event("e")])
    assert failed.value.retry_after_seconds == 30
    assert topic.server.requests == 1


@pytest.mark.parametrize(("status", "code"), [(400, "invalid_event"), (413, "event_too_large"), (409, "invalid_event")])
async def test_what_the_topic_refuses_for_good_is_terminal(
    topic: EventGridTopic, publisher: EventGridEventPublisher, status: int, code: str
):
    topic.server.faults = [status]
    with pytest.raises(TerminalError) as failed:
        await publisher.publish([event("e")])
    assert failed.value.code == code
    assert topic.server.requests == 1


@pytest.mark.parametrize(("status", "told"), [(403, "EventGrid Data Sender"), (404, "EVENTGRID_TOPIC_ENDPOINT")])
async def test_what_is_not_set_up_waits_and_a_ping_names_it_until_it_works(
    topic: EventGridTopic, publisher: EventGridEventPublisher, status: int, told: str
):
    await publisher.ping()
    topic.server.faults = [status]
    with pytest.raises(RetryableError, match=told):
        await publisher.publish([event("e")])
    with pytest.raises(RetryableError, match=told):
        await publisher.ping()
    await publisher.publish([event("e")])
    await publisher.ping()


async def test_a_wrong_key_waits_and_is_told_to_nobody(topic: EventGridTopic):
    wrong = EventGridEventPublisher(endpoint=topic.endpoint, credential="d3Jvbmc=")
    with pytest.raises(RetryableError) as failed:
        await wrong.publish([event("e")])
    assert "401" in str(failed.value)
    assert "d3Jvbmc=" not in str(failed.value)
    await wrong.close()


async def test_nobody_there_fails_a_ping_and_a_publish_quickly(short_pauses: None):
    publisher = EventGridEventPublisher(endpoint="http://127.0.0.1:1/api/events", credential=KEY)
    begun = time.monotonic()
    for work in (publisher.ping(), publisher.publish([event("e")])):
        with pytest.raises(RetryableError) as failed:
            await work
        assert failed.value.code == "publisher_unavailable"
    assert time.monotonic() - begun < 5
    await publisher.close()


async def test_an_entra_token_is_sent_over_tls_and_the_credential_stays_open(tmp_path: Path):
    certificate, signer = self_signed(tmp_path), Signer()
    topic = EventGridTopic(certificate=certificate)
    await topic.start()
    publisher = EventGridEventPublisher(endpoint=topic.endpoint, credential=lambda: signer, ca_file=str(certificate))
    assert signer.asked == []  # on first use
    await publisher.ping()
    await publisher.publish([event("e")])
    assert ids(topic) == ["e"]
    assert set(signer.asked) == {(SCOPE,)}
    await publisher.close()
    assert not signer.closed  # others use it
    await topic.stop()


async def test_a_token_is_never_sent_in_clear(topic: EventGridTopic, short_pauses: None):
    publisher = EventGridEventPublisher(endpoint=topic.endpoint, credential=Signer)
    with pytest.raises(RetryableError) as failed:
        await publisher.publish([event("e")])
    assert topic.server.requests == 0
    assert TOKEN not in str(failed.value)
    await publisher.close()
