"""`python -m local verify`: which chains it names, and what it says of a name that nothing is known of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from local import verify
from shared import bootstrap
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.delivery.tenants import register
from shared.ports.command_bus import OutgoingMessage
from tests.unit.flows import action_bench as actions


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


@pytest.mark.parametrize("kind", ["action", "approval"])
def test_what_was_altered_by_hand_is_named_before_and_after_it_was_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The refusal, its notice and its record are committed; what was altered is not written anew, so nothing heals."""

    async def altered() -> str:
        bench = actions.action_bench(tmp_path, actions.bank())
        action_id = await actions.wish(bench)
        await actions.sign(bench, action_id, "bob")
        (found,) = (await bench.store.read_many(actions.TENANT, [f"{kind}:{action_id}"])).values()
        await bench.store.commit(actions.TENANT, [found._replace(body={**found.body, "risk": "low"})])
        on_lanes.extend(bench.bus.sent)
        await bench.close()
        return found.id

    async def refused() -> list[str]:
        bench = actions.action_bench(tmp_path, actions.bank())
        bench.clock.forward(minutes=1)
        bench.bus.sent.extend(on_lanes)
        assert await actions.deliver(bench) == ["committed"]
        said = await actions.told(bench)
        await bench.close()
        return said

    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    on_lanes: list[OutgoingMessage] = []
    document_id = asyncio.run(altered())
    assert verify.main(["--data", str(tmp_path), "--tenant", actions.TENANT]) == 1
    assert f", {document_id}: document_differs" in capsys.readouterr().out
    assert asyncio.run(refused())[-1].startswith("Not done: ")
    assert verify.main(["--data", str(tmp_path), "--tenant", actions.TENANT]) == 1
    assert f", {document_id}: document_differs" in capsys.readouterr().out
