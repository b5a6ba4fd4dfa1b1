"""What a classification asks of the store, counted: the design's promise, not an estimate."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from benchmarks.counters import CountingStore
from benchmarks.statements import rows
from functions import bus_lanes
from shared import bootstrap
from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.contracts.lanes import INGESTION
from shared.contracts.transactions import TransactionFacts
from shared.delivery.handling import Delivery
from shared.flows.decision_changed import react
from shared.flows.ingest_statement import ingest

TENANT = "household"
ROWS = 60
trigger = bus_lanes.ingestion_completed.build().get_user_function()


class Lane(NamedTuple):
    """The app on a real store that counts; `messages` are waiting in the lane."""

    delivery: Delivery
    store: CountingStore
    messages: list[SimpleNamespace]


@pytest.fixture
async def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lane]:
    await bootstrap.shutdown()
    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    monkeypatch.setenv("AUTH_MODE", "dev")
    built = bootstrap.delivery()
    receiver = LaneReceiver(bootstrap.lanes())
    receiver.load()
    store = CountingStore(built.store)
    delivery = replace(built, store=store)
    with monkeypatch.context() as patched:
        patched.setattr(bootstrap, "delivery", lambda: delivery)
        facts = [TransactionFacts(**row) for row in islice(rows(), ROWS)]
        await ingest(delivery, TENANT, facts, key="k", fingerprint="f", caller="alice")
        yield Lane(delivery, store, list(messages_in(receiver)))
    await receiver.close()
    await bootstrap.shutdown()


def messages_in(receiver: LaneReceiver) -> Iterator[SimpleNamespace]:
    """As the trigger gets them."""
    holder = receiver.accept_session(INGESTION.queue)
    while (received := receiver.receive(INGESTION.queue, holder)) is not None:
        body, message_id = received.message.body, received.message.message_id
        yield SimpleNamespace(
            get_body=lambda body=body: body, message_id=message_id, delivery_count=1, session_id=TENANT
        )


async def test_a_statement_is_accepted_with_one_commit_and_one_outbox_document_per_forty_rows(lane: Lane):
    kinds = [set(commit) for commit in lane.store.commits]
    assert sum("transaction" in commit for commit in kinds) == 2
    assert lane.store.documents["discard"] == 2
    assert len(kinds) == 3  # and the tenant was registered
    assert len(lane.messages) == ROWS


async def test_each_classification_costs_one_read_many_at_most_one_query_and_one_batch(lane: Lane):
    for message in lane.messages:
        lane.store.reset()
        await trigger(message)
        asked = lane.store.calls
        assert asked["read_many"] == 1
        assert asked["query"] <= 1
        [batch] = lane.store.commits
        assert {"receipt", "run", "transaction", "audit", "audit_head", "outbox"} <= set(batch)
        assert lane.store.documents["discard"] == 1  # the sent outbox document, without a commit that anybody waits for
        assert asked["read"] == 0


async def test_a_redelivered_classification_costs_one_read_many_and_writes_nothing(lane: Lane):
    await trigger(lane.messages[0])
    lane.store.reset()
    await trigger(lane.messages[0])
    assert dict(lane.store.calls) == {"read_many": 1}


async def test_the_reaction_to_a_decision_costs_one_commit(lane: Lane):
    for message in lane.messages[:5]:
        await trigger(message)
    lane.store.reset()
    await react(lane.delivery, tenant=TENANT, transaction_id="b-0")
    assert lane.store.calls["commit"] == 1
    assert lane.store.calls["query"] == 0
