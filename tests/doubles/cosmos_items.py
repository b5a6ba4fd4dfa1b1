"""The items of one container of the Cosmos DB double: what each operation does, refuses and costs. No HTTP here."""

from __future__ import annotations

import base64
import copy
import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.cosmos_prices import query_units, read_units, write_units
from tests.doubles.cosmos_sql import ABSENT, Query

MAX_OPERATIONS = 100
MAX_REQUEST_BYTES = 2 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
SYSTEM = ("_rid", "_self", "_etag", "_attachments", "_ts")

Item = dict[str, Any]


class RefusalError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str = "", *, sub_status: int = 0, units: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.sub_status = sub_status
        self.units = units


@dataclass
class Done:
    """What an operation gives, and its price."""

    status: int
    item: Item | None
    units: float


@dataclass
class Container:
    """`clock`: seconds since 1970; a test may replace it to let items expire."""

    policy: Mapping[str, Any]
    default_ttl: int | None = -1
    clock: Callable[[], float] = time.time
    partitions: dict[str, dict[str, Item]] = field(default_factory=dict)
    writes: int = 0

    def read(self, partition: str, item_id: str) -> Done:
        item = self._alive(partition).get(item_id)
        if item is None:
            raise RefusalError(
                404, "Entity with the specified id does not exist in the system.", units=read_units(None)
            )
        return Done(200, item, read_units(item))

    def create(self, partition: str, body: Item) -> Done:
        self._check(partition, body)
        items = self._alive(partition)
        if body["id"] in items:
            units = write_units(self.policy, None, body)
            raise RefusalError(409, "Entity with the specified id already exists in the system.", units=units)
        return Done(201, self._store(partition, body), write_units(self.policy, None, body))

    def upsert(self, partition: str, body: Item) -> Done:
        before = self._alive(partition).get(str(body.get("id")))
        self._check(partition, body)
        units = write_units(self.policy, before, body)
        return Done(200 if before else 201, self._store(partition, body), units)

    def replace(self, partition: str, item_id: str, body: Item, if_match: str) -> Done:
        before = self._found(partition, item_id, if_match)
        self._check(partition, body)
        if body["id"] != item_id:
            raise RefusalError(400, "the id of an item cannot be changed")
        return Done(200, self._store(partition, body), write_units(self.policy, before, body))

    def delete(self, partition: str, item_id: str, if_match: str) -> Done:
        before = self._found(partition, item_id, if_match)
        del self.partitions[partition][item_id]
        return Done(204, None, write_units(self.policy, before, None))

    def batch(self, partition: str, operations: Sequence[Item]) -> tuple[int, list[Item], float]:
        """Status, results and price: all operations, or none. The failed one is named, the others are 424."""
        if not 0 < len(operations) <= MAX_OPERATIONS:
            raise RefusalError(400, f"a batch has 1 to {MAX_OPERATIONS} operations, not {len(operations)}")
        before = dict(self._alive(partition))
        results: list[Item] = []
        units = 0.0
        for place, operation in enumerate(operations):
            try:
                done = self._one_of_batch(partition, operation)
            except RefusalError as refusal:
                self.partitions[partition] = before
                results = [{"statusCode": 424, "requestCharge": 0.0} for _ in operations]
                results[place] = {"statusCode": refusal.status, "requestCharge": refusal.units}
                return 207, results, units + refusal.units
            units += done.units
            results.append({"statusCode": done.status, "requestCharge": done.units})
            if done.item:
                results[-1] |= {"eTag": done.item["_etag"], "resourceBody": done.item}
        return 200, results, units

    def query(
        self, partitions: Sequence[str], query: Query, *, most: int, continuation: str, values: int
    ) -> tuple[list[Item], str, float]:
        """One page: what is shown, where it goes on, and its price. A continuation is good for its own query alone."""
        mark = zlib.crc32(f"{partitions}{query.order}{query.projected}{sorted(query.filtered)}".encode())
        found = [
            item
            for one in partitions
            for item in self._alive(one).values()
            if query.matches(item) and ABSENT not in query.sort_key(item)
        ]
        found.sort(key=lambda item: (*query.sort_key(item), item["_rid"]), reverse=query.descending)
        start = _start(found, query, continuation, mark)
        taken, length = [], 0
        for item in found[start : start + most]:
            length += len(json.dumps(item))
            if taken and length > MAX_ANSWER_BYTES:
                break
            taken.append(item)
        more = start + len(taken) < len(found)
        token = _token([*query.sort_key(taken[-1]), taken[-1]["_rid"]], mark) if more else ""
        return [query.shown(item) for item in taken], token, query_units(values, taken)

    def _one_of_batch(self, partition: str, operation: Item) -> Done:
        known = {"operationType", "id", "resourceBody", "ifMatch"}
        if operation.keys() - known:
            raise RefusalError(400, f"the double does not know {operation.keys() - known}")
        match operation:
            case {"operationType": "Create", "resourceBody": body}:
                return self.create(partition, body)
            case {"operationType": "Upsert", "resourceBody": body}:
                return self.upsert(partition, body)
            case {"operationType": "Replace", "id": item_id, "resourceBody": body}:
                return self.replace(partition, item_id, body, operation.get("ifMatch", "*"))
            case {"operationType": "Delete", "id": item_id}:
                return self.delete(partition, item_id, operation.get("ifMatch", "*"))
        raise RefusalError(400, f"the double does not know the operation {operation.get('operationType')!r}")

    def _found(self, partition: str, item_id: str, if_match: str) -> Item:
        item = self._alive(partition).get(item_id)
        if item is None:
            raise RefusalError(404, "Entity with the specified id does not exist in the system.", units=1.0)
        if if_match not in ("*", item["_etag"]):
            units = read_units(item)
            raise RefusalError(
                412, "Operation cannot be performed because one of the preconditions is not met", units=units
            )
        return item

    def _check(self, partition: str, body: Item) -> None:
        item_id, ttl = body.get("id"), body.get("ttl")
        if not isinstance(item_id, str) or not 0 < len(item_id.encode()) <= 1023 or set(item_id) & set("/\\?#\t\r\n"):
            raise RefusalError(400, f"the id {item_id!r} is not valid")
        if body.get("partition") != partition:
            raise RefusalError(
                400,
                "PartitionKey extracted from document doesn't match the one specified in the header",
                sub_status=1001,
            )
        if ttl is not None and not (type(ttl) is int and (ttl == -1 or 0 < ttl < 2**31)):
            raise RefusalError(400, f"the time to live {ttl!r} is not valid")

    def _store(self, partition: str, body: Item) -> Item:
        self.writes += 1
        now = int(self.clock())
        item = {name: value for name, value in copy.deepcopy(body).items() if name not in SYSTEM}
        before = self.partitions.get(partition, {}).get(item["id"])
        rid = before["_rid"] if before else base64.b64encode(f"{self.writes:012}".encode()).decode()
        item |= {
            "_rid": rid,
            "_self": f"dbs/db/colls/coll/docs/{rid}/",
            "_etag": f'"{self.writes:08x}-0000-0d00-0000-{now:08x}0000"',
            "_attachments": "attachments/",
            "_ts": now,
        }
        self.partitions.setdefault(partition, {})[item["id"]] = item
        return item

    def _alive(self, partition: str) -> dict[str, Item]:
        items = self.partitions.setdefault(partition, {})
        if self.default_ttl is not None:
            now = self.clock()
            for item_id in [one for one, item in items.items() if _is_over(item, self.default_ttl, now)]:
                del items[item_id]
        return items


def _is_over(item: Item, default: int, now: float) -> bool:
    seconds = item.get("ttl", default)
    return bool(seconds != -1 and item["_ts"] + seconds <= now)


def _token(place: list[Any], mark: int) -> str:
    return base64.b64encode(json.dumps([place, mark]).encode()).decode()


def _start(found: Sequence[Item], query: Query, continuation: str, mark: int) -> int:
    if not continuation:
        return 0
    try:
        place, marked = json.loads(base64.b64decode(continuation))
    except ValueError as error:
        raise RefusalError(400, "the continuation token is malformed") from error
    if marked != mark:
        raise RefusalError(400, "the continuation token is of another query")
    passed = [[*query.sort_key(item), item["_rid"]] for item in found]
    beyond = [one < place for one in passed] if query.descending else [one > place for one in passed]
    return beyond.index(True) if True in beyond else len(found)
