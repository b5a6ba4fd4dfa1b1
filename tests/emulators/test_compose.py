"""The official emulators as compose.yaml and their configuration name them: parsed here, run where Docker is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulators.__main__ import HEALTH, SETTINGS
from infra.generate import files, text_of
from shared.contracts.lanes import LANES
from shared.settings import settings_from

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
QUEUES = json.loads((ROOT / "emulators" / "Config.json").read_text(encoding="utf-8"))["UserConfig"]["Namespaces"][0]

# Service Bus emulator, ServiceBus-Emulator/Schema/Config-schema.json: seconds, from and to.
WITHIN = {
    "LockDuration": (5, 300),
    "DefaultMessageTimeToLive": (300, 3600),
    "DuplicateDetectionHistoryTimeWindow": (5, 300),
}
NAMED = re.compile(r"[A-Za-z0-9][\w\-./]*[A-Za-z0-9]")
KNOWN = {
    *WITHIN, "MaxDeliveryCount", "RequiresSession", "RequiresDuplicateDetection", "DeadLetteringOnMessageExpiration",
    "ForwardDeadLetteredMessagesTo", "ForwardTo",
}  # fmt: skip


def seconds(duration: str) -> int:
    """Of an ISO 8601 duration below a day."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", duration)
    assert found, f"{duration!r} is no duration"
    return sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))


@pytest.mark.parametrize("name", ["emulators/Config.json", "emulators/event-hubs.json"])
def test_the_emulators_configuration_is_what_the_list_of_lanes_gives(name: str):
    told = "regenerate: .venv/bin/python -m infra.generate"
    assert (ROOT / name).read_text(encoding="utf-8") == text_of(files()[name]), told


def test_every_lane_is_a_queue_of_the_emulator_as_the_list_states_it():
    assert QUEUES["Name"] == "sbemulatorns"
    assert {queue["Name"]: queue["Properties"]["RequiresSession"] for queue in QUEUES["Queues"]} == {
        lane.queue: lane.sessions for lane in LANES.values()
    }
    for queue in QUEUES["Queues"]:
        lane, told = LANES[queue["Name"]], queue["Properties"]
        assert seconds(told["LockDuration"]) == lane.lock_seconds
        assert told["MaxDeliveryCount"] == lane.max_delivery_count
        assert told["RequiresDuplicateDetection"] is (lane.duplicate_window_seconds > 0)


def test_the_emulators_limits_are_kept():
    assert 0 < len(QUEUES["Queues"]) + len(QUEUES["Topics"]) <= 50
    for queue in QUEUES["Queues"]:
        told = queue["Properties"]
        assert NAMED.fullmatch(queue["Name"])
        assert set(told) <= KNOWN
        assert 1 <= told["MaxDeliveryCount"] <= 10
        for name, (least, most) in WITHIN.items():
            assert least <= seconds(told[name]) <= most, f"{name} of {queue['Name']}"
    hubs = json.loads((ROOT / "emulators" / "event-hubs.json").read_text(encoding="utf-8"))["UserConfig"]
    (namespace,) = hubs["NamespaceConfig"]
    assert (namespace["Type"], namespace["Name"]) == ("EventHub", "emulatorNs1")
    (hub,) = namespace["Entities"]
    assert hub["Name"] == SETTINGS["EVENTHUB_NAME"]
    assert 1 <= int(hub["PartitionCount"]) <= 32
    assert hub["ConsumerGroups"]


def test_images_are_pinned_memory_is_bounded_and_this_machine_alone_is_served():
    for name, service in SERVICES.items():
        registry, tag = service["image"].rsplit(":", 1)
        assert registry.startswith("mcr.microsoft.com/"), name
        assert re.search(r"\d", tag), f"{name} takes whatever {tag} is today"
        assert service["mem_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[needed]
        for mounted in service.get("volumes", []):
            assert (ROOT / mounted.split(":")[0]).is_file(), name
            assert mounted.endswith(":ro")


def test_licences_are_accepted_by_the_user_and_by_nobody_else():
    asked = [
        service["environment"]["ACCEPT_EULA"]
        for service in SERVICES.values()
        if "ACCEPT_EULA" in service.get("environment", {})
    ]
    assert len(asked) == 3
    assert all(value.startswith("${ACCEPT_EULA:?") for value in asked)


def test_the_settings_reach_the_ports_that_are_published_and_suit_the_app():
    published = {port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])}
    reached = set(re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", " ".join([*SETTINGS.values(), *HEALTH.values()])))
    assert reached <= published
    azure = settings_from(SETTINGS).azure
    assert azure.service_bus_connection
    assert azure.cosmos_database.endswith("-test")  # the live suite empties it


@pytest.mark.parametrize("what", ["up", "stop"])
def test_without_a_docker_engine_one_line_says_so(what: str, tmp_path: Path):
    broken = tmp_path / "docker"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    for path, told in ((tmp_path / "nothing", "install Docker"), (tmp_path, "no Docker engine answers")):
        broken.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "emulators", what], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": str(path), "ACCEPT_EULA": "Y"},
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert told in done.stderr


def test_nothing_is_started_before_the_licences_are_accepted(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name != "ACCEPT_EULA"}
    done = subprocess.run(
        [sys.executable, "-m", "emulators", "up"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 1
    assert "ACCEPT_EULA=Y" in done.stderr
