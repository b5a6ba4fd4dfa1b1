"""Checkpoint log and telemetry sink over emulators: CHECKPOINTS_URL with CHECKPOINTS_KEY (Azurite; each test makes a
container of its own beside the one that is named), EVENTHUB_CONNECTION with EVENTHUB_NAME."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from azure.storage.blob.aio import ContainerClient

from shared.adapters.azure.checkpoint_log import BlobCheckpointLog
from shared.adapters.azure.telemetry_sink import EventHubsTelemetrySink
from shared.ports.checkpoint_log import CheckpointLog
from shared.ports.telemetry_sink import TelemetrySink

BLOBS = os.environ.get("CHECKPOINTS_URL", "") if os.environ.get("CHECKPOINTS_KEY") else ""
EVENT_HUBS = os.environ.get("EVENTHUB_CONNECTION", "")


@asynccontextmanager
async def blobs_emulated(folder: Path) -> AsyncIterator[Callable[[], CheckpointLog]]:
    del folder
    url, key = f"{BLOBS.rpartition('/')[0]}/test-{uuid4().hex}", os.environ["CHECKPOINTS_KEY"]
    async with ContainerClient.from_container_url(url, credential=key) as container:
        await container.create_container()
        yield lambda: BlobCheckpointLog(container_url=url, credential=key)
        await container.delete_container()


@asynccontextmanager
async def event_hubs_emulated(folder: Path) -> AsyncIterator[Callable[[int], TelemetrySink]]:
    del folder
    hub = os.environ.get("EVENTHUB_NAME", "") or "telemetry"
    yield lambda capacity: EventHubsTelemetrySink(namespace="", eventhub=hub, credential=EVENT_HUBS, capacity=capacity)
