"""One list of lanes (shared/contracts/lanes.py), and the four that live by it: the functions' bindings, the local host,
the emulator's Config.json and what Bicep deploys.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from infra import generate
from infra.checks.bicep import BicepFile, line_of
from shared.contracts import lanes

BINDINGS: Final = "tests/functions/bindings.json"  # tests/functions/test_indexing.py holds it to the functions
CONNECTION: Final = "SERVICEBUS_CONNECTION"
SAYS: Final = "shared/contracts/lanes.py says"


class Stated(NamedTuple):
    """A lane as one of the four has it, and where. Durations in seconds."""

    lane: lanes.Lane
    file: str
    line: int


def problems(root: Path) -> list[str]:
    """Where one of the four differs from the list."""
    return [
        *_unlike("infra/lanes.json", _deployed(root), dict(lanes.LANES)),
        *_unlike("emulators/Config.json", _emulated(root), {one.queue: _limited(one) for one in lanes.LANES.values()}),
        *_unlike("the local host", asyncio.run(_local()), dict(lanes.LANES)),
        *_bound(root),
        *_homeless(),
    ]


def _unlike(who: str, stated: Mapping[str, Stated], wanted: Mapping[str, lanes.Lane]) -> Iterator[str]:
    for name in wanted.keys() - stated.keys():
        yield f"{who}:1: lane {name} is missing; {SAYS} there is one (`make infra` writes it)"
    for name in stated.keys() - wanted.keys():
        yield f"{stated[name].file}:{stated[name].line}: {name} is no lane of shared/contracts/lanes.py"
    for name in wanted.keys() & stated.keys():
        one = stated[name]
        for field, has, says in zip(lanes.Lane._fields, one.lane, wanted[name], strict=True):
            if has != says:
                yield f"{one.file}:{one.line}: {name}: {field} is {has}; {SAYS} {says}"


def _limited(lane: lanes.Lane) -> lanes.Lane:
    """What an emulator can do of a lane."""
    return lane._replace(
        max_delivery_count=min(lane.max_delivery_count, generate.EMULATOR_DELIVERIES),
        duplicate_window_seconds=min(lane.duplicate_window_seconds, generate.EMULATOR_DUPLICATE_WINDOW_SECONDS),
    )


def _deployed(root: Path) -> dict[str, Stated]:
    """The queues that messaging.bicep makes."""
    file = BicepFile(root, "infra/messaging.bicep")
    made = [one for one in file.modules() if "queues" in one.params]
    queues = made[0].params["queues"] if made else []
    path = root / "infra/lanes.json"
    return {
        one["name"]: Stated(_lane(one), "infra/lanes.json", line_of(path, f'"{one["name"]}"'))
        for one in queues
        if isinstance(one, dict)
    }


def _emulated(root: Path) -> dict[str, Stated]:
    path = root / "emulators/Config.json"
    (namespace,) = json.loads(path.read_text(encoding="utf-8"))["UserConfig"]["Namespaces"]
    queues = [
        {"name": one["Name"]} | {_camel(n): v for n, v in one["Properties"].items()} for one in namespace["Queues"]
    ]
    return {
        one["name"]: Stated(_lane(one), "emulators/Config.json", line_of(path, f'"{one["name"]}"')) for one in queues
    }


async def _local() -> dict[str, Stated]:
    """As the local host's own receiver works them."""
    from shared.adapters.embedded.lane_receiver import LaneReceiver
    from shared.adapters.embedded.lanes import SqliteLanes

    with tempfile.TemporaryDirectory() as folder:
        embedded = SqliteLanes(Path(folder) / "lanes.db", executor="inline")
        receiver = LaneReceiver(embedded)
        queues = [(lane, receiver.queue(name)) for name, lane in embedded.lanes.items()]
        worked = [
            lane._replace(sessions=queue.sessions, max_delivery_count=queue.max_delivery_count)
            for lane, queue in queues
        ]
        await receiver.close()
        await embedded.close()
    return {lane.queue: Stated(lane, "shared/adapters/embedded/lanes.py", 1) for lane in worked}


def _lane(queue: Mapping[str, Any]) -> lanes.Lane:
    window = _seconds(queue["duplicateDetectionHistoryTimeWindow"]) if queue["requiresDuplicateDetection"] else 0
    return lanes.Lane(
        queue=queue["name"],
        sessions=queue["requiresSession"],
        lock_seconds=_seconds(queue["lockDuration"]),
        max_delivery_count=queue["maxDeliveryCount"],
        duplicate_window_seconds=window,
    )


def _seconds(duration: str) -> int:
    found = re.fullmatch(r"PT(?:(\d+)M)?(?:(\d+)S)?", duration)
    return int(found[1] or 0) * 60 + int(found[2] or 0) if found else -1


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _bound(root: Path) -> Iterator[str]:
    """Every lane, and its dead-letter queue, has one function; with sessions where the lane has them."""
    path = root / BINDINGS
    functions = json.loads(path.read_text(encoding="utf-8"))
    triggers = [(name, one) for name, bound in functions.items() for one in bound if one["type"] == "serviceBusTrigger"]
    wanted = {lane.queue: lane.sessions for lane in lanes.LANES.values()}
    wanted |= {lane.queue + lanes.DEAD_LETTER_SUFFIX: False for lane in lanes.LANES.values()}
    for name, trigger in triggers:
        where = f"{BINDINGS}:{line_of(path, f'^ "{name}"')}: {name}"
        queue = trigger["queueName"]
        if queue not in wanted:
            yield f"{where} is bound to {queue}, which is no lane of shared/contracts/lanes.py"
        elif bool(trigger.get("isSessionsEnabled")) is not wanted[queue]:
            yield f"{where}: isSessionsEnabled is {not wanted[queue]}; {SAYS} {wanted[queue]} for {queue}"
        if trigger["connection"] != CONNECTION:
            yield f"{where} reads the connection {trigger['connection']}, and infra/main.bicep sets {CONNECTION}"
    for queue in wanted:
        served = [name for name, trigger in triggers if trigger["queueName"] == queue]
        if len(served) != 1:
            yield f"{BINDINGS}:1: {queue} has {len(served)} functions; it needs one ({', '.join(served) or 'none'})"


def _homeless() -> Iterator[str]:
    for command, queue in lanes.LANE_OF_COMMAND.items():
        if queue not in lanes.LANES:
            yield f"shared/contracts/lanes.py:1: {command} goes to {queue}, which is no lane"
