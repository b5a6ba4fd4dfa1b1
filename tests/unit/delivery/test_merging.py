"""What a commit merges is made from the newest version of it, and nobody decides twice for it; and early arrivals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.audit.record import Entry
from shared.contracts.commands import envelope
from shared.delivery import outbox
from shared.delivery.handling import Left, Outcome, Work
from shared.delivery.inbox import handle_once
from shared.delivery.intake import accept
from shared.delivery.parking import Incoming
from shared.delivery.tenants import register
from shared.errors import ConflictError, EarlyError, TerminalError
from shared.ports.document_store import Document, Merge
from shared.runs.life_cycle import Run, moved_to
from tests.bench import Bench, facts, make_bench

TENANT = "household"
COUNTER = "counter:visits"


def counted(known: Mapping[str, Document]) -> Sequence[Document]:
    stored = known.get(COUNTER)
    visits = stored.body["visits"] + 1 if stored else 1
    return [Document(TENANT, COUNTER, "counter", {"visits": visits}, etag=stored.etag if stored else "")]


class MergingFlow:
    """Counts its visits by a merge; may be told to come early, to be refused, or to be overtaken while it decides."""

    def __init__(self) -> None:
        self.decided = 0
        self.early = False
        self.broken = False
        self.overtaken_by: Bench | None = None
        self.merge = Merge((COUNTER,), counted)

    def needs(self, command: Any) -> tuple[str, ...]:
        return (COUNTER,)

    async def handle(self, work: Work) -> Outcome:
        if self.early:
            raise EarlyError("somebody goes before")
        if self.broken:
            raise TerminalError("hopeless", "it can never be done")
        self.decided += 1
        if self.overtaken_by is not None:
            await visit(self.overtaken_by)
        entry = Entry("decided", {"kind": "test", "id": "test"}, {"run": work.run["run_id"]}, {})
        return Outcome(run=moved_to(work.run, "Completed", at=work.at), entries=[entry], merges=[self.merge])

    def when_parked(self, command: Any, documents: Mapping[str, Document], *, run: Run, reason: str) -> Left:
        return Left(merges=[self.merge])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = make_bench(tmp_path, {"ClassifyTransaction": MergingFlow()})
    await register(made.delivery, TENANT)
    yield made
    await made.close()


def flow_of(bench: Bench) -> MergingFlow:
    flow = bench.delivery.flows["ClassifyTransaction"]
    assert isinstance(flow, MergingFlow)
    return flow


def command_of(bench: Bench, command_id: str = "c-1") -> dict[str, Any]:
    payload = {"transaction": facts()}
    return envelope(
        "ClassifyTransaction", payload, command_id=command_id, tenant=TENANT, source="test", issued_at=bench.clock()
    )


async def accepted(bench: Bench) -> Incoming:
    await accept(bench.delivery, TENANT, [command_of(bench)], key="k-1")
    return Incoming("runtime-ingestion-completed", bench.bus.sent[-1].body, "m-1", 1, TENANT)


async def visit(bench: Bench) -> None:
    """Somebody else counts a visit."""
    stored = await bench.store.read_many(TENANT, [COUNTER])
    await bench.store.commit(TENANT, counted(stored))


async def visits(bench: Bench) -> int:
    document = await bench.store.read(TENANT, COUNTER)
    return document.body["visits"] if document else 0


async def test_what_is_merged_counts_everybody_and_nobody_decides_twice(bench: Bench):
    message = await accepted(bench)
    flow_of(bench).overtaken_by = bench
    assert await handle_once(bench.delivery, message) == "committed"
    assert flow_of(bench).decided == 1
    assert await visits(bench) == 2


async def test_a_merge_that_finds_the_decision_wrong_has_it_decided_again(bench: Bench):
    flow = flow_of(bench)
    seen: list[int] = []

    def fenced(known: Mapping[str, Document]) -> Sequence[Document]:
        seen.append(known[COUNTER].body["visits"] if COUNTER in known else 0)
        if len(seen) == 1:
            raise ConflictError([COUNTER])
        return counted(known)

    flow.merge = Merge((COUNTER,), fenced)
    assert await handle_once(bench.delivery, await accepted(bench)) == "committed"
    assert flow.decided == 2


async def test_a_parked_command_merges_too(bench: Bench):
    flow_of(bench).broken = True
    assert await handle_once(bench.delivery, await accepted(bench)) == "parked"
    assert await visits(bench) == 1


async def test_an_early_command_leaves_nothing_and_can_be_woken_by_the_same_command(bench: Bench):
    message = await accepted(bench)
    flow_of(bench).early = True
    assert await handle_once(bench.delivery, message) == "early"
    assert await bench.store.read(TENANT, "receipt:c-1") is None
    flow_of(bench).early = False
    assert await handle_once(bench.delivery, message) == "committed"
    assert await handle_once(bench.delivery, message) == "duplicate"


async def test_an_outbox_document_made_by_a_merge_is_sent_at_once(bench: Bench):
    def waking(known: Mapping[str, Document]) -> Sequence[Document]:
        woken = outbox.document_for(
            TENANT, "wake", commands=[command_of(bench, "c-2")], events=[], now=bench.clock.now, nonce="n"
        )
        return [*counted(known), *woken]

    message = await accepted(bench)
    bench.bus.sent.clear()
    flow_of(bench).merge = Merge((COUNTER,), waking)
    assert await handle_once(bench.delivery, message) == "committed"
    assert [sent.message_id for sent in bench.bus.sent] == ["c-2:1:n"]
    assert await bench.store.read(TENANT, "outbox:wake") is None


async def test_what_is_accepted_without_relay_waits_for_the_timer(bench: Bench):
    await accept(bench.delivery, TENANT, [command_of(bench)], key="k-1", relay_after_seconds=90)
    assert bench.bus.sent == []
    bench.clock.forward(seconds=outbox.GRACE_SECONDS + 1)
    assert await outbox.relay_stragglers(bench.delivery) == 0
    bench.clock.forward(seconds=90)
    assert await outbox.relay_stragglers(bench.delivery) == 1
    assert len(bench.bus.sent) == 1
