"""Journeys with documents, telemetry and checkpoints in whatever the settings name: `make test-emulators`.

The lanes and the topic stay the host's own: nothing but a Functions host takes messages from Service Bus, and nobody
emulates Event Grid. Each data folder has a container of its own, which is deleted at the end.
"""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from pathlib import Path

from azure.cosmos import CosmosClient, DatabaseProxy, PartitionKey
from azure.storage.blob import ContainerClient

from shared.adapters.azure.cosmos_index import DEFAULT_TIME_TO_LIVE, PARTITION_KEY_PATH, indexing_policy

PASSED_ON = ("COSMOS_ENDPOINT", "COSMOS_KEY", "EVENTHUB_CONNECTION", "EVENTHUB_NAME")
_made: list[str] = []


@cache
def settings_of(folder: Path) -> dict[str, str]:
    """What the host that works in `folder` is told."""
    name = f"journey-{sha256(str(folder).encode()).hexdigest()[:12]}"
    told = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    if "COSMOS_ENDPOINT" in told:
        key = PartitionKey(path=PARTITION_KEY_PATH)
        _database().create_container(name, key, indexing_policy(), default_ttl=DEFAULT_TIME_TO_LIVE)
        told |= {"COSMOS_DATABASE": _database().id, "COSMOS_CONTAINER": name}
        _made.append(name)
    if os.environ.get("CHECKPOINTS_URL"):
        url, credential = f"{os.environ['CHECKPOINTS_URL'].rpartition('/')[0]}/{name}", os.environ["CHECKPOINTS_KEY"]
        with ContainerClient.from_container_url(url, credential=credential) as blobs:
            blobs.create_container()
        told |= {"CHECKPOINTS_URL": url, "CHECKPOINTS_KEY": credential}
    return told


@cache
def _database() -> DatabaseProxy:
    client = CosmosClient(os.environ["COSMOS_ENDPOINT"], os.environ["COSMOS_KEY"], enable_endpoint_discovery=False)
    return client.create_database_if_not_exists(os.environ.get("COSMOS_DATABASE", "") or "countersign-test")


def close() -> None:
    """Delete what was made."""
    for name in _made:
        _database().delete_container(name)
    _made.clear()
