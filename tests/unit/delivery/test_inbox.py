"""The inbox: exactly once in effect, one commit, fenced, and nothing lost when things break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.audit.record import Entry
from shared.audit.verification import verify
from shared.contracts.commands import envelope, parse_envelope
from shared.contracts.identity import run_id_of
from shared.contracts.instants import text
from shared.delivery.dead_letters import park_dead_letter
from shared.delivery.handling import Left, Outcome, Producer, Work
from shared.delivery.inbox import handle_once
from shared.delivery.intake import accept
from shared.delivery.outbox import relay_stragglers
from shared.delivery.parking import Incoming
from shared.delivery.tenants import register
from shared.errors import ConflictError, RetryableError, TerminalError
from shared.ports.document_store import Document
from shared.runs.life_cycle import Run, moved_to
from tests.bench import Bench, facts, make_bench

LANE = "runtime-ingestion-completed"
TENANT = "household"


class CountingFlow:
    """Counts how often it decided; what it does before its outcome is the test's."""

    def __init__(self) -> None:
        self.decided = 0
        self.before: Callable[[Work], Awaitable[None]] | None = None

    def needs(self, command: Any) -> tuple[str, ...]:
        return (f"transaction:{command.payload.transaction.transaction_id}",)

    async def handle(self, work: Work) -> Outcome:
        self.decided += 1
        if self.before:
            await self.before(work)
        stored = work.documents.get("transaction:t-1")
        body = {"count": (stored.body["count"] if stored else 0) + 1}
        document = Document(work.partition, "transaction:t-1", "transaction", body, etag=stored.etag if stored else "")
        event = {"id": f"{work.run['run_id']}-changed"}
        entry = Entry("decided", {"kind": "test", "id": "test"}, {"run": work.run["run_id"]}, {})
        run = moved_to(work.run, "Completed", at=text(work.now))
        return Outcome(run=run, entries=[entry], writes=[document], events=[event])

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        return Left()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    producers = [Producer("pipeline", frozenset({"ClassifyTransaction"}), frozenset({TENANT}))]
    made = make_bench(tmp_path, {"ClassifyTransaction": CountingFlow()}, producers=producers)
    await register(made.delivery, TENANT)
    yield made
    await made.close()


def command_of(bench: Bench, **changes: Any) -> dict[str, Any]:
    made = envelope(
        "ClassifyTransaction",
        {"transaction": facts()},
        command_id="c-1",
        tenant=TENANT,
        source="statement",
        issued_at=bench.clock(),
    )
    return made | changes


async def accepted(bench: Bench) -> Incoming:
    await accept(bench.delivery, TENANT, [command_of(bench)], key="k-1")
    return incoming(bench.bus.sent[-1].body)


def incoming(body: bytes, message_id: str = "m-1") -> Incoming:
    return Incoming(LANE, body, message_id, 1, TENANT)


def flow_of(bench: Bench) -> CountingFlow:
    flow = bench.delivery.flows["ClassifyTransaction"]
    assert isinstance(flow, CountingFlow)
    return flow


async def run_of(bench: Bench, command_id: str = "c-1") -> dict[str, Any]:
    document = await bench.store.read(TENANT, f"run:{run_id_of(TENANT, command_id)}")
    assert document is not None
    return document.body


async def whole_chain(bench: Bench, partition: str = TENANT) -> int:
    report = await verify(partition, store=bench.store, checkpoints=bench.delivery.checkpoints)
    assert report.problem == ""
    return report.records


async def test_a_command_is_decided_audited_and_told_in_this_order(bench: Bench):
    assert await handle_once(bench.delivery, await accepted(bench)) == "committed"
    assert (await run_of(bench))["status"] == "Completed"
    assert [event["id"] for event in bench.events.published] == [f"{run_id_of(TENANT, 'c-1')}-changed"]
    assert await whole_chain(bench) == 1


async def test_however_often_it_arrives_it_is_decided_once(bench: Bench):
    message = await accepted(bench)
    assert [await handle_once(bench.delivery, message) for _ in range(4)] == ["committed", *["duplicate"] * 3]
    assert flow_of(bench).decided == 1
    assert len(bench.events.published) == 1


async def test_two_workers_on_one_message_make_one_decision(bench: Bench):
    message = await accepted(bench)

    async def pause(work: Work) -> None:
        await asyncio.sleep(0.01)

    flow_of(bench).before = pause
    outcomes = await asyncio.gather(*(handle_once(bench.delivery, message) for _ in range(5)))
    assert sorted(outcomes) == ["committed", *["duplicate"] * 4]
    stored = await bench.store.read(TENANT, "transaction:t-1")
    assert stored is not None
    assert stored.body["count"] == 1
    assert await whole_chain(bench) == 1


