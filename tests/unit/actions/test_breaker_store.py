"""Breakers over a real store: several callers, lost races, a store that fails, probes of a timer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.actions.breaker import BreakerRule
from shared.actions.breaker_store import Admission, admit, probe_breakers, record
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.contracts.kinds import KINDS, SYSTEM_PARTITION
from shared.errors import ConflictError, RetryableError
from shared.ports.action_backend import Effect
from shared.ports.document_store import Document, Schemas
from tests.bench import Clock

RULE = BreakerRule(failures=3, window_seconds=60, open_seconds=10, probe_seconds=20)


class Store(SqliteDocumentStore):
    """Counts, lets everybody else go first, and can be down."""

    reads = commits = 0
    down = False

    async def read_many(self, partition: str, ids: Sequence[str]) -> dict[str, Document]:
        self.reads += 1
        if self.down:
            raise RetryableError("the store is down", code="store_unavailable")
        found = await super().read_many(partition, ids)
        await asyncio.sleep(0)  # everybody has read before anybody writes
        return found

    async def commit(self, partition: str, writes: Sequence[Document], **more: Any) -> dict[str, str]:
        self.commits += 1
        if self.down:
            raise RetryableError("the store is down", code="store_unavailable")
        return await super().commit(partition, writes, **more)


class Bank:
    """A backend whose health a test decides."""

    name = "bank"
    well = True
    pings = 0

    async def ping(self, *, timeout_seconds: float) -> None:
        self.pings += 1
        await asyncio.sleep(0)
        if not self.well:
            raise RetryableError("no answer", code="backend_unavailable")

    async def perform(
        self, operation: str, arguments: Mapping[str, Any], *, key: str, timeout_seconds: float
    ) -> Effect:
        raise AssertionError("a probe has no effect")

    async def find(self, key: str, *, timeout_seconds: float) -> Effect | None:
        raise AssertionError("a probe looks nothing up")

    async def state_of(self, subject: str, *, timeout_seconds: float) -> Mapping[str, Any]:
        raise AssertionError("a probe looks nothing up")

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    schemas = Schemas({name: kind.schema_version for name, kind in KINDS.items()})
    opened = Store(tmp_path / "store.db", schemas=schemas, now=clock, executor="inline")
    yield opened
    await opened.close()


async def call(store: Store, clock: Clock, *, succeeds: bool) -> Admission:
    admission = await admit("bank", store=store, rule=RULE, now=clock())
    assert await record(admission, store=store, rule=RULE, succeeded=succeeds, now=clock())
    return admission


async def open_breaker(store: Store, clock: Clock) -> None:
    for _ in range(RULE.failures):
        await call(store, clock, succeeds=False)


async def state(store: Store) -> str:
    document = await store.read(SYSTEM_PARTITION, "breaker:bank")
    return "" if document is None else document.body["state"]


async def probe(store: Store, clock: Clock, bank: Bank) -> dict[str, str]:
    return dict(await probe_breakers(store=store, backends={"bank": bank}, rules={"bank": RULE}, now=clock))


async def test_a_call_to_a_healthy_backend_costs_one_read_and_no_write(store: Store, clock: Clock):
    await call(store, clock, succeeds=True)
    assert (store.reads, store.commits) == (1, 0)
    await call(store, clock, succeeds=False)
    await call(store, clock, succeeds=True)
    store.reads = store.commits = 0
    await call(store, clock, succeeds=True)
    assert (store.reads, store.commits) == (1, 0)


async def test_an_open_breaker_refuses_and_says_for_how_long(store: Store, clock: Clock):
    await open_breaker(store, clock)
    with pytest.raises(RetryableError) as refused:
        await admit("bank", store=store, rule=RULE, now=clock())
    assert refused.value.code == "breaker_open"
    assert refused.value.retry_after_seconds == pytest.approx(10, abs=0.1)


async def test_another_backend_goes_on(store: Store, clock: Clock):
    await open_breaker(store, clock)
    assert await admit("ledger", store=store, rule=RULE, now=clock())


async def test_failures_in_the_same_moment_are_all_counted(store: Store, clock: Clock):
    admissions = [await admit("bank", store=store, rule=RULE, now=clock()) for _ in range(20)]
    told = [record(one, store=store, rule=RULE, succeeded=False, now=clock()) for one in admissions]
    assert all(await asyncio.gather(*told))
    assert await state(store) == "open"


async def test_of_many_that_ask_at_once_one_becomes_the_probe(store: Store, clock: Clock):
    await open_breaker(store, clock)
    clock.forward(seconds=10)
    asked = [admit("bank", store=store, rule=RULE, now=clock()) for _ in range(20)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    probes = [one for one in answers if isinstance(one, Admission)]
    refused = [one for one in answers if isinstance(one, RetryableError)]
    assert (len(probes), len(refused)) == (1, 19)
    assert probes[0].is_probe
    assert {one.code for one in refused} == {"breaker_open"}
    assert await record(probes[0], store=store, rule=RULE, succeeded=True, now=clock())
    assert await state(store) == "closed"


async def test_a_success_from_before_does_not_close_what_has_opened_meanwhile(store: Store, clock: Clock):
    await call(store, clock, succeeds=False)
    slow = await admit("bank", store=store, rule=RULE, now=clock())
    await call(store, clock, succeeds=False)
    await call(store, clock, succeeds=False)
    assert await record(slow, store=store, rule=RULE, succeeded=True, now=clock())
    assert await state(store) == "open"


async def test_a_store_that_fails_after_the_call_changes_nothing_about_the_call(store: Store, clock: Clock):
    admission = await admit("bank", store=store, rule=RULE, now=clock())
    store.down = True
    assert not await record(admission, store=store, rule=RULE, succeeded=False, now=clock())


async def test_a_store_that_cannot_be_read_lets_nobody_call(store: Store, clock: Clock):
    store.down = True
    with pytest.raises(RetryableError) as failed:
        await admit("bank", store=store, rule=RULE, now=clock())
    assert failed.value.code == "store_unavailable"


async def test_a_race_that_is_always_lost_ends(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    admission = await admit("bank", store=store, rule=RULE, now=clock())

    async def lose(partition: str, writes: Sequence[Document], **more: Any) -> dict[str, str]:
        raise ConflictError([document.id for document in writes])

    monkeypatch.setattr(store, "commit", lose)
    assert not await record(admission, store=store, rule=RULE, succeeded=False, now=clock())


async def test_the_timer_closes_the_breaker_of_a_backend_that_answers_again(store: Store, clock: Clock):
    await open_breaker(store, clock)
    bank = Bank()
    assert await probe(store, clock, bank) == {}  # not due yet
    clock.forward(seconds=10)
    assert await probe(store, clock, bank) == {"bank": "closed"}
    assert bank.pings == 1
    assert not (await call(store, clock, succeeds=True)).is_probe
    assert await probe(store, clock, bank) == {}


async def test_the_timer_leaves_a_backend_alone_for_longer_when_it_is_still_down(store: Store, clock: Clock):
    await open_breaker(store, clock)
    bank = Bank()
    bank.well = False
    clock.forward(seconds=10)
    assert await probe(store, clock, bank) == {"bank": "open"}
    with pytest.raises(RetryableError) as refused:
        await admit("bank", store=store, rule=RULE, now=clock())
    assert refused.value.retry_after_seconds == pytest.approx(20, abs=0.1)


async def test_two_timers_at_once_ping_once(store: Store, clock: Clock):
    await open_breaker(store, clock)
    clock.forward(seconds=10)
    bank = Bank()
    became = await asyncio.gather(*(probe(store, clock, bank) for _ in range(2)))
    assert sorted(became, key=len) == [{}, {"bank": "closed"}]
    assert bank.pings == 1
