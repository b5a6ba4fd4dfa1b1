"""The timer that tries backends whose breaker is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.sandbox_bank import DEFAULT_TOKEN, SandboxBank
from shared import bootstrap
from shared.ports.document_store import Document
from tests.functions.conftest import App, functions

OPENED = {
    "backend": "bank",
    "state": "open",
    "failures": ["2026-03-01T12:00:00.000000Z"],
    "opened_at": "2026-03-01T12:00:00.000000Z",
    "retry_at": "2026-03-01T12:00:15.000000Z",
    "probe_until": "",
    "changed_at": "2026-03-01T12:00:00.000000Z",
}


async def _fire() -> None:
    await functions()["probe_breakers"].get_user_function()(None)


async def _state() -> Any:
    stored = await bootstrap.delivery().store.read("system", "breaker:bank")
    return stored.body["state"] if stored else None


async def _open() -> None:
    await bootstrap.delivery().store.commit("system", [Document("system", "breaker:bank", "breaker", OPENED)])


async def test_a_bank_that_is_well_again_is_found_so_by_the_timer(
    app: App, settings: Callable[..., None], tmp_path: Path
):
    async with SandboxBank(tmp_path / "bank") as bank:
        settings(BANK_URL=bank.url, BANK_TOKEN=DEFAULT_TOKEN)
        await _open()
        await _fire()
        assert await _state() == "closed"
        assert bank.calls["GET /v1/health"] == 1


async def test_a_bank_that_is_still_gone_stays_left_alone(app: App, settings: Callable[..., None]):
    settings(BANK_URL="http://127.0.0.1:9", BANK_TOKEN=DEFAULT_TOKEN)
    await _open()
    await _fire()
    assert await _state() == "open"
    stored = await bootstrap.delivery().store.read("system", "breaker:bank")
    assert stored is not None
    assert stored.body["opened_at"] > OPENED["opened_at"]


async def test_without_a_bank_there_is_nothing_to_try(app: App):
    await _fire()
    assert await _state() is None
