"""What every event publisher promises (`shared/ports/event_publisher.py`), held against each adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from shared.adapters.azure.event_publisher import EventGridEventPublisher
from shared.adapters.embedded.event_publisher import SqliteEventPublisher
from shared.adapters.embedded.event_topic import EventTopic
from shared.adapters.embedded.lanes import SqliteLanes
from shared.errors import RetryableError, TerminalError
from shared.ports.event_publisher import CloudEvent, EventPublisher
from tests.doubles.event_grid import KEY, EventGridTopic
from tests.unit.local.clock import Clock


class Bench(Protocol):
    publisher: EventPublisher

    async def start(self) -> None: ...

    async def delivered(self) -> dict[str, list[dict[str, Any]]]:
        """What each of the subscribers "first" and "second" got since the last call."""
        ...

    async def crash_and_restart(self) -> None: ...

    async def close(self) -> None: ...


class SqliteBench:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self._path = folder / "lanes.db"

    async def start(self) -> None:
        self._open()

    def _open(self) -> None:
        self.lanes = SqliteLanes(self._path, clock=self.clock)
        self.publisher = SqliteEventPublisher(self.lanes)
        self.topic = EventTopic(self.lanes, ["first", "second"], lambda: None)
        self.topic.load()

    async def delivered(self) -> dict[str, list[dict[str, Any]]]:
        got: dict[str, list[dict[str, Any]]] = {"first": [], "second": []}
        while (delivery := self.topic.take(self.clock())) is not None:
            got[delivery.subscriber].append(json.loads(delivery.body))
            self.topic.delivered(delivery)
        return got

    async def crash_and_restart(self) -> None:
        old, topic = self.lanes, self.topic
        self._open()
        topic.close()
        await old.close()

    async def close(self) -> None:
        self.topic.close()
        await self.lanes.close()


class EventGridBench:
    """The real SDK over a socket, against a topic that answers as Event Grid is documented to."""

    def __init__(self, folder: Path) -> None:
        del folder
        self.topic = EventGridTopic("first", "second")

    async def start(self) -> None:
        await self.topic.start()
        self.publisher = EventGridEventPublisher(endpoint=self.topic.endpoint, credential=KEY)

    async def delivered(self) -> dict[str, list[dict[str, Any]]]:
        got = {name: list(events) for name, events in self.topic.delivered.items()}
        for events in self.topic.delivered.values():
            events.clear()
        return got

    async def crash_and_restart(self) -> None:
        await self.publisher.close()  # a crash would leave the sockets to the operating system
        self.publisher = EventGridEventPublisher(endpoint=self.topic.endpoint, credential=KEY)

    async def close(self) -> None:
        await self.publisher.close()
        await self.topic.stop()


ADAPTERS: dict[str, Callable[[Path], Bench]] = {"sqlite": SqliteBench, "event-grid": EventGridBench}


@pytest.fixture(params=sorted(ADAPTERS))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = ADAPTERS[request.param](tmp_path)
    await made.start()
    yield made
    await made.close()


def event(event_id: str, **changes: Any) -> CloudEvent:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/countersign",
        "type": "com.example.decision.changed.v1",
        "subject": "t-1",
        "data": {"amount_minor": -4320, "text": "Grüße \u2028 \U0001f600"},
        **changes,
    }


async def test_a_published_event_reaches_every_subscriber_whole(bench: Bench):
    await bench.publisher.publish([event("e-1", traceparent="00-1-2-01")])
    sent = event("e-1", traceparent="00-1-2-01")
    assert await bench.delivered() == {"first": [sent], "second": [sent]}


async def test_what_was_published_survives_a_crash(bench: Bench):
    await bench.publisher.publish([event("e-1"), event("e-2")])
    await bench.crash_and_restart()
    got = await bench.delivered()
    assert {e["id"] for e in got["first"]} == {e["id"] for e in got["second"]} == {"e-1", "e-2"}


async def test_many_publishers_at_once_lose_nothing(bench: Bench):
    await asyncio.gather(*(bench.publisher.publish([event(f"{a}-{b}") for b in range(3)]) for a in range(40)))
    got = await bench.delivered()
    assert len({e["id"] for e in got["first"]}) == len({e["id"] for e in got["second"]}) == 120


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"specversion": "1.0", "id": "e", "source": "/s"}, "invalid_event"),
        (event(""), "invalid_event"),
        (event("e", data={"not": {1, 2}}), "invalid_event"),
        (event("e", data={"not": float("nan")}), "invalid_event"),
        (event("e", data="x" * 1_100_000), "event_too_large"),
    ],
)
async def test_a_wrong_event_is_terminal_and_nothing_of_its_batch_is_published(
    bench: Bench, wrong: CloudEvent, code: str
):
    with pytest.raises(TerminalError) as refused:
        await bench.publisher.publish([event("good"), wrong])
    assert refused.value.code == code
    assert await bench.delivered() == {"first": [], "second": []}


async def test_publishing_nothing_is_nothing(bench: Bench):
    await bench.publisher.publish([])


async def test_a_ping_says_that_something_could_be_published(bench: Bench):
    await bench.publisher.ping()


@pytest.mark.parametrize("name", sorted(ADAPTERS))
async def test_a_publisher_that_cannot_write_says_try_again(tmp_path: Path, name: str):
    closed = ADAPTERS[name](tmp_path)
    await closed.start()
    await closed.close()
    with pytest.raises(RetryableError):
        await closed.publisher.publish([event("e-1")])
