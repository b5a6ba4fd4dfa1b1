"""What a listed producer can do to others, by mistake or on purpose: nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.adapters.embedded.command_bus import SqliteCommandBus
from shared.adapters.embedded.lanes import SqliteLanes
from shared.contracts.commands import ResolveParkedEnvelope, envelope
from shared.delivery.dead_letters import park_dead_letter
from shared.delivery.handling import Left, Outcome, Producer, Work
from shared.delivery.inbox import execute, handle_once
from shared.delivery.outbox import relay_stragglers
from shared.delivery.parking import Incoming
from shared.delivery.tenants import register
from shared.errors import ConflictError, RetryableError, TerminalError
from shared.flows.decision_changed import counts
from shared.ledger.transactions import classify_command_id
from shared.ports.command_bus import OutgoingMessage
from tests.unit.flows.bench import TENANT, Bench, deliver, facts, money_bench, transaction, upload

LANE = "runtime-ingestion-completed"
LISTED = Producer("pipeline", frozenset({"ClassifyTransaction", "IngestionCompleted"}), frozenset({TENANT, "t" * 40}))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = money_bench(tmp_path, producers=[LISTED])
    await register(made.delivery, TENANT)
    yield made
    await made.close()


def classify(bench: Bench, command_id: str, told: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made = envelope(
        "ClassifyTransaction", {"transaction": told}, command_id=command_id, tenant=TENANT, source="feed",
        issued_at=bench.clock(),
    )  # fmt: skip
    return {**made, "producer": "pipeline", **changes}


def batch(bench: Bench, command_id: str, *told: dict[str, Any], source: str = "feed", tenant: str = TENANT) -> Any:
    payload = {"batch_id": "b", "source": source, "transactions": list(told)}
    made = envelope(
        "IngestionCompleted", payload, command_id=command_id, tenant=tenant, source="feed", issued_at=bench.clock()
    )
    return {**made, "producer": "pipeline"}


async def arrives(bench: Bench, told: dict[str, Any], message_id: str = "m") -> str:
    return await handle_once(bench.delivery, Incoming(LANE, orjson.dumps(told), message_id, 1, told["tenant"]))


async def parked(bench: Bench) -> list[dict[str, Any]]:
    found = []
    for partition in (TENANT, "system"):
        page = await bench.store.query(partition, "parked")
        found += [document.body for document in page.documents]
    return found


class Failing:
    """A flow that cannot."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def needs(self, command: Any) -> tuple[str, ...]:
        return ()

    async def handle(self, work: Work) -> Outcome:
        raise self.error

    def when_parked(self, *given: Any, **named: Any) -> Left:
        return Left()


def failing(bench: Bench, error: Exception) -> None:
    flows = {**bench.delivery.flows, "ClassifyTransaction": Failing(error)}
    object.__setattr__(bench.delivery, "flows", flows)


@pytest.mark.parametrize("kind", ["batch", "classify"])
async def test_a_producer_cannot_use_up_the_id_of_a_command_of_ours(bench: Bench, kind: str):
    await upload(bench, facts("t-1"))
    ours = classify_command_id(TENANT, "t-1")
    stolen = batch(bench, ours, facts("x")) if kind == "batch" else classify(bench, ours, facts("x"))
    await arrives(bench, stolen)
    await deliver(bench)
    assert (await transaction(bench, "t-1"))["review_state"] != "Unclassified"


async def test_a_producer_cannot_block_an_upload_in_advance(bench: Bench):
    await arrives(bench, batch(bench, classify_command_id(TENANT, "t-1"), facts("x")))
    assert (await upload(bench, facts("t-1"), facts("t-2")))["accepted"] == 2


async def test_a_parked_row_of_a_batch_does_not_block_uploads(bench: Bench):
    await arrives(bench, batch(bench, "b-1", facts("t-1")))
    message = bench.bus.sent.pop()
    incoming = Incoming(LANE, message.body, message.message_id, 10, TENANT)
    await park_dead_letter(bench.delivery, incoming, reason="MaxDeliveryCountExceeded")
    assert len(await parked(bench)) == 1
    try:
        answer = await upload(bench, facts("t-1"), facts("t-2"))
    except ConflictError as failed:
        pytest.fail(str(failed))
    assert answer["rows"] == 2
    await deliver(bench)
    assert (await transaction(bench, "t-1"))["review_state"] == "NeedsReview"


