"""Members: the record comes first, then the effect; a crash in between is healed by sending the same again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.kinds import SYSTEM_PARTITION
from shared.errors import ConflictError, InvalidInputError, RetryableError, StateConflictError
from shared.flows import members
from shared.flows.members import list_members, roles_of, set_member
from tests.bench import Bench, make_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(tmp_path, {})
    yield made
    await made.close()


async def listed(bench: Bench, tenant: str) -> dict[str, list[str]]:
    page = await list_members(bench.delivery, tenant, limit=50, cursor="")
    return {one["principal"]: one["roles"] for one in page["items"]}


async def recorded(bench: Bench, tenant: str) -> list[tuple[list[str], list[str]]]:
    page = await bench.store.query(tenant, "audit")
    return [(one.body["payload"]["was"], one.body["payload"]["is"]) for one in page.documents]


async def test_roles_are_per_tenant_and_each_change_is_on_that_tenants_record(bench: Bench):
    await set_member(bench.delivery, "home", "bob", ["member"], by="root")
    await set_member(bench.delivery, "desk", "bob", ["auditor", "operator"], by="root")
    await set_member(bench.delivery, "home", "bob", ["reviewer"], by="root")
    await set_member(bench.delivery, "home", "bob", ["reviewer"], by="root")
    assert await roles_of(bench.delivery, "bob") == {"home": ["reviewer"], "desk": ["auditor", "operator"]}
    assert await recorded(bench, "home") == [([], ["member"]), (["member"], ["reviewer"])]
    assert await recorded(bench, "desk") == [([], ["auditor", "operator"])]
    assert (await listed(bench, "home"), await roles_of(bench.delivery, "eve")) == ({"bob": ["reviewer"]}, {})


async def test_the_list_shows_what_counts_and_a_repeat_heals_a_crash(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    await set_member(bench.delivery, "home", "bob", ["operator"], by="root")
    real = bench.store.commit

    async def commit(partition: str, *args: Any, **kwargs: Any) -> dict[str, str]:
        if partition == SYSTEM_PARTITION:
            raise RetryableError("the power went out")
        return await real(partition, *args, **kwargs)

    monkeypatch.setattr(bench.store, "commit", commit)
    with pytest.raises(RetryableError):
        await set_member(bench.delivery, "home", "bob", [], by="root")
    monkeypatch.setattr(bench.store, "commit", real)
    assert await listed(bench, "home") == {"bob": ["operator"]}
    await set_member(bench.delivery, "home", "bob", [], by="root")
    assert (await listed(bench, "home"), await roles_of(bench.delivery, "bob")) == ({}, {})
    assert len(await recorded(bench, "home")) == 2


async def test_two_tenants_that_write_at_once_both_count(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    real, lost = bench.store.commit, []

    async def commit(partition: str, writes: Any, **kwargs: Any) -> dict[str, str]:
        if partition == SYSTEM_PARTITION and writes[0].kind == "membership" and not lost:
            lost.append(1)
            await set_member(bench.delivery, "desk", "bob", ["auditor"], by="root")
            raise ConflictError([writes[0].id])
        return await real(partition, writes, **kwargs)

    monkeypatch.setattr(bench.store, "commit", commit)
    await set_member(bench.delivery, "home", "bob", ["member"], by="root")
    assert await roles_of(bench.delivery, "bob") == {"home": ["member"], "desk": ["auditor"]}


async def test_what_would_lock_out_or_let_in_too_much_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(StateConflictError):
        await set_member(bench.delivery, "home", "root", ["member"], by="root")
    with pytest.raises(InvalidInputError):
        await set_member(bench.delivery, "system", "bob", ["operator"], by="root")
    monkeypatch.setattr(members, "MAX_TENANTS", 1)
    await set_member(bench.delivery, "home", "bob", ["member"], by="root")
    with pytest.raises(StateConflictError):
        await set_member(bench.delivery, "desk", "bob", ["member"], by="root")
