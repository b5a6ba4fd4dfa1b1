"""Transfers through the real flows to a real bank over HTTP that is slow, breaks, and hangs up after the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.sandbox_bank import DEFAULT_TOKEN, SandboxBank
from local.sandbox_ledger import Account
from local.sandbox_trouble import Trouble
from shared.adapters.web.action_backend import HttpActionBackend
from tests.bench import Bench
from tests.unit.flows.action_bench import (
    action_bench,
    action_of,
    action_policy,
    deliver,
    deliver_one,
    outcomes_counted,
    records,
    sign,
    told,
    wish,
)

START_MINOR = 100_000
ACCOUNTS = (
    Account(id="giro", owner_name="Alice", currency="EUR", balance_minor=START_MINOR),
    Account(id="landlord", owner_name="Jo", currency="EUR", balance_minor=0),
)
QUICK = {"timeout_ms": 400}


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[SandboxBank]:
    async with SandboxBank(tmp_path / "bank", ACCOUNTS) as opened:
        yield opened


@pytest.fixture
async def bench(tmp_path: Path, bank: SandboxBank) -> AsyncIterator[Bench]:
    backend: Any = HttpActionBackend(name="bank", base_url=bank.url, token=DEFAULT_TOKEN)
    made = action_bench(tmp_path, backend, action_policy(**QUICK))
    yield made
    await made.close()
    await backend.close()


def moved(bank: SandboxBank) -> tuple[int, int]:
    """What left the one account and what reached the other."""
    giro, landlord = (bank._ledger.account(one.id) for one in ACCOUNTS)
    assert giro is not None
    assert landlord is not None
    return START_MINOR - giro["balance_minor"], landlord["balance_minor"]


async def _signed(bench: Bench, turn: int = 1) -> str:
    action_id = await wish(bench, rules=action_policy(**QUICK), turn=turn)
    await sign(bench, action_id, "bob")
    return action_id


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(),
        Trouble(drop="before"),
        Trouble(drop="after"),
        Trouble(fail_status=500),
        Trouble(fail_status=500, stage="after"),
        Trouble(fail_status=503),
        Trouble(fail_status=503, stage="after"),
        Trouble(fail_status=429),
        Trouble(latency_ms=900),
        Trouble(latency_ms=900, stage="after"),
        Trouble(drop="after", calls="all", times=3),
        Trouble(fail_status=500, calls="all", times=4),
    ],
)
async def test_the_money_moves_once_whatever_the_bank_does(bench: Bench, bank: SandboxBank, trouble: Trouble):
    action_id = await _signed(bench)
    assert await deliver_one(bench) == "committed"
    bank.troubles.set(trouble)
    assert (await deliver(bench))[-1] == "committed"
    await asyncio.sleep(0.6 if trouble.latency_ms else 0)  # an order that came late would be carried out by now
    assert moved(bank) == (5000, 5000)
    action = await action_of(bench, action_id)
    assert (action["state"], bool(action["reference"])) == ("done", True)
    assert (await records(bench)).count("effect_outcome") == 1
    assert await outcomes_counted(bench) == {"done": 1}
    *waited, said = await told(bench)
    assert said.startswith("Done: ")
    assert [": this waits, because the bank " in one for one in waited] == [True] * (action["attempts"] > 1)


async def test_a_breaker_opens_while_the_bank_is_broken_and_all_of_it_is_done_once_it_is_well(
    bench: Bench, bank: SandboxBank
):
    ids = [await _signed(bench, turn) for turn in range(1, 9)]
    for _ in ids:
        assert await deliver_one(bench) == "committed"
    bank.troubles.set(Trouble(fail_status=500, calls="all", times=0))
    for _ in ids:
        assert await deliver_one(bench) == "retried"
    stored = await bench.store.read("system", "breaker:bank")
    assert stored is not None
    assert stored.body["state"] == "open"
    assert moved(bank) == (0, 0)
    bank.troubles.set(Trouble())
    await deliver(bench, limit=60)
    assert {(await action_of(bench, one))["state"] for one in ids} == {"done"}
    assert moved(bank) == (8 * 5000, 8 * 5000)


async def test_an_account_frozen_between_the_intent_and_the_order_is_the_banks_to_refuse(
    bench: Bench, bank: SandboxBank
):
    action_id = await _signed(bench)
    await deliver_one(bench)
    await bank._ledger.set_status("landlord", "frozen")
    await deliver(bench)
    action = await action_of(bench, action_id)
    assert (action["state"], action["code"]) == ("refused", "account_frozen")
    assert moved(bank) == (0, 0)