async def test_a_batch_that_contradicts_a_decided_transaction_is_parked(bench: Bench):
    await upload(bench, facts("t-1"))
    await deliver(bench)
    await arrives(bench, batch(bench, "b-1", facts("t-1", amount_minor=-1)))
    await deliver(bench)
    assert [one["reason"] for one in await parked(bench)] == ["facts_differ"]


async def test_a_batch_that_contradicts_itself_loses_no_row_in_silence(bench: Bench):
    await arrives(bench, batch(bench, "b-1", facts("t-1", amount_minor=-1), facts("t-1", amount_minor=-2)))
    await deliver(bench)
    assert [one["reason"] for one in await parked(bench)] == ["facts_differ"]


async def test_a_producer_that_uses_an_id_twice_for_different_things_is_told_so(bench: Bench):
    assert await arrives(bench, classify(bench, "c-1", facts("t-1"))) == "committed"
    assert await arrives(bench, classify(bench, "c-1", facts("t-1"))) == "duplicate"
    assert await arrives(bench, classify(bench, "c-1", facts("t-2")), "m-2") == "parked"


async def test_a_contradicting_message_does_not_decide_the_pending_transaction(bench: Bench):
    await upload(bench, facts("t-1"))
    assert await arrives(bench, classify(bench, "c-1", facts("t-1", amount_minor=-1))) == "parked"
    assert (await transaction(bench, "t-1"))["review_state"] == "Unclassified"
    await deliver(bench)
    assert (await transaction(bench, "t-1"))["decision_version"] == 1


async def test_a_resend_does_not_decide_again_what_waits_for_a_person(bench: Bench):
    unknown = facts("t-1", descriptor="QQ NOBODY KNOWS", mcc="")
    await upload(bench, unknown)
    await deliver(bench)
    await arrives(bench, classify(bench, "c-1", unknown))
    assert (await transaction(bench, "t-1"))["decision_version"] == 1


async def test_a_parked_classification_is_told_to_the_world_and_counted(bench: Bench):
    await upload(bench, facts("t-1"))
    message = bench.bus.sent.pop()
    incoming = Incoming(LANE, message.body, message.message_id, 10, TENANT)
    await park_dead_letter(bench.delivery, incoming, reason="MaxDeliveryCountExceeded")
    bench.clock.forward(seconds=60)
    await relay_stragglers(bench.delivery)
    await deliver(bench)
    assert await counts(bench.delivery, TENANT) == {"NeedsReview": 1}


def without_defaults(told: dict[str, Any]) -> dict[str, Any]:
    """As a producer may write it: the schema does not require these."""
    return {name: value for name, value in told.items() if name not in ("attempt", "traceparent", "causation_id")}


async def test_a_command_without_optional_fields_waits_like_any_other(bench: Bench):
    failing(bench, RetryableError("later", code="store_unavailable"))
    assert await arrives(bench, without_defaults(classify(bench, "c-1", facts("t-1")))) == "retried"


async def test_a_replayed_command_without_optional_fields_does_not_stop_the_relay_of_everybody(bench: Bench):
    real = bench.delivery.flows
    failing(bench, TerminalError("broken", "cannot"))
    assert await arrives(bench, without_defaults(classify(bench, "c-1", facts("t-1")))) == "parked"
    object.__setattr__(bench.delivery, "flows", real)
    wish = {"parked_id": (await parked(bench))[0]["parked_id"], "resolution": "replay", "operator": "olga"}
    command = envelope("ResolveParked", wish, command_id="r", tenant=TENANT, source="http", issued_at=bench.clock())
    try:
        await execute(bench.delivery, ResolveParkedEnvelope.model_validate(command), fingerprint="f")
    finally:
        bench.bus.down = True
        await upload(bench, facts("t-2"))
        bench.bus.down = False
        bench.clock.forward(seconds=60)
        await relay_stragglers(bench.delivery)
    await deliver(bench)
    assert (await transaction(bench, "t-2"))["review_state"] != "Unclassified"