async def test_after_the_receipt_has_expired_the_terminal_run_is_the_receipt(bench: Bench):
    message = await accepted(bench)
    await handle_once(bench.delivery, message)
    bench.clock.forward(days=31)
    assert await bench.store.read(TENANT, "receipt:c-1") is None
    assert await handle_once(bench.delivery, message) == "duplicate"


async def test_a_document_lost_to_somebody_else_is_read_and_decided_again(bench: Bench):
    message = await accepted(bench)

    async def meddle(work: Work) -> None:
        flow_of(bench).before = None
        await bench.store.commit(TENANT, [Document(TENANT, "transaction:t-1", "transaction", {"count": 41})])

    flow_of(bench).before = meddle
    assert await handle_once(bench.delivery, message) == "committed"
    stored = await bench.store.read(TENANT, "transaction:t-1")
    assert stored is not None
    assert stored.body["count"] == 42
    assert flow_of(bench).decided == 2


async def test_a_lost_audit_head_alone_is_linked_again_without_deciding_again(bench: Bench):
    message = await accepted(bench)

    async def meddle(work: Work) -> None:
        flow_of(bench).before = None
        entry = Entry("something_else", {"kind": "test", "id": "x"}, {}, {})
        await accept(bench.delivery, TENANT, [], key="other", entries=[entry])

    flow_of(bench).before = meddle
    assert await handle_once(bench.delivery, message) == "committed"
    assert flow_of(bench).decided == 1
    assert await whole_chain(bench) == 2


async def test_a_command_that_nobody_accepted_changes_nothing_and_is_parked_outside_the_tenant(bench: Bench):
    forged = incoming(orjson.dumps(command_of(bench)))
    assert await handle_once(bench.delivery, forged) == "parked"
    assert flow_of(bench).decided == 0
    page = await bench.store.query("system", "parked")
    assert [document.body["reason"] for document in page.documents] == ["unauthenticated_command"]
    assert (await bench.store.query(TENANT, "parked")).documents == []
    assert await whole_chain(bench, "system") == 1


async def test_another_payload_under_an_accepted_command_id_does_not_touch_the_real_one(bench: Bench):
    real = await accepted(bench)
    forged = orjson.loads(real.body)
    forged["payload"]["transaction"]["amount_minor"] = -1
    assert await handle_once(bench.delivery, incoming(orjson.dumps(forged), "m-2")) == "parked"
    assert (await run_of(bench))["status"] == "Pending"
    assert await handle_once(bench.delivery, real) == "committed"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"producer": "pipeline"}, "committed"),
        ({"producer": "stranger"}, "parked"),
        ({"producer": "pipeline", "tenant": "other-house"}, "parked"),
    ],
)
async def test_outside_producers_may_send_what_is_listed_for_them_and_nothing_else(
    bench: Bench, changes: dict[str, str], outcome: str
):
    message = incoming(orjson.dumps(command_of(bench, **changes)))
    assert await handle_once(bench.delivery, message) == outcome


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b'{"half": ', b"[1]", b'{"amount_minor": 1443.0}' * 50])
async def test_rubbish_is_parked_byte_for_byte_and_only_once(bench: Bench, body: bytes):
    for _ in range(3):
        assert await handle_once(bench.delivery, incoming(body)) == "parked"
    page = await bench.store.query("system", "parked")
    assert len(page.documents) == 1
    kept = page.documents[0].body
    if kept["message_encoding"] == "utf-8":
        assert kept["message"].encode() == body
    assert kept["reason"] == "malformed_envelope"


async def test_what_can_never_succeed_is_parked_with_run_receipt_and_signal(bench: Bench):
    message = await accepted(bench)

    async def refuse(work: Work) -> None:
        raise TerminalError("facts_differ", "another story")

    flow_of(bench).before = refuse
    assert await handle_once(bench.delivery, message) == "parked"
    run = await run_of(bench)
    assert (run["status"], run["failure_code"], run["signals"][0]["requires_human"]) == (
        "NeedsReview",
        "facts_differ",
        True,
    )
    assert await handle_once(bench.delivery, message) == "duplicate"
    page = await bench.store.query(TENANT, "parked", key=("state", "parked"))
    assert parse_envelope(page.documents[0].body["message"].encode()).command_id == "c-1"
    assert await whole_chain(bench) == 1


