"""Writes what infrastructure and emulators take from the code: `python -m infra.generate` (`make infra`).

The lanes are stated in shared/contracts/lanes.py and the index in shared/adapters/azure/cosmos_index.py, nowhere else.
A test compares the files with what this would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.adapters.azure.cosmos_index import DEFAULT_TIME_TO_LIVE, PARTITION_KEY_PATH, indexing_policy
from shared.contracts.lanes import LANES, Lane

ROOT = Path(__file__).parents[1]
TELEMETRY_HUB = "telemetry"

# What the Service Bus emulator takes at most (its Config-schema.json); on Azure: 2000, without end, and 7 days.
EMULATOR_DELIVERIES = 10
EMULATOR_TIME_TO_LIVE = "PT1H"
EMULATOR_DUPLICATE_WINDOW_SECONDS = 300
EMULATOR_NAMESPACE = "sbemulatorns"  # it takes no other name


def duration(seconds: int) -> str:
    """ISO 8601, in the one form that the platform gives back, so that a comparison with what is deployed is quiet."""
    minutes, rest = divmod(seconds, 60)
    return "PT" + (f"{minutes}M" if minutes else "") + (f"{rest}S" if rest or not minutes else "")


def queue(lane: Lane) -> dict[str, Any]:
    """A lane as Bicep's `queues` wants it. Nothing expires by itself; what did would be dead-lettered, then parked."""
    return {
        "name": lane.queue,
        "requiresSession": lane.sessions,
        "lockDuration": duration(lane.lock_seconds),
        "maxDeliveryCount": lane.max_delivery_count,
        "requiresDuplicateDetection": lane.duplicate_window_seconds > 0,
        "duplicateDetectionHistoryTimeWindow": duration(lane.duplicate_window_seconds),
        "deadLetteringOnMessageExpiration": True,
        "maxSizeInMegabytes": 5120,
    }


def emulator_queue(lane: Lane) -> dict[str, Any]:
    """A lane as the emulator's configuration wants it, within what the emulator can do."""
    window = min(lane.duplicate_window_seconds, EMULATOR_DUPLICATE_WINDOW_SECONDS)
    return {
        "Name": lane.queue,
        "Properties": {
            "RequiresSession": lane.sessions,
            "LockDuration": duration(lane.lock_seconds),
            "MaxDeliveryCount": min(lane.max_delivery_count, EMULATOR_DELIVERIES),
            "RequiresDuplicateDetection": lane.duplicate_window_seconds > 0,
            "DuplicateDetectionHistoryTimeWindow": duration(window),
            "DefaultMessageTimeToLive": EMULATOR_TIME_TO_LIVE,
            "DeadLetteringOnMessageExpiration": True,
            "ForwardDeadLetteredMessagesTo": "",
            "ForwardTo": "",
        },
    }


def files() -> dict[str, Any]:
    """The JSON documents, by path from the project's root."""
    namespace = {"Name": EMULATOR_NAMESPACE, "Queues": [emulator_queue(lane) for lane in LANES.values()], "Topics": []}
    hub = {"Name": TELEMETRY_HUB, "PartitionCount": "2", "ConsumerGroups": [{"Name": "readers"}]}
    hubs = {"Type": "EventHub", "Name": "emulatorNs1", "Entities": [hub]}
    return {
        "infra/lanes.json": [queue(lane) for lane in LANES.values()],
        "infra/cosmos-container.json": {
            "partitionKeyPath": PARTITION_KEY_PATH,
            "defaultTtl": DEFAULT_TIME_TO_LIVE,
            "indexingPolicy": indexing_policy(),
        },
        "emulators/Config.json": {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}},
        "emulators/event-hubs.json": {
            "UserConfig": {"NamespaceConfig": [hubs], "LoggingConfig": {"Type": "Console"}},
        },
    }


def text_of(document: Any) -> str:
    """As it is committed."""
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    for name, document in files().items():
        (ROOT / name).write_text(text_of(document), encoding="utf-8")