async def test_the_longest_names_that_the_contract_allows_fit_the_bus(bench: Bench, tmp_path: Path):
    lanes = SqliteLanes(tmp_path / "lanes.db", executor="inline")
    object.__setattr__(bench, "delivery", replace(bench.delivery, bus=SqliteCommandBus(lanes)))
    try:
        tenant = "t" * 40
        await arrives(bench, batch(bench, "b" * 64, facts("t-1"), source="s" * 64, tenant=tenant))
        reader = lanes.reader()
        sent = reader.execute("SELECT count(*) FROM message").fetchone()[0]
        reader.close()
        assert sent == 1
    finally:
        await lanes.close()


async def test_commands_do_not_wait_behind_events_that_cannot_be_published(bench: Bench):
    await upload(bench, facts("t-1"))
    bench.events.down = True
    await deliver(bench)
    bench.bus.down = True
    await upload(bench, facts("t-2"), key="k-2")
    bench.bus.down = False
    bench.clock.forward(seconds=60)
    with contextlib.suppress(RetryableError):  # that the events wait may be told, when the rest was done
        await relay_stragglers(bench.delivery)
    assert len(bench.bus.sent) == 1


async def test_a_message_id_that_was_used_before_does_not_swallow_ours(bench: Bench, tmp_path: Path):
    lanes = SqliteLanes(tmp_path / "lanes.db", executor="inline")
    bus = SqliteCommandBus(lanes)
    object.__setattr__(bench, "delivery", replace(bench.delivery, bus=bus))
    try:
        guessed = f"{classify_command_id(TENANT, 't-1')}:1"
        await bus.send([OutgoingMessage(LANE, b"{}", guessed, session_id="s")])
        await upload(bench, facts("t-1"))
        reader = lanes.reader()
        sent = reader.execute("SELECT count(*) FROM message").fetchone()[0]
        reader.close()
        assert sent == 2
    finally:
        await lanes.close()


async def test_an_idempotency_key_belongs_to_one_caller(bench: Bench):
    await upload(bench, facts("t-1"), key="x:1", caller="dev:al")
    assert (await upload(bench, facts("t-2"), key="1", caller="dev:al:x"))["accepted"] == 1


@pytest.mark.parametrize("change", ["true", "1.0", "mcc"])
async def test_envelopes_are_strict(bench: Bench, change: str):
    told = classify(bench, "c-1", facts("t-1", **({"mcc": "\uff15\uff14\uff11\uff11"} if change == "mcc" else {})))
    versions = {"true": True, "1.0": 1.0, "mcc": 1}
    assert await arrives(bench, {**told, "schema_version": versions[change]}) == "parked"


class Unwritable:
    """A store on a full disk: it reads, and cannot write."""

    def __init__(self, store: Any) -> None:
        self.read, self.read_many, self.query = store.read, store.read_many, store.query

    async def commit(self, *given: Any, **named: Any) -> None:
        raise RetryableError("disk full", code="store_unavailable")


async def test_a_message_that_cannot_even_be_recorded_is_given_back_slowly(bench: Bench):
    await upload(bench, facts("t-1"))
    message = bench.bus.sent.pop()
    bench.bus.down = True
    delivery = replace(bench.delivery, store=Unwritable(bench.store))
    incoming = Incoming(LANE, message.body, message.message_id, 3, TENANT)
    handling = asyncio.ensure_future(handle_once(delivery, incoming))
    done, _ = await asyncio.wait([handling], timeout=0.3)
    handling.cancel()
    await asyncio.wait([handling])
    assert not done


async def test_a_clock_that_goes_back_changes_no_outcome(bench: Bench):
    await upload(bench, facts("t-1"), facts("t-2"))
    bench.clock.forward(days=-3)
    assert await deliver(bench) == ["committed", "committed"]
    bench.clock.forward(days=-300)
    await upload(bench, facts("t-3"), key="k-2")
    assert await deliver(bench) == ["committed"]
    await asyncio.sleep(0)
    assert sum((await counts(bench.delivery, TENANT)).values()) == 3
