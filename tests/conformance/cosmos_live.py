"""The document store's suite over whatever Cosmos DB the settings name: an emulator, or an account.

Runs when COSMOS_ENDPOINT is set. With COSMOS_KEY (an emulator's) database and container are made; an account has them
from its infrastructure, and the identity that has signed in is used. The container is EMPTIED before each test, so it
must be in a database whose name ends in "-test". COSMOS_EMULATOR says which emulator it is; what an emulator is known
to do otherwise is expected to fail, by name.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters.azure.cosmos_index import DEFAULT_TIME_TO_LIVE, PARTITION_KEY_PATH, indexing_policy
from shared.adapters.azure.credentials import EntraCredential
from shared.adapters.azure.document_store import CosmosDocumentStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from azure.cosmos import ContainerProxy

    from shared.ports.document_store import Schemas

ENDPOINT = os.environ.get("COSMOS_ENDPOINT", "")
KEY = os.environ.get("COSMOS_KEY", "")
DATABASE = os.environ.get("COSMOS_DATABASE", "") or "countersign-test"
CONTAINER = os.environ.get("COSMOS_CONTAINER", "") or "documents"
EMULATOR = os.environ.get("COSMOS_EMULATOR", "")

_ETAGS = "the emulator ignores the etags of a batch (azure-cosmos-db-emulator-docker issues 302 and 319)"
_LEFTOVERS = "the emulator leaves a refused batch's items behind under concurrency (issues 303 and 304)"
DIVERGENCES: dict[str, dict[str, str]] = {
    "vnext": {
        "test_a_conflict_names_exactly_the_documents_that_were_lost": _ETAGS,
        "test_a_delete_needs_the_etag_it_was_read_with": _ETAGS,
        "test_no_increment_is_lost_between_concurrent_writers": _ETAGS,
        "test_a_commit_with_one_lost_document_writes_nothing_of_the_others": _LEFTOVERS,
        "test_of_concurrent_creators_of_one_document_exactly_one_wins": _LEFTOVERS,
        "test_ten_messages_at_once_are_answered_one_after_the_other": _ETAGS,
        "test_a_transfer_waits_for_a_signature_and_the_chain_holds": _ETAGS,
    }
}
"""What an emulator does otherwise, by test name. "vnext": the official Linux emulator, from its list of issues."""


def divergence(test: str) -> str:
    """Why this test is expected to fail on the emulator that is named; "" when it is not."""
    return DIVERGENCES.get(EMULATOR, {}).get(test, "")


def cosmos_live(folder: Path, schemas: Schemas, now: Callable[[], datetime]) -> CosmosDocumentStore:
    """A store over the container, which is emptied when `folder` is new to it."""
    _emptied(folder)
    return CosmosDocumentStore(
        endpoint=ENDPOINT,
        database=DATABASE,
        container=CONTAINER,
        credential=KEY or EntraCredential(),
        schemas=schemas,
        now=now,
    )


@cache
def _emptied(folder: Path) -> None:
    del folder
    container = _container()
    for item in container.query_items("SELECT c.id, c.partition FROM c", enable_cross_partition_query=True):
        container.delete_item(item["id"], item["partition"])


@cache
def _container() -> ContainerProxy:
    from azure.cosmos import CosmosClient, PartitionKey
    from azure.identity import DefaultAzureCredential

    if not DATABASE.endswith("-test"):
        raise ValueError(
            f"COSMOS_DATABASE is {DATABASE!r}; its documents would be deleted: name one that ends in -test"
        )
    over_tls = ENDPOINT.startswith("https")
    client = CosmosClient(ENDPOINT, KEY or DefaultAzureCredential(), enable_endpoint_discovery=over_tls)
    if not KEY:
        return client.get_database_client(DATABASE).get_container_client(CONTAINER)
    database = client.create_database_if_not_exists(DATABASE)
    return database.create_container_if_not_exists(
        CONTAINER,
        PartitionKey(path=PARTITION_KEY_PATH),
        indexing_policy=indexing_policy(),
        default_ttl=DEFAULT_TIME_TO_LIVE,
    )
