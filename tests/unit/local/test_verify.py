"""`python -m local verify`: which chains it names, and what it says of a name that nothing is known of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from local import verify
from shared import bootstrap
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.tenants import register


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a tenant that has no records yet; the system is registered too, as its own commits do."""

    async def made() -> None:
        delivery = bootstrap.delivery()
        try:
            for tenant in ("home", SYSTEM_PARTITION):
                await register(delivery, tenant)
        finally:
            await bootstrap.shutdown()

    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    asyncio.run(made())
    return tmp_path


def test_every_chain_is_told_once(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert verify.main(["--data", str(folder)]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [SYSTEM_PARTITION, "home"]


@pytest.mark.parametrize("name", ["nosuch", "../home", ""])
def test_a_tenant_that_nothing_is_known_of_is_said_so(name: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    assert verify.main(["--data", str(folder), "--tenant", name, "--tenant", "home"]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"countersign: nothing is known of a tenant {name!r}\n"
    assert shown.out.startswith("home: verifies; 0 records")
    assert shown.out.count("\n") == 1
