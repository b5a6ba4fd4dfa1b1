"""What commands ask of Cosmos DB and are charged, through the real flows over its double: counted, not estimated.

The request units are the double's (`tests/doubles/cosmos_prices.py`, after the published figures); requests are exact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from benchmarks.statements import rows
from functions import bus_lanes
from shared import bootstrap
from shared.adapters.azure.cosmos_charges import Charges, counted
from shared.adapters.azure.document_store import CosmosDocumentStore
from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.contracts.kinds import KINDS
from shared.contracts.lanes import INGESTION
from shared.contracts.transactions import TransactionFacts
from shared.delivery.handling import Delivery
from shared.flows.decision_changed import react
from shared.flows.ingest_statement import ingest
from shared.ports.document_store import Schemas
from tests.doubles.cosmos import running
from tests.doubles.cosmos_requests import KEY
from tests.doubles.cosmos_served import Served

TENANT = "household"
ROWS = 60
trigger = bus_lanes.ingestion_completed.build().get_user_function()


class Lane(NamedTuple):
    """The app with its documents in Cosmos DB; `messages` are waiting in the lane. charged: of the ingestion."""

    delivery: Delivery
    served: Served
    messages: list[SimpleNamespace]
    charged: Charges


@pytest.fixture
async def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lane]:
    await bootstrap.shutdown()
    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    monkeypatch.setenv("AUTH_MODE", "dev")
    built = bootstrap.delivery()
    receiver = LaneReceiver(bootstrap.lanes())
    receiver.load()
    account, database = running(), f"{tmp_path.parent.name}-{tmp_path.name}"
    served = account.container(database)
    store = CosmosDocumentStore(
        endpoint=account.endpoint, database=database, container="documents", credential=KEY,
        schemas=Schemas({name: kind.schema_version for name, kind in KINDS.items()}), now=built.now,
    )  # fmt: skip
    delivery = replace(built, store=store)
    with monkeypatch.context() as patched:
        patched.setattr(bootstrap, "delivery", lambda: delivery)
        facts = [TransactionFacts(**row) for row in islice(rows(), ROWS)]
        with counted() as charged:
            await ingest(delivery, TENANT, facts, key="k", fingerprint="f", caller="alice")
        yield Lane(delivery, served, messages_in(receiver), charged)
    await store.close()
    await receiver.close()
    await bootstrap.shutdown()


def messages_in(receiver: LaneReceiver) -> list[SimpleNamespace]:
    """As the trigger gets them."""
    holder = receiver.accept_session(INGESTION.queue)
    found = []
    while (received := receiver.receive(INGESTION.queue, holder)) is not None:
        body, message_id = received.message.body, received.message.message_id
        found.append(
            SimpleNamespace(get_body=lambda body=body: body, message_id=message_id, delivery_count=1, session_id=TENANT)
        )
    return found


def grouped(charges: Charges) -> str:
    return ", ".join(f"{name} {number} = {charges.units[name]:.1f} RU" for name, number in charges.requests.items())


async def test_each_classification_is_one_read_at_most_one_query_and_one_batch(lane: Lane):
    charged: list[Charges] = []
    for message in lane.messages:
        with counted() as charges:
            await trigger(message)
        charged.append(charges)
    await lane.delivery.store.close()  # what is deleted behind a command's back is charged too
    for charges in charged:
        assert charges.requests["read_many"] == charges.requests["commit"] == charges.requests["discard"] == 1
        assert charges.requests["query"] <= 1
        assert charges.requests["read"] == 0
        assert charges.requests.keys() <= {"read_many", "commit", "discard", "query"}
    median, most = sorted(charged, key=lambda one: one.total_units)[len(charged) // 2 :: len(charged) // 2 - 1]
    print(f"classification: median {median.total_units:.1f} RU ({grouped(median)}), most {most.total_units:.1f} RU")
    assert most.total_units < 120


async def test_accepting_a_statement_costs_one_batch_per_forty_rows(lane: Lane):
    requests = lane.charged.requests
    print(f"{ROWS} rows accepted: {lane.charged.total_units:.1f} RU; {grouped(lane.charged)}")
    assert requests["commit"] == 3  # and the tenant was registered
    assert lane.charged.total_units / ROWS < 40


async def test_a_redelivered_classification_is_one_request(lane: Lane):
    await trigger(lane.messages[0])
    with counted() as charges:
        await trigger(lane.messages[0])
    assert charges.requests == {"read_many": 1}
    print(f"a redelivery: {charges.total_units:.1f} RU")


async def test_the_reaction_to_a_decision_is_one_batch(lane: Lane):
    for message in lane.messages[:5]:
        await trigger(message)
    with counted() as charges:
        await react(lane.delivery, tenant=TENANT, transaction_id="b-0")
    print(f"a reaction: {charges.total_units:.1f} RU; {grouped(charges)}")
    assert charges.requests["commit"] == 1
    assert charges.requests["query"] == charges.requests["conflict"] == 0


async def test_a_lost_answer_in_the_middle_of_a_classification_decides_nothing_twice(lane: Lane):
    lane.served.trouble("batch", drop="after")
    with counted() as charges:
        await trigger(lane.messages[0])
    assert charges.requests["read_many"] == 1  # it was not decided again
    with counted() as again:
        await trigger(lane.messages[0])
    assert again.requests == {"read_many": 1}
    records = [item for item in lane.served.items.partitions[TENANT].values() if item["kind"] == "audit"]
    sequences = sorted(item["body"]["sequence"] for item in records)
    assert sequences == list(range(1, len(sequences) + 1))