async def test_a_passing_failure_sends_a_scheduled_copy_with_the_next_attempt(bench: Bench):
    message = await accepted(bench)

    async def busy(work: Work) -> None:
        raise RetryableError("the model is busy", retry_after_seconds=30)

    flow_of(bench).before = busy
    assert await handle_once(bench.delivery, message) == "retried"
    copy = bench.bus.sent[-1]
    assert copy.message_id.startswith("c-1:2:")
    assert copy.scheduled_at > text(bench.clock())
    assert orjson.loads(copy.body)["attempt"] == 2
    flow_of(bench).before = None
    assert await handle_once(bench.delivery, incoming(copy.body)) == "committed"


async def test_an_unexpected_fault_is_tried_three_times_and_then_parked(bench: Bench):
    message = await accepted(bench)

    async def broken(work: Work) -> None:
        raise KeyError("oops")

    flow_of(bench).before = broken
    outcomes = []
    for _ in range(3):
        outcomes.append(await handle_once(bench.delivery, message))
        message = incoming(bench.bus.sent[-1].body)
    assert outcomes == ["retried", "retried", "parked"]
    assert (await run_of(bench))["failure_code"] == "unexpected_error"


async def test_waiting_for_an_outage_spends_no_attempt_and_no_duplicate_detection_eats_it(bench: Bench):
    message = await accepted(bench)

    async def down(work: Work) -> None:
        raise RetryableError("the store is down", code="store_unavailable")

    flow_of(bench).before = down
    ids = set()
    for _ in range(20):
        assert await handle_once(bench.delivery, message) == "retried"
        message = incoming(bench.bus.sent[-1].body, bench.bus.sent[-1].message_id)
        ids.add(bench.bus.sent[-1].message_id)
        assert orjson.loads(message.body)["attempt"] == 1
    assert len(ids) == 20


async def test_when_not_even_the_failure_can_be_recorded_the_host_keeps_the_message(bench: Bench):
    message = await accepted(bench)

    async def down(work: Work) -> None:
        bench.bus.down = True
        raise RetryableError("the store is down", code="store_unavailable")

    flow_of(bench).before = down
    with pytest.raises(RetryableError, match="bus is down"):
        await handle_once(bench.delivery, message)


async def test_a_topic_that_is_down_delays_the_event_and_loses_nothing(bench: Bench):
    message = await accepted(bench)
    bench.events.down = True
    assert await handle_once(bench.delivery, message) == "committed"
    assert bench.events.published == []
    bench.events.down = False
    assert await relay_stragglers(bench.delivery) == 0  # the committing invocation still has its grace
    bench.clock.forward(seconds=30)
    assert await relay_stragglers(bench.delivery) == 1
    assert len(bench.events.published) == 1
    bench.clock.forward(seconds=300)
    assert await relay_stragglers(bench.delivery) == 0


async def test_a_bus_that_is_down_at_intake_delays_the_command_and_loses_nothing(bench: Bench):
    bench.bus.down = True
    await accept(bench.delivery, TENANT, [command_of(bench)], key="k-1")
    assert (await run_of(bench))["status"] == "Pending"
    bench.bus.down = False
    bench.clock.forward(seconds=30)
    assert await relay_stragglers(bench.delivery) == 1
    assert await handle_once(bench.delivery, incoming(bench.bus.sent[0].body)) == "committed"


async def test_a_dead_letter_is_parked_and_while_the_store_is_down_it_goes_round(bench: Bench, monkeypatch):
    message = await accepted(bench)

    async def down(*args: object, **kwargs: object) -> None:
        raise RetryableError("full", code="store_unavailable")

    with monkeypatch.context() as broken:
        broken.setattr(bench.store, "commit", down)
        await park_dead_letter(bench.delivery, message, reason="MaxDeliveryCountExceeded")
        assert bench.bus.sent[-1].scheduled_at
    await park_dead_letter(bench.delivery, message, reason="MaxDeliveryCountExceeded")
    assert (await run_of(bench))["failure_code"] == "dead_lettered"


async def test_telemetry_never_changes_an_outcome(bench: Bench, monkeypatch):
    message = await accepted(bench)
    for _ in range(2000):
        bench.telemetry.emit({"noise": 1})
    assert await handle_once(bench.delivery, message) == "committed"
    assert bench.telemetry.dropped > 0


async def test_a_conflict_that_never_ends_goes_round_without_spending_an_attempt(bench: Bench):
    message = await accepted(bench)

    async def lose(work: Work) -> None:
        raise ConflictError(["transaction:t-1"])

    flow_of(bench).before = lose
    assert await handle_once(bench.delivery, message) == "retried"
    assert orjson.loads(bench.bus.sent[-1].body)["attempt"] == 1
