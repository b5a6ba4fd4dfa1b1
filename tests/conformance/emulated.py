"""Checkpoint log and telemetry sink over what the settings name: CHECKPOINTS_URL (each test makes a container of its
own beside the one that is named), and EVENTHUB_CONNECTION or its namespace on Azure, with EVENTHUB_NAME. Keys are
emulators'; without them, whoever has signed in needs the app's roles, and the right to make containers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from azure.storage.blob.aio import ContainerClient

from shared.adapters.azure.checkpoint_log import BlobCheckpointLog
from shared.adapters.azure.credentials import EntraCredential
from shared.adapters.azure.telemetry_sink import EventHubsTelemetrySink
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.telemetry_sink import TelemetrySink

BLOBS, BLOBS_KEY = os.environ.get("CHECKPOINTS_URL", ""), os.environ.get("CHECKPOINTS_KEY", "")
EVENT_HUBS = os.environ.get("EVENTHUB_CONNECTION", "")
EVENT_HUBS_NAMESPACE = os.environ.get("EVENTHUB_CONNECTION__fullyQualifiedNamespace", "")  # noqa: SIM112  the platform's name


@asynccontextmanager
async def blobs_emulated(folder: Path) -> AsyncIterator[Callable[[], CheckpointLog]]:
    del folder
    url, entra = f"{BLOBS.rpartition('/')[0]}/test-{uuid4().hex}", EntraCredential()
    async with ContainerClient.from_container_url(url, credential=BLOBS_KEY or entra()) as container:
        await container.create_container()
        yield lambda: BlobCheckpointLog(container_url=url, credential=BLOBS_KEY or entra)
        await container.delete_container()
    await entra.close()


@asynccontextmanager
async def event_hubs_emulated(folder: Path) -> AsyncIterator[Callable[[int], TelemetrySink]]:
    del folder
    hub, entra = os.environ.get("EVENTHUB_NAME", "") or "telemetry", EntraCredential()
    yield lambda capacity: EventHubsTelemetrySink(
        namespace=EVENT_HUBS_NAMESPACE, eventhub=hub, credential=EVENT_HUBS or entra, capacity=capacity
    )
    await entra.close()
