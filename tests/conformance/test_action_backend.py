"""What every action backend promises (`shared/ports/action_backend.py`), held against a real bank over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.sandbox_bank import DEFAULT_TOKEN, SandboxBank
from local.sandbox_ledger import Account
from shared.adapters.web.action_backend import MAX_CONNECTIONS, HttpActionBackend
from shared.errors import RetryableError
from shared.ports.action_backend import Effect, EffectUnknownError

START_MINOR = 1_000_000
ACCOUNTS = [
    Account(id="acc-ada", owner_name="Ada Example", currency="EUR", balance_minor=START_MINOR),
    Account(id="acc-bob", owner_name="Bob Example", currency="EUR", balance_minor=0),
    Account(id="acc-usd", owner_name="Cy Example", currency="USD", balance_minor=0),
    Account(id="acc-ice", owner_name="Dee Example", currency="EUR", balance_minor=5, status="frozen"),
]
AUTHORIZATION = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}


class Bench:
    """A bank and the backend that talks to it."""

    def __init__(self, bank: SandboxBank) -> None:
        self.bank = bank
        self.backend = HttpActionBackend(name="sandbox_bank", base_url=bank.url, token=DEFAULT_TOKEN)
        self.admin = httpx2.AsyncClient(base_url=bank.url, headers=AUTHORIZATION, trust_env=False)

    async def perform(self, key: str = "k-1", *, seconds: float = 5, **changes: Any) -> Effect:
        order = {"from_account": "acc-ada", "to_account": "acc-bob", "amount_minor": 100, "currency": "EUR"}
        return await self.backend.perform("transfer_funds", order | changes, key=key, timeout_seconds=seconds)

    async def find(self, key: str = "k-1") -> Effect | None:
        return await self.backend.find(key, timeout_seconds=5)

    async def balance(self, account: str = "acc-bob") -> int:
        return (await self.backend.state_of(account, timeout_seconds=5))["balance_minor"]

    async def trouble(self, **trouble: Any) -> None:
        assert (await self.admin.post("/admin/trouble", json=trouble)).status_code == 204

    async def close(self) -> None:
        await self.backend.close()
        await self.admin.aclose()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with SandboxBank(tmp_path, ACCOUNTS) as bank:
        opened = Bench(bank)
        yield opened
        await opened.close()


async def certainly_nothing(call: Awaitable[Any]) -> RetryableError:
    with pytest.raises(RetryableError) as raised:
        await call
    assert raised.value.code == "backend_unavailable", raised.value
    return raised.value


async def nobody_knows(call: Awaitable[Any]) -> None:
    with pytest.raises(EffectUnknownError):
        await call


async def test_an_order_is_carried_out_and_can_be_found_by_its_key(bench: Bench):
    assert await bench.find() is None
    effect = await bench.perform()
    assert effect.state == "done"
    assert effect.details["amount_minor"] == 100
    assert await bench.find() == effect
    assert (await bench.balance("acc-ada"), await bench.balance("acc-bob")) == (START_MINOR - 100, 100)


async def test_the_same_key_is_carried_out_once_whoever_asks_and_however_often(bench: Bench):
    effects = await asyncio.gather(*(bench.perform() for _ in range(30)))
    assert len({effect.reference for effect in effects}) == 1
    assert await bench.balance() == 100


async def test_a_key_used_for_another_order_is_refused_and_keeps_its_own(bench: Bench):
    first = await bench.perform()
    second = await bench.perform(amount_minor=101)
    assert (second.state, second.code) == ("refused", "idempotency_key_reused")
    assert await bench.find() == first
    assert await bench.balance() == 100


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount_minor": START_MINOR + 1}, "insufficient_funds"),
        ({"to_account": "acc-nobody"}, "account_unknown"),
        ({"from_account": "acc-nobody"}, "account_unknown"),
        ({"to_account": "acc-ice"}, "account_frozen"),
        ({"from_account": "acc-ice", "amount_minor": 5}, "account_frozen"),
        ({"to_account": "acc-usd"}, "currency_mismatch"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"to_account": "acc-ada"}, "same_account"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
async def test_a_refusal_says_why_moves_nothing_and_stays_a_refusal(bench: Bench, changes: dict[str, Any], code: str):
    effect = await bench.perform(**changes)
    assert (effect.state, effect.code) == ("refused", code)
    assert effect.detail
    again, found = await bench.perform(**changes), await bench.find()
    assert again == effect
    assert found is not None
    assert (found.state, found.code, found.reference) == ("refused", code, effect.reference)
    assert (await bench.balance("acc-ada"), await bench.balance("acc-bob")) == (START_MINOR, 0)


@pytest.mark.parametrize(
    "changes",
    [{"amount_minor": 0}, {"amount_minor": -5}, {"amount_minor": 1.5}, {"amount_minor": "5"}, {"amount_minor": True},
     {"amount_minor": 2**53}, {"currency": "eur"}, {"to_account": ""}, {"surprise": 1}],
    ids=str,
)  # fmt: skip
async def test_a_malformed_order_is_refused(bench: Bench, changes: dict[str, Any]):
    effect = await bench.perform(**changes)
    assert (effect.state, effect.code) == ("refused", "invalid_request")
    assert await bench.balance() == 0


async def test_the_state_of_an_account_is_told_as_it_is_now(bench: Bench):
    ada = {"balance_minor": START_MINOR, "currency": "EUR", "status": "active", "owner_name": "Ada Example"}
    assert await bench.backend.state_of("acc-ada", timeout_seconds=5) == ada
    await bench.admin.post("/admin/accounts/acc-ada", json={"status": "frozen"})
    assert await bench.backend.state_of("acc-ada", timeout_seconds=5) == ada | {"status": "frozen"}
    assert await bench.backend.state_of("acc-nobody", timeout_seconds=5) == {}


async def test_a_ping_proves_that_the_bank_answers_and_has_no_effect(bench: Bench):
    await bench.backend.ping(timeout_seconds=5)
    await bench.trouble(fail_status=500, calls="all", times=1)
    await certainly_nothing(bench.backend.ping(timeout_seconds=5))
    assert await bench.balance("acc-ada") == START_MINOR


async def test_a_bank_that_does_not_know_our_token_does_nothing(bench: Bench):
    stranger = HttpActionBackend(name="bank", base_url=bench.bank.url, token="wrong")  # noqa: S106
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: stranger.perform("transfer_funds", {}, key="k", timeout_seconds=5),
        lambda: stranger.find("k", timeout_seconds=5),
        lambda: stranger.state_of("acc-ada", timeout_seconds=5),
        lambda: stranger.ping(timeout_seconds=5),
    ]
    for call in calls:
        await certainly_nothing(call())
    await stranger.close()


# --- trouble on the way


async def test_a_slow_answer_leaves_open_what_was_done_until_it_is_found(bench: Bench):
    await bench.trouble(latency_ms=1200, stage="after")
    began = time.monotonic()
    await nobody_knows(bench.perform(seconds=0.3))
    assert time.monotonic() - began < 1
    found = await bench.find()
    assert found is not None
    assert found.state == "done"
    assert (await bench.perform()).reference == found.reference
    assert await bench.balance() == 100


async def test_an_order_that_arrives_late_is_not_carried_out_a_second_time(bench: Bench):
    await bench.trouble(latency_ms=800, stage="before")
    await nobody_knows(bench.perform(seconds=0.1))
    assert await bench.find() is None  # not yet: whoever reads "never" out of this is wrong
    assert (await bench.perform()).state == "done"
    await asyncio.sleep(0.9)
    assert await bench.balance() == 100


async def test_a_connection_dropped_after_the_work_is_found_done(bench: Bench):
    await bench.trouble(drop="after")
    await nobody_knows(bench.perform())
    found = await bench.find()
    assert found is not None
    assert found.state == "done"
    assert await bench.balance() == 100


async def test_a_connection_dropped_before_the_work_is_found_not_done(bench: Bench):
    await bench.trouble(drop="before")
    await nobody_knows(bench.perform())
    assert await bench.find() is None
    assert await bench.balance() == 0


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_500_says_nothing_of_what_was_done(bench: Bench, status: int, stage: str):
    await bench.trouble(fail_status=status, stage=stage)
    await nobody_knows(bench.perform())
    assert (await bench.find() is None) == (stage == "before")


async def test_a_503_is_believed_only_when_it_says_that_nothing_was_done(bench: Bench):
    await bench.trouble(fail_status=503, stage="before")
    assert (await certainly_nothing(bench.perform("k-before"))).retry_after_seconds == 1
    assert await bench.find("k-before") is None
    await bench.trouble(fail_status=503, stage="after")
    await nobody_knows(bench.perform("k-after"))
    assert await bench.find("k-after") is not None


async def test_a_busy_bank_has_done_nothing_and_says_when_to_come_back(bench: Bench):
    await bench.trouble(fail_status=429)
    assert (await certainly_nothing(bench.perform())).retry_after_seconds == 1
    assert (await bench.perform()).state == "done"


async def test_trouble_in_a_look_up_is_no_word_about_the_order(bench: Bench):
    await bench.perform()
    for trouble in ({"fail_status": 500}, {"drop": "before"}, {"drop": "after"}, {"fail_status": 429}):
        await bench.trouble(**trouble, calls="all")
        await certainly_nothing(bench.find())
    assert (await bench.find()) is not None


async def test_connections_are_not_used_up_by_calls_that_went_wrong(bench: Bench):
    await bench.trouble(latency_ms=300, times=0)
    slow = [bench.perform(f"k-{n}", seconds=0.1) for n in range(MAX_CONNECTIONS * 2)]
    ended = await asyncio.gather(*slow, return_exceptions=True)
    assert {one.code for one in ended if isinstance(one, RetryableError)} == {"effect_unknown", "backend_unavailable"}
    await bench.trouble()
    effects = await asyncio.gather(*(bench.perform(f"k-new-{n}") for n in range(MAX_CONNECTIONS)))
    assert {effect.state for effect in effects} == {"done"}


async def test_a_call_that_is_given_up_by_its_caller_leaves_the_backend_usable(bench: Bench):
    await bench.trouble(latency_ms=200)
    task = asyncio.create_task(bench.perform())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await bench.perform("k-2")).state == "done"


# --- nobody there, or somebody else


def backend_at(address: str) -> HttpActionBackend:
    return HttpActionBackend(name="bank", base_url=address, token=DEFAULT_TOKEN)


async def performed(address: str, seconds: float = 5) -> Effect:
    backend = backend_at(address)
    try:
        return await backend.perform("transfer_funds", {}, key="k-1", timeout_seconds=seconds)
    finally:
        await backend.close()


async def test_a_port_where_nobody_listens_proves_that_nothing_was_done():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        await certainly_nothing(performed(f"http://127.0.0.1:{bound.getsockname()[1]}"))


async def test_a_name_that_does_not_exist_proves_that_nothing_was_done():
    await certainly_nothing(performed("https://bank.invalid"))


async def test_a_peer_that_speaks_no_tls_proves_that_nothing_was_done(bench: Bench):
    await certainly_nothing(performed(bench.bank.url.replace("http://", "https://")))


async def test_a_connection_that_is_never_accepted_proves_that_nothing_was_done():
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # fill the queue of those that wait to be accepted
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        await certainly_nothing(performed(f"http://127.0.0.1:{full.getsockname()[1]}", seconds=0.4))


@pytest.mark.parametrize(
    "says",
    [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 2x1\r\n\r\n",
     b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 50_000, b"HTTP/1.1 201 Created\r\n\r\n" + b" " * 1_000_000,
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["nothing", "half", "ssh", "no status", "endless head", "endless body", "bad chunks"],
)  # fmt: skip
async def test_whatever_else_a_peer_says_proves_nothing(says: bytes):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(says)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        await nobody_knows(performed(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
