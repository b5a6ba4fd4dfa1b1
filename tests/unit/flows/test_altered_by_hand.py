"""One byte of what is stored is changed by hand, anywhere: nothing is carried out, and `verify` names what it was."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.audit.trail import HEAD_ID, audit_id
from shared.audit.verification import Verification, verify
from shared.errors import StateConflictError, UnreadableError
from shared.ports.command_bus import OutgoingMessage
from tests.bench import Bench
from tests.unit.approvals import bench as cards
from tests.unit.flows.action_bench import (
    TENANT,
    action_bench,
    bank,
    body_of,
    deliver,
    deliver_one,
    sign,
    told,
    wish,
)

PLACES = 150
"""Bytes of each document that are changed, one at a time."""
BYTES = b'x9"'


@pytest.fixture
async def signed(tmp_path: Path) -> tuple[Path, str, list[OutgoingMessage]]:
    """A store in which a transfer is signed for and requested; the action's id, and what is on the lanes."""
    folder = tmp_path / "signed"
    folder.mkdir()
    bench = action_bench(folder, bank())
    action_id = await wish(bench)
    await sign(bench, action_id, "bob")
    on_lanes = list(bench.bus.sent)
    await bench.close()
    return folder, action_id, on_lanes


def body_in(folder: Path, document_id: str) -> bytes:
    with closing(sqlite3.connect(folder / "store.db")) as store:
        found: bytes = store.execute("SELECT body FROM documents WHERE id = ?", (document_id,)).fetchone()[0]
        return found


def change(folder: Path, document_id: str, body: bytes) -> None:
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as store:
        store.execute("UPDATE documents SET body = ? WHERE id = ?", (body, document_id))


def spoilt(body: bytes) -> list[bytes]:
    """The body with one byte changed, in many places, the same ones each time."""
    chance, made = Random(4), []
    for at in sorted(chance.sample(range(len(body)), PLACES)):
        byte = chance.choice([one for one in BYTES if one != body[at]])
        made.append(body[:at] + bytes([byte]) + body[at + 1 :])
    return made


async def tried(folder: Path, on_lanes: Sequence[OutgoingMessage]) -> tuple[Verification, Any]:
    """What `verify` says, before and after, and what became of the request: code of its refusal, or of the parked
    command."""
    backend = bank()
    bench = action_bench(folder, backend)
    bench.clock.forward(minutes=1)
    try:
        found = await checked(bench)
        bench.bus.sent.extend(on_lanes)
        outcome = await deliver_one(bench)
        assert backend.performed == 0
        after = await checked(bench)
        assert (after.problem, after.broken_at, after.document) == (found.problem, found.broken_at, found.document)
        if outcome == "committed":
            chain = (await bench.store.query(TENANT, "audit", limit=50)).documents
            assert "effect_intent" not in [one.body["what"] for one in chain]
            assert (await told(bench))[-1].startswith("Not done: ")
            return found, chain[-1].body["payload"]["code"]
        if outcome == "parked":
            page = await bench.store.query(TENANT, "parked", key=("state", "parked"))
            return found, page.documents[0].body["reason"]
        return found, outcome
    finally:
        await bench.close()


async def checked(bench: Bench) -> Verification:
    return await verify(TENANT, store=bench.store, checkpoints=bench.delivery.checkpoints)


@pytest.mark.parametrize("kind", ["action", "approval", "first record", "last record"])
async def test_a_changed_byte_anywhere_stops_the_transfer_and_is_named(
    tmp_path: Path, signed: tuple[Path, str, list[OutgoingMessage]], kind: str
):
    folder, action_id, on_lanes = signed
    sequence = {"first record": 1, "last record": 2}.get(kind, 0)
    document_id = audit_id(sequence) if sequence else f"{kind}:{action_id}"
    for number, body in enumerate(spoilt(body_in(folder, document_id))):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(folder, copy)
        change(copy, document_id, body)
        found, code = await tried(copy, on_lanes)
        assert found.problem, body
        assert (found.broken_at, found.document) == ((sequence, "") if sequence else (2, document_id)), body
        assert code in ("record_altered", "retried"), body  # what cannot be read at all waits for an operator
        assert (code == "retried") == found.problem.endswith("unreadable"), body


@pytest.mark.parametrize("kind", ["action", "approval"])
async def test_a_changed_byte_anywhere_cannot_be_signed(tmp_path: Path, kind: str):
    bench = cards.approval_bench(tmp_path)
    approval_id = await cards.ask(bench.delivery)
    digest = (await cards.card_of(bench.delivery, approval_id))["card_digest"]
    document_id = f"{kind}:{approval_id}"
    for body in spoilt(body_in(tmp_path, document_id)):
        change(tmp_path, document_id, body)
        with pytest.raises((StateConflictError, UnreadableError)) as refused:
            await cards.answer(bench.delivery, approval_id, card_digest=digest)
        assert refused.value.code in ("record_altered", "document_unreadable"), body
        found = await checked(bench)
        assert (bool(found.problem), found.document) == (True, document_id), body
    await bench.close()


async def test_an_older_version_that_is_put_back_whole_is_named(tmp_path: Path):
    """It passes the check before an effect, which the backend's key keeps single; `verify` looks at the newest seal."""
    backend = bank()
    bench = action_bench(tmp_path, backend)
    action_id = await wish(bench)
    await sign(bench, action_id, "bob")
    older = {id_: body_in(tmp_path, id_) for id_ in (f"action:{action_id}", f"approval:{action_id}")}
    on_lanes = list(bench.bus.sent)
    assert await deliver(bench) == ["committed", "committed"]
    for id_, body in older.items():
        change(tmp_path, id_, body)
    assert (await checked(bench)).document in older
    bench.bus.sent.extend(on_lanes)
    await deliver(bench)
    assert (backend.performed, backend.accounts["giro"]["balance_minor"]) == (1, 95_000)
    await bench.close()


async def test_a_document_that_is_gone_is_named(tmp_path: Path):
    bench = action_bench(tmp_path, bank())
    action_id = await wish(bench)
    document = await bench.store.read(TENANT, f"approval:{action_id}")
    assert document is not None
    await bench.store.commit(TENANT, [], deletes=[document])
    found = await checked(bench)
    assert (found.problem, found.document) == ("document_missing", document.id)
    await bench.close()


async def test_a_changed_head_is_noticed(tmp_path: Path):
    bench = action_bench(tmp_path, bank())
    await wish(bench)
    whole = body_in(tmp_path, HEAD_ID)
    assert (await body_of(bench, HEAD_ID))["sequence"] == 1
    for before, after in ((b'"sequence":1', b'"sequence":7'), (b'"sequence"', b'"sequencf"'), (b'"', b"x")):
        change(tmp_path, HEAD_ID, whole.replace(before, after, 1))
        assert (await checked(bench)).problem in ("head_differs", "records_missing_before_head")
    change(tmp_path, HEAD_ID, whole)
    assert (await checked(bench)).problem == ""
    await bench.close()
