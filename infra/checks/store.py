"""What keeps data, and the host's limits: Cosmos DB as the adapter needs it, checkpoints that nobody can change, and
host.json beside the plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.checks.bicep import BicepFile, Either, Module, line_of
from shared.contracts import lanes

MEMORY: Final = (512, 2048, 4096)  # MB that an instance of Flex Consumption may have
LOCK_LIMIT_SECONDS: Final = 300


def problems(root: Path) -> list[str]:
    """Where what is deployed would not do what the adapters rely on."""
    data, app = BicepFile(root, "infra/data.bicep"), BicepFile(root, "infra/app.bicep")
    modules = {one.block.name: one for one in data.modules()}
    return [
        *_cosmos(data, modules["cosmos"]),
        *_checkpoints(data, modules["checkpoints"]),
        *_host(root, app),
    ]


def _cosmos(file: BicepFile, cosmos: Module) -> Iterator[str]:
    if cosmos.params.get("defaultConsistencyLevel") != "Strong":
        line = cosmos.lines.get("defaultConsistencyLevel", cosmos.block.line)
        yield file.at(line, "shared/ports/document_store.py promises that a read sees every commit before it: Strong")
    (database,) = cosmos.params["sqlDatabases"]
    shapes = database["containers"]
    (shape,) = shapes.yes if isinstance(shapes, Either) else shapes
    container = shape.yes if isinstance(shape, Either) else shape
    line = line_of(file.path, "containerShape =")
    for name, source in (
        ("paths", "partitionKeyPath"),
        ("defaultTtl", "defaultTtl"),
        ("indexingPolicy", "indexingPolicy"),
    ):
        if f"container.{source}" not in str(container.get(name)):
            yield file.at(line, f"the container's {name} is not taken from cosmos-container.json")


def _checkpoints(file: BicepFile, storage: Module) -> Iterator[str]:
    (container,) = storage.params["blobServices"]["containers"]
    policy = container.get("immutabilityPolicy", {})
    line = line_of(file.path, r"name: 'checkpoints'")
    if "immutabilityPeriodSinceCreationInDays" not in policy:
        yield file.at(line, "the checkpoints have no immutability policy: they could be changed and deleted")
    if policy.get("allowProtectedAppendWrites") is not False:
        yield file.at(line, "a checkpoint is never appended to: allowProtectedAppendWrites is false")


def _host(root: Path, app: BicepFile) -> Iterator[str]:
    path = root / "host.json"
    host = json.loads(path.read_text(encoding="utf-8"))
    bus = host["extensions"]["serviceBus"]

    def at(name: str) -> str:
        return f"host.json:{line_of(path, f'"{name}"')}: {name}"

    if bus["maxConcurrentCallsPerSession"] != 1:
        yield f"{at('maxConcurrentCallsPerSession')} is not 1: a session's messages would overtake each other"
    if not bus["autoCompleteMessages"]:
        yield f"{at('autoCompleteMessages')} is off, and Python cannot settle a message itself"
    if bus["prefetchCount"]:
        yield f"{at('prefetchCount')} is not 0: locks would run while messages wait"
    timeout, renewal = _seconds(host["functionTimeout"]), _seconds(bus["maxAutoLockRenewalDuration"])
    if renewal <= timeout:
        yield f"{at('maxAutoLockRenewalDuration')} ends before functionTimeout: a message would come again meanwhile"
    for lane in lanes.LANES.values():
        if lane.lock_seconds > LOCK_LIMIT_SECONDS:
            yield f"shared/contracts/lanes.py:1: {lane.queue}: Service Bus locks for {LOCK_LIMIT_SECONDS} s at most"
    if host.get("telemetryMode") != "OpenTelemetry":
        yield f"{at('telemetryMode')} is not OpenTelemetry: the worker exports by it, and lines would come twice"
    if host["extensions"]["http"]["routePrefix"] != "api":
        yield f"{at('routePrefix')} is not api: gateway, health checks and sign-in look for /api/"
    yield from _plan(root, app)


def _plan(root: Path, app: BicepFile) -> Iterator[str]:
    site = next(one for one in app.modules() if one.block.name == "site")
    config, line = site.params["functionAppConfig"], site.lines["functionAppConfig"]
    version = (root / ".python-version").read_text(encoding="utf-8").strip()
    if not version.startswith(config["runtime"]["version"]) or config["runtime"]["name"] != "python":
        yield app.at(line, f"runtime is {config['runtime']}, and .python-version says {version}")
    scale = config["scaleAndConcurrency"]
    if scale["instanceMemoryMB"] not in MEMORY:
        yield app.at(line, f"instanceMemoryMB is one of {', '.join(map(str, MEMORY))}")


def _seconds(span: str) -> int:
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d)", span)
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) if found else -1
