"""docs/operations.md, "Restore", rehearsed: the store goes back in time, and lanes, bank and checkpoints do not."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.lanes import ACTIONS, INGESTION, MESSAGES, Lane
from shared.ports.command_bus import OutgoingMessage
from tests.journeys.hosts import ON_AZURE, LocalHost, dev, rows, wait_for

pytestmark = pytest.mark.skipif(ON_AZURE, reason="the doubles keep no backup; the embedded store is copied")
HELD_TALK = "/api/v1/agent/conversations/c-held"
BOB = dev("bob", roles="reviewer")
HELD = """
import asyncio
from pathlib import Path
import shared.delivery.inbox as inbox
handle = inbox.handle_once
async def held(delivery, incoming):
    while (b"-held" in incoming.body or b'"RequestAction"' in incoming.body) and not Path({gate!r}).exists():
        await asyncio.sleep(0.02)
    return await handle(delivery, incoming)
inbox.handle_once = held
"""


class Restored(NamedTuple):
    """The host after the restore. card_id: open at the restored moment, signed and carried out after it; signed_id:
    signed before and carried out after it. balance: of the payee before the restore."""

    host: LocalHost
    card_id: str
    signed_id: str
    balance: int


def copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def balance_of(host: LocalHost) -> int:
    found = (host.data / "bank").rglob("*")
    with closing(sqlite3.connect(next(one for one in found if one.suffix == ".db"))) as bank:
        (balance,) = bank.execute("SELECT balance_minor FROM account WHERE id = 'Anna'").fetchone()
    return int(balance)


def card_in(host: LocalHost, conversation: str) -> str:
    talk = f"/api/v1/agent/conversations/{conversation}"
    wish = {"message": "Transfer 250 euros from acc-current to Anna"}
    assert host.call("POST", f"{talk}/messages", wish).status == 202
    (card_id,) = wait_for(lambda: host.get(talk)["open_approvals"], "the card")
    return str(card_id)


def sign(host: LocalHost, card_id: str) -> int:
    digest = host.get(f"/api/v1/approvals/{card_id}", as_=BOB)["card_digest"]
    signed = {"decision": "approve", "card_digest": digest}
    return host.call("POST", f"/api/v1/approvals/{card_id}/answer", signed, as_=BOB).status


def state_of(host: LocalHost, card_id: str) -> str:
    state: str = host.get(f"/api/v1/actions/{card_id}")["state"]
    return state


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    folder = tmp_path_factory.mktemp("restore")
    data, backup, gate = folder / "data", folder / "backup.db", folder / "gate"
    with LocalHost(data, before=HELD.format(gate=str(gate))) as host:
        host.upload(rows("t-1", "t-2"))
        host.settled(2)
        card_id, signed_id = card_in(host, "c-1"), card_in(host, "c-2")
        assert sign(host, signed_id) == 200
        wait_for(lambda: state_of(host, signed_id) == "requested", "the request")
        host.upload(rows("t-held"))  # sent, and not handled at the restored moment
        host.call("POST", f"{HELD_TALK}/messages", {"message": "help"})
        wait_for(lambda: not outbox_of(data), "an empty outbox")
        copied(data / "store.db", backup)
        gate.touch()
        host.upload(rows("t-late"), key="late")  # accepted after it
        assert sign(host, card_id) == 200
        for one in (card_id, signed_id):
            wait_for(lambda one=one: state_of(host, one) == "done", "the money")
        host.settled(4)
        assert host.call("POST", "/admin/functions/checkpoint_audit_heads", {}).status == 202
        wait_for(lambda: host.get("/api/v1/audit/checkpoints")["items"], "a checkpoint")
        wait_for(lambda: host.on_lanes() == 0, "empty lanes")
        balance = balance_of(host)
        host.stop()
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (data / name).unlink(missing_ok=True)
    copied(backup, data / "store.db")
    with LocalHost(data) as host:
        yield Restored(host, card_id, signed_id, balance)


def outbox_of(data: Path) -> list[Any]:
    with closing(sqlite3.connect(data / "store.db", timeout=10)) as store:
        return store.execute("SELECT id FROM documents WHERE kind = 'outbox'").fetchall()


def verified(host: LocalHost) -> dict[str, Any]:
    body: dict[str, Any] = host.call("POST", "/api/v1/audit/verify", {"from": 0}).body
    return body


def test_1_the_old_checkpoints_tell_that_the_chain_has_lost_its_end(restored: Restored):
    told = verified(restored.host)
    assert (told["ok"], told["problem"]) == (False, "truncated_after_checkpoint")


def test_2_with_a_container_of_its_own_the_restored_chain_verifies_and_the_old_one_stays_evidence(restored: Restored):
    host = restored.host
    host.stop()
    old = host.data / "checkpoints.jsonl"
    old.rename(host.data.parent / "checkpoints-before.jsonl")
    host.start()
    assert verified(host)["ok"]
    assert (host.data.parent / "checkpoints-before.jsonl").read_text(encoding="utf-8")


def test_3_what_was_accepted_afterwards_is_unknown_and_an_equal_upload_brings_it_back(restored: Restored):
    host = restored.host
    assert host.call("GET", "/api/v1/transactions/t-late").status == 404
    assert host.upload(rows("t-late"), key="late").status == 202
    wait_for(lambda: host.get("/api/v1/transactions/t-late")["decision_version"] == 1, "its decision")


def test_4_what_was_on_a_lane_is_pending_until_the_same_envelope_is_sent_again(restored: Restored):
    """The store still vouches for it, so whoever may send to the lane may send it."""
    host = restored.host
    runs = {one["command_type"]: one for one in host.items("/api/v1/runs?status=Pending")}
    assert runs.keys() == {"ClassifyTransaction", "AgentMessagePosted"}
    transaction = host.get("/api/v1/transactions/t-held")
    assert transaction["review_state"] == "Unclassified"
    send(host, INGESTION, "household", runs["ClassifyTransaction"], {"transaction": transaction["facts"]})
    wait_for(lambda: host.get("/api/v1/transactions/t-held")["decision_version"] == 1, "its decision")
    (message,) = host.get(HELD_TALK)["messages"]
    named = {"conversation_id": "c-held", "message_id": message["message_id"], "turn": message["turn"]}
    send(host, MESSAGES, "household:c-held", runs["AgentMessagePosted"], named)
    wait_for(lambda: len(host.get(HELD_TALK)["messages"]) == 2, "the reply")
    assert host.items("/api/v1/runs?status=Pending") == []
    assert host.get("/api/v1/parked")["items"] == []


def send(host: LocalHost, lane: Lane, session: str, run: dict[str, Any], payload: dict[str, Any]) -> None:
    """The envelope of docs/schemas/command-envelope.json, as the run remembers it."""
    kept = {name: run[name] for name in ("command_id", "command_type", "correlation_id", "causation_id")}
    told = {**kept, "schema_version": 1, "tenant": "household", "producer": "countersign", "attempt": 1}
    told |= {"issued_at": run["created_at"], "traceparent": "", "payload": payload}

    async def sent() -> None:
        lanes = SqliteLanes(host.data / "lanes.db")
        message = OutgoingMessage(lane.queue, json.dumps(told).encode(), f"again-{lane.queue}", session_id=session)
        await SqliteCommandBus(lanes).send([message])
        await lanes.close()

    asyncio.run(sent())


def test_5_a_transfer_carried_out_afterwards_waits_for_its_signature_again_and_moves_no_money_twice(restored: Restored):
    host, card_id, _, balance = restored
    assert state_of(host, card_id) == "waiting"
    assert sign(host, card_id) == 200
    wait_for(lambda: state_of(host, card_id) == "done", "the bank's word")
    assert balance_of(host) == balance
    assert verified(host)["ok"]


def test_6_a_signed_transfer_whose_request_was_lost_goes_on_when_it_is_sent_again(restored: Restored):
    """Its id is in the run that caused it, which the API does not show: it is read in the store."""
    host, _, action_id, balance = restored
    assert state_of(host, action_id) == "requested"
    (cause,) = [
        one
        for one in stored_runs(host.data)
        if (one["subject"], one["command_type"]) == (action_id, "AgentApprovalSubmitted")
    ]
    (command_id,) = cause["vouches_for"]
    told = {**cause, "command_id": command_id, "command_type": "RequestAction", "causation_id": cause["command_id"]}
    send(host, ACTIONS, f"household:{action_id}", told, {"action_id": action_id})
    wait_for(lambda: state_of(host, action_id) == "done", "the bank's word")
    assert balance_of(host) == balance
    assert host.get("/api/v1/parked")["items"] == []


def stored_runs(data: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(data / "store.db", timeout=10)) as store:
        return [json.loads(body) for (body,) in store.execute("SELECT body FROM documents WHERE kind = 'run'")]
