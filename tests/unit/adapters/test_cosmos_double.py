"""The double of Cosmos DB is strict where emulators are lax, asked through the SDK itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from tests.doubles.cosmos import CosmosDouble, running
from tests.doubles.cosmos_requests import KEY, range_of
from tests.doubles.cosmos_served import Served

DATABASE = "strictness"


@pytest.fixture
def served() -> Served:
    made = running().container(DATABASE)
    made.items.partitions.clear()
    made.asked.clear()
    return made


@pytest.fixture
async def container(served: Served) -> AsyncIterator[ContainerProxy]:
    async with CosmosClient(
        running().endpoint, KEY, enable_endpoint_discovery=False, retry_throttle_total=-1
    ) as client:
        yield client.get_database_client(DATABASE).get_container_client("documents")


def item(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "partition": "smith", **more}


async def ids_in(container: ContainerProxy) -> set[str]:
    sql = "SELECT c.id FROM c"
    return {one["id"] async for one in container.query_items(sql, partition_key="smith")}


async def batch(container: ContainerProxy, *operations: Any) -> list[int]:
    """The statuses of the operations."""
    try:
        done = await container.execute_item_batch(list(operations), "smith")
    except CosmosBatchOperationError as refused:
        done = refused.operation_responses
    return [one["statusCode"] for one in done]


async def test_a_batch_is_all_or_nothing_and_names_the_operation_that_failed(container: ContainerProxy):
    await container.create_item(item("taken"))
    told = await batch(container, ("create", (item("a"),)), ("create", (item("taken"),)), ("create", (item("b"),)))
    assert told == [424, 409, 424]
    assert await ids_in(container) == {"taken"}


async def test_each_operation_of_a_batch_has_its_own_etag(container: ContainerProxy):
    first = (await container.create_item(item("a")))["_etag"]
    second = (await container.create_item(item("b")))["_etag"]
    wrong = ("replace", ("b", item("b", n=1)), {"if_match_etag": first})
    right = ("replace", ("a", item("a", n=1)), {"if_match_etag": first})
    assert await batch(container, right, wrong) == [424, 412]
    assert await batch(container, right, ("delete", ("b",), {"if_match_etag": second})) == [200, 204]
    assert await batch(container, ("delete", ("b",), {"if_match_etag": second})) == [404]


async def test_a_batch_has_limits(container: ContainerProxy):
    with pytest.raises(CosmosHttpResponseError) as many:
        await batch(container, *[("create", (item(str(n)),)) for n in range(101)])
    assert many.value.status_code == 400
    assert await batch(container, ("create", ({"id": "x", "partition": "jones"},))) == [400]
    assert await ids_in(container) == set()


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_a_request_has_two_megabytes_at_most(container: ContainerProxy):
    with pytest.raises(CosmosHttpResponseError) as caught:
        await batch(container, *[("create", (item(str(n), t="x" * 1_000_000),)) for n in range(3)])
    assert caught.value.status_code == 413


async def test_single_writes_keep_their_conditions(container: ContainerProxy):
    etag = (await container.create_item(item("a")))["_etag"]
    with pytest.raises(CosmosResourceExistsError):
        await container.create_item(item("a"))
    newer = await container.replace_item("a", item("a", n=1), etag=etag, match_condition=MatchConditions.IfNotModified)
    assert newer["_etag"] != etag
    assert newer["_rid"] == (await container.read_item("a", "smith"))["_rid"]
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.delete_item("a", "smith", etag=etag, match_condition=MatchConditions.IfNotModified)
    await container.delete_item("a", "smith")
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("a", "smith")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM c WHERE c.kind = @a ORDER BY c.kind, c.id",  # no such composite index
        "SELECT * FROM c WHERE c.kind = @a ORDER BY c.kind ASC, c.sort DESC, c.id ASC",
        "SELECT * FROM c WHERE c.body = @a",  # not indexed
        "SELECT * FROM c WHERE c.kind = 'written into the text'",
        "SELECT * FROM c WHERE c.kind = @undeclared",
        "SELECT TOP 5 * FROM c",
        "SELECT * FROM c JOIN d IN c.body",
        "SELECT COUNT(1) FROM c",
        "DELETE FROM c",
        "SELECT * FROM c WHERE c.kind = @a; SELECT * FROM c",
    ],
)
async def test_sql_that_it_does_not_know_or_that_no_index_serves_is_refused(container: ContainerProxy, sql: str):
    with pytest.raises(CosmosHttpResponseError) as caught:
        [_ async for _ in container.query_items(sql, parameters=[{"name": "@a", "value": "x"}], partition_key="smith")]
    assert caught.value.status_code == 400


async def test_pages_go_on_by_continuation_and_only_for_their_own_query(container: ContainerProxy, served: Served):
    for n in range(5):
        await container.create_item(item(str(n), kind="run", sort=str(n)))
    sql = "SELECT * FROM c WHERE c.kind = @kind ORDER BY c.kind DESC, c.sort DESC, c.id DESC"
    asked = {"parameters": [{"name": "@kind", "value": "run"}], "partition_key": "smith", "max_item_count": 2}
    pages = container.query_items(sql, **asked).by_page()
    assert [[one["sort"] async for one in page] async for page in pages] == [["4", "3"], ["2", "1"], ["0"]]
    first = container.query_items(sql, **asked).by_page()
    await anext(first)
    other = container.query_items("SELECT * FROM c", partition_key="smith").by_page(first.continuation_token)
    with pytest.raises(CosmosHttpResponseError):
        await anext(other)


async def test_an_expired_item_is_gone(container: ContainerProxy, served: Served, monkeypatch: pytest.MonkeyPatch):
    await container.create_item(item("a", ttl=5))
    await container.create_item(item("b"))
    began = served.items.clock()
    monkeypatch.setattr(served.items, "clock", lambda: began + 6)
    assert await ids_in(container) == {"b"}
    assert (await container.create_item(item("a")))["id"] == "a"


@pytest.mark.parametrize("bad", [{"ttl": 0}, {"ttl": "5"}, {"ttl": 2**31}, {"partition": "jones"}])
async def test_an_item_that_the_service_would_not_take_is_refused(container: ContainerProxy, bad: dict[str, Any]):
    assert await batch(container, ("create", (item("a") | bad,))) == [400]


async def test_numbers_are_doubles(container: ContainerProxy):
    await container.create_item(item("a", n=2**53 + 1, m=-(2**53)))
    found = await container.read_item("a", "smith")
    assert (found["n"], found["m"]) == (2**53, -(2**53))


async def test_a_wrong_signature_opens_nothing(served: Served):
    async with CosmosClient(running().endpoint, KEY, enable_endpoint_discovery=False) as client:
        client.client_connection.master_key = "b3RoZXI="
        with pytest.raises(CosmosHttpResponseError) as caught:
            await client.get_database_client(DATABASE).get_container_client("documents").read()
    assert caught.value.status_code == 401


async def test_what_is_charged_grows_with_size_and_index(container: ContainerProxy, served: Served):
    for size in (100, 60_000):
        await container.create_item(item(f"{size}", body={"t": "x" * size}))
        await container.read_item(f"{size}", "smith")
    await container.create_item(item("listed", kind="run", sort="1", body={"t": "x" * 100}))
    small, read_small, large, read_large, listed = [one.units for one in served.asked if one.operation != "container"]
    assert 5 <= small < listed < 8
    assert 40 < large < 60
    assert (read_small, 15 < read_large < 25) == (2, True)  # strong consistency: twice


def test_tenants_lie_in_both_physical_partitions():
    assert {range_of(f"tenant-{n}") for n in range(20)} == {"0", "1"}


async def test_two_accounts_do_not_know_each_other(container: ContainerProxy):
    await container.create_item(item("a"))
    other = CosmosDouble()
    other.container(DATABASE)
    async with CosmosClient(other.endpoint, KEY, enable_endpoint_discovery=False) as client:
        there = client.get_database_client(DATABASE).get_container_client("documents")
        assert await ids_in(there) == set()
    await asyncio.to_thread(other.close)
