"""The sandbox bank as a process of its own: killed, asked the same thing by many at once, cut off after the work."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.chaos_bank import TOKEN, BankProcess
from local.sandbox_ledger import Account
from shared.actions.breaker import BreakerRule
from shared.actions.breaker_store import admit, probe_breakers, record
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.web.action_backend import HttpActionBackend
from shared.contracts.kinds import KINDS
from shared.errors import RetryableError
from shared.ports.action_backend import Effect, EffectUnknownError
from shared.ports.document_store import Schemas
from tests.bench import Clock
from tests.journeys.hosts import Reply, wait_for

START_MINOR = 1_000_000
ACCOUNTS = (
    Account(id="acc-ada", owner_name="Ada Example", currency="EUR", balance_minor=START_MINOR),
    Account(id="acc-bob", owner_name="Bob Example", currency="EUR", balance_minor=0),
)


class Bank(BankProcess):
    """The bank in a process of its own, over one data folder; and its whole interface."""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        try:
            told = {"Authorization": f"Bearer {TOKEN}", **headers}
            connection.request(method, path, None if body is None else json.dumps(body), told)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return Reply(answer.status, json.loads(content) if content else None, dict(answer.getheaders()))

    def transfer(self, key: str, amount_minor: int = 100) -> Reply:
        order = {"from_account": "acc-ada", "to_account": "acc-bob", "amount_minor": amount_minor, "currency": "EUR"}
        return self.call("POST", "/v1/transfers", order, **{"Idempotency-Key": key})

    def told(self) -> tuple[int, int]:
        """Balances, as it tells them itself."""
        ada, bob = (self.call("GET", f"/v1/accounts/{one}").body["balance_minor"] for one in ("acc-ada", "acc-bob"))
        return ada, bob


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    with Bank(tmp_path / "bank", ACCOUNTS) as started:
        yield started


def test_the_same_key_fifty_times_from_ten_clients_moves_money_once(bank: Bank):
    with ThreadPoolExecutor(10) as clients:
        replies = list(clients.map(lambda _: bank.transfer("k-1"), range(50)))
    assert {reply.status for reply in replies} == {201}
    assert len({json.dumps(reply.body) for reply in replies}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) == 1
    assert bank.told() == (START_MINOR - 100, 100)
    assert bank.call("GET", "/admin/calls").body["POST /v1/transfers"] == 50


def test_what_was_answered_survives_a_kill_and_what_was_not_is_there_whole_or_not_at_all(bank: Bank):
    answered: dict[str, Reply] = {}

    def work(client: int) -> list[str]:
        asked = []
        for number in range(1000):
            key = f"k-{client}-{number}"
            asked.append(key)
            try:
                answered[key] = bank.transfer(key)
            except (OSError, http.client.HTTPException):
                return asked
        raise AssertionError("the bank was not killed in time")

    for _ in range(3):
        answered.clear()
        with ThreadPoolExecutor(4) as clients:
            asked = [clients.submit(work, client) for client in range(4)]
            wait_for(lambda: len(answered) >= 40, "forty answers")
            bank.kill()
            keys = [key for one in asked for key in one.result()]
        bank.start()
        found = {key: bank.call("GET", f"/v1/transfers/by-key/{key}") for key in keys}
        for key, reply in answered.items():
            assert found[key].body == reply.body
        done = [key for key, reply in found.items() if reply.status == 200]
        assert {reply.status for reply in found.values()} <= {200, 404}
        assert bank.told() == (START_MINOR - 100 * len(done), 100 * len(done))
        for key in keys:  # those that got no answer ask again: in all each is carried out once
            assert bank.transfer(key).status == 201
        assert bank.told() == (START_MINOR - 100 * len(keys), 100 * len(keys))
        _start_afresh(bank)


def _start_afresh(bank: Bank) -> None:
    bank.kill()
    bank.folder = bank.folder.with_name(bank.folder.name + "-next")
    bank.start()


def test_a_refusal_survives_a_kill_too(bank: Bank):
    refused = bank.transfer("k-1", START_MINOR + 1)
    bank.kill()
    bank.start()
    assert (refused.status, refused.body["code"]) == (409, "insufficient_funds")
    assert bank.transfer("k-1", START_MINOR + 1).body == refused.body
    assert bank.transfer("k-1", 5).status == 422


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/transfers"), ("GET", "/v1/accounts/acc-ada"),
                                              ("GET", "/v1/health"), ("POST", "/admin/trouble"),
                                              ("GET", "/admin/calls"), ("GET", "/v1/nowhere")])  # fmt: skip
def test_nothing_is_told_or_done_without_the_token(bank: Bank, method: str, path: str):
    for authorization in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN):
        reply = bank.call(method, path, {}, Authorization=authorization)
        assert (reply.status, reply.body["code"]) == (401, "unauthenticated")


class Teller:
    """What a dispatcher does with one order, in short: ask the breaker, try, look the key up when nobody knows."""

    def __init__(self, bank: Bank, store: SqliteDocumentStore, clock: Clock) -> None:
        self.backend = HttpActionBackend(name="bank", base_url=bank.url, token=TOKEN)
        self.store = store
        self.clock = clock
        self.rule = BreakerRule(failures=3, window_seconds=60, open_seconds=10, probe_seconds=20)

    async def attempt(self, key: str, seconds: float = 5) -> Effect | None:
        admission = await admit("bank", store=self.store, rule=self.rule, now=self.clock())
        order = {"from_account": "acc-ada", "to_account": "acc-bob", "amount_minor": 100, "currency": "EUR"}
        try:
            effect = await self.backend.perform("transfer_funds", order, key=key, timeout_seconds=seconds)
        except RetryableError as failed:
            await record(admission, store=self.store, rule=self.rule, succeeded=False, now=self.clock())
            if isinstance(failed, EffectUnknownError):
                return await self.backend.find(key, timeout_seconds=seconds)
            raise
        await record(admission, store=self.store, rule=self.rule, succeeded=True, now=self.clock())
        return effect

    async def probe(self) -> dict[str, Any]:
        return dict(await probe_breakers(
            store=self.store, backends={"bank": self.backend}, rules={"bank": self.rule}, now=self.clock
        ))  # fmt: skip

    async def close(self) -> None:
        await self.backend.close()
        await self.store.close()


async def test_dropped_after_the_work_the_look_up_says_done_and_nothing_is_done_twice(bank: Bank, tmp_path: Path):
    teller = _teller(bank, tmp_path)
    bank.call("POST", "/admin/trouble", {"drop": "after"})
    effect = await teller.attempt("k-1")
    assert effect is not None
    assert effect.state == "done"
    assert (await teller.attempt("k-1")) == effect
    assert bank.told() == (START_MINOR - 100, 100)
    await teller.close()


async def test_a_bank_that_is_down_opens_the_breaker_and_one_ping_closes_it_again(bank: Bank, tmp_path: Path):
    teller = _teller(bank, tmp_path)
    bank.call("POST", "/admin/trouble", {"fail_status": 500, "calls": "all", "times": 0})
    for _ in range(3):
        with pytest.raises(RetryableError) as failed:
            await teller.attempt("k-1")
        assert failed.value.code == "backend_unavailable"  # not even the look-up is answered
    with pytest.raises(RetryableError) as refused:
        await teller.attempt("k-1")
    assert refused.value.code == "breaker_open"
    assert bank.call("GET", "/admin/calls").body["POST /v1/transfers"] == 3
    teller.clock.forward(seconds=10)
    assert await teller.probe() == {"bank": "open"}
    bank.call("POST", "/admin/trouble", {})
    teller.clock.forward(seconds=20)
    assert await teller.probe() == {"bank": "closed"}
    assert bank.told() == (START_MINOR, 0)  # a probe is no transfer
    effect = await teller.attempt("k-1")
    assert effect is not None
    assert effect.state == "done"
    assert bank.told() == (START_MINOR - 100, 100)
    await teller.close()


async def test_a_bank_killed_in_the_middle_of_orders_carries_each_out_once(bank: Bank, tmp_path: Path):
    teller = _teller(bank, tmp_path)
    teller.rule = teller.rule._replace(failures=1000)
    bank.call("POST", "/admin/trouble", {"latency_ms": 2000, "stage": "after", "times": 0})
    orders = [asyncio.create_task(teller.attempt(f"k-{n}")) for n in range(8)]
    await asyncio.sleep(0.1)
    bank.kill()
    ended = await asyncio.gather(*orders, return_exceptions=True)
    assert {one.code for one in ended if isinstance(one, RetryableError)} == {"backend_unavailable"}
    bank.start()
    await teller.backend.close()
    teller.backend = HttpActionBackend(name="bank", base_url=bank.url, token=TOKEN)
    assert {effect.state for n in range(8) if (effect := await teller.attempt(f"k-{n}"))} == {"done"}
    assert bank.told() == (START_MINOR - 800, 800)
    await teller.close()


def _teller(bank: Bank, folder: Path) -> Teller:
    clock = Clock()
    schemas = Schemas({name: kind.schema_version for name, kind in KINDS.items()})
    return Teller(bank, SqliteDocumentStore(folder / "store.db", schemas=schemas, now=clock), clock)


def test_it_stops_when_asked_to(bank: Bank):
    bank.call("POST", "/admin/trouble", {"latency_ms": 60_000})
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(bank.transfer, "k-1")
        wait_for(lambda: bank.call("GET", "/admin/calls").body.get("POST /v1/transfers"), "the slow call")
        began = time.monotonic()
        bank.process.terminate()
        assert bank.process.wait(10) == 0
        assert time.monotonic() - began < 5
        assert isinstance(waiting.exception(5), OSError | http.client.HTTPException)
