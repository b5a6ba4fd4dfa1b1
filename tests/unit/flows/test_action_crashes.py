"""Killed before and after every step that leaves the process: one effect or none, never two, and the record says which.

Each try dies at another call of the store, the bus or the bank, then everything is delivered again as the platform
would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.audit.verification import verify
from shared.delivery.outbox import relay_stragglers
from tests.bench import Bench
from tests.unit.flows.action_bench import (
    TENANT,
    FakeBank,
    action_bench,
    action_of,
    action_policy,
    bank,
    body_of,
    card_of,
    deliver,
    flows_of,
    outcomes_counted,
    records,
    sign,
    told,
    wish,
)


class KilledError(BaseException):
    """The process is gone: nothing may catch it."""


class Fuse:
    """Burns down by one at every moment before and after a call; at the end it kills."""

    def __init__(self) -> None:
        self.left = -1
        self.burnt = 0

    def moment(self) -> None:
        self.burnt += 1
        if self.left == 0:
            self.left = -1
            raise KilledError
        self.left -= 1


class Fragile:
    """A port whose every call can be the last one, just before it or just after it."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found) or name in ("close", "purge"):
            return found

        async def called(*given: Any, **named: Any) -> Any:
            self._fuse.moment()
            answer = await found(*given, **named)
            self._fuse.moment()
            return answer

        return called


def _folder(tmp_path: Path, number: int) -> Path:
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder


@asynccontextmanager
async def _fragile(folder: Path, backend: FakeBank, fuse: Fuse) -> AsyncIterator[Bench]:
    bench = action_bench(folder, backend)
    flows = flows_of(Fragile(backend, fuse), action_policy())  # type: ignore[arg-type]
    delivery = dataclasses.replace(
        bench.delivery, store=Fragile(bench.store, fuse), bus=Fragile(bench.bus, fuse), flows=flows
    )
    yield dataclasses.replace(bench, delivery=delivery)
    await bench.close()


async def _through(bench: Bench, fuse: Fuse, die_at: int) -> int:
    """Deliver until nothing is left, dying once at moment `die_at`; returns how many moments there were."""
    fuse.left, fuse.burnt = die_at, 0
    for _ in range(4):
        try:
            await deliver(bench)
            bench.clock.forward(minutes=1)
            await relay_stragglers(bench.delivery)
            if not bench.bus.sent:
                return fuse.burnt
        except KilledError:
            bench.clock.forward(minutes=1)  # the lock runs out, and the platform delivers the message again
    raise AssertionError("it never came to an end")


async def _is_sound(bench: Bench) -> None:
    found = await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert not found.problem, found


async def _transfer(bench: Bench) -> str:
    action_id = await wish(bench)
    await sign(bench, action_id, "bob")
    return action_id


async def _budget(bench: Bench) -> str:
    return await wish(bench, "set_budget", {"category": "food", "limit_minor": 40_000, "currency": "EUR"})


@pytest.mark.parametrize("ask", [_transfer, _budget])
async def test_a_process_killed_anywhere_leaves_one_effect_and_a_record_of_it(tmp_path: Path, ask: Callable[..., Any]):
    die_at, moments = 0, 1
    while die_at < moments:
        backend, fuse = bank(), Fuse()
        async with _fragile(_folder(tmp_path, die_at), backend, fuse) as bench:
            action_id = await ask(bench)
            moments = max(moments, await _through(bench, fuse, die_at))
            assert (await action_of(bench, action_id))["state"] == "done", f"killed at moment {die_at}"
            assert backend.performed == (1 if ask is _transfer else 0), f"killed at moment {die_at}"
            assert backend.repeated == 0, "asked again for what was done"
            if ask is _budget:
                assert (await body_of(bench, "budget:food"))["limit_minor"] == 40_000
            written = await records(bench)
            assert (written.count("effect_intent"), written.count("effect_outcome")) == (1, 1)
            assert await outcomes_counted(bench) == {"done": 1}
            assert len(await told(bench)) == 1
            await _is_sound(bench)
        die_at += 1
    assert die_at > 20, "there are more moments than that"


@pytest.mark.parametrize("trouble", ["done_but_lost", "lost", "down"])
async def test_killed_anywhere_while_the_bank_fails_too_still_moves_the_money_once(tmp_path: Path, trouble: str):
    die_at, moments = 0, 1
    while die_at < moments:
        backend, fuse = bank(), Fuse()
        backend.trouble = [trouble]
        async with _fragile(_folder(tmp_path, die_at), backend, fuse) as bench:
            action_id = await _transfer(bench)
            moments = max(moments, await _through(bench, fuse, die_at))
            assert (await action_of(bench, action_id))["state"] == "done", f"killed at moment {die_at}"
            assert (backend.performed, backend.repeated) == (1, 0), f"killed at moment {die_at}"
            assert backend.accounts["giro"]["balance_minor"] == 95_000
            assert (await card_of(bench, action_id))["state"] == "consumed"
            await _is_sound(bench)
        die_at += 1


async def test_killed_anywhere_while_it_is_refused_moves_nothing_and_is_cancelled_once(tmp_path: Path):
    die_at, moments = 0, 1
    while die_at < moments:
        backend, fuse = bank(), Fuse()
        backend.accounts["giro"]["balance_minor"] = 10
        async with _fragile(_folder(tmp_path, die_at), backend, fuse) as bench:
            action_id = await _transfer(bench)
            moments = max(moments, await _through(bench, fuse, die_at))
            action = await action_of(bench, action_id)
            assert (action["state"], action["code"]) == ("cancelled", "insufficient_funds")
            assert (await card_of(bench, action_id))["state"] == "superseded"
            assert backend.performed == 0
            assert await outcomes_counted(bench) == {"cancelled": 1}
            assert len(await told(bench)) == 1
        die_at += 1
