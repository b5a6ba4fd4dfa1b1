"""HTTP of the Cosmos DB double: which operation a request asks for, how it is signed, and how answers look."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from azure.cosmos import PartitionKey

from shared.adapters.azure.cosmos_index import PARTITION_KEY_PATH
from tests.doubles.cosmos_items import MAX_REQUEST_BYTES, Done, Item, RefusalError
from tests.doubles.cosmos_served import Asked, Served, Trouble
from tests.doubles.cosmos_sql import RefusedQueryError, check_served, parse, plan
from tests.doubles.credentials import TOKEN

KEY = base64.b64encode(b"the key of a double opens nothing else").decode()
BOUNDS = ("", "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "FF")
"""Where the two physical partitions begin and end."""
RANGES = [
    {"id": str(place), "minInclusive": low, "maxExclusive": high, "parents": [], "_rid": f"range{place}"}
    for place, (low, high) in enumerate(pairwise(BOUNDS))
]
_CROSS_PARTITION = 1004
_OF_ONE_ITEM = {"GET": "read", "PUT": "replace", "DELETE": "delete"}
_DEFINITION = PartitionKey(path=PARTITION_KEY_PATH, kind="Hash", version=2)
MANY = 1000


class Request:
    """One request to one container."""

    def __init__(self, request: web.Request, served: Served, parts: list[str], consistency: str) -> None:
        self._request = request
        self._headers = request.headers
        self._served = served
        self._parts = parts
        self._consistency = consistency
        self._operation = self._asked_for()

    async def served(self) -> web.StreamResponse:
        """The work, or the trouble that the test asked for."""
        raw = await self._request.read()
        trouble = self._served.next_trouble(self._operation)
        await asyncio.sleep(trouble.seconds)
        if trouble.drop == "before":
            return self._dropped()
        try:
            status, body, headers = self._in_trouble(trouble) if trouble.status else self._work(raw)
        except RefusedQueryError as refusal:
            status, body, headers = 400, {"code": "BadRequest", "message": str(refusal)}, {}
        except RefusalError as refusal:
            status, body, headers = refusal.status, {"message": str(refusal)}, _headers_of(refusal)
        units = round(float(headers.get("x-ms-request-charge", 0)) * self._price(), 2)
        self._served.asked.append(Asked(self._operation, status, units, self._partition()))
        if trouble.drop == "after":
            return self._dropped()
        session = {"x-ms-session-token": f"{self._range()}:-1#{self._served.items.writes}"}
        return answered(status, body, {**session, **headers, "x-ms-request-charge": str(units)})

    def _asked_for(self) -> str:
        told = {name for name, value in self._headers.items() if value.lower() == "true"}
        told = {name.lower() for name in told}
        match [self._request.method, *self._parts[4:]]:
            case ["GET"]:
                return "container"
            case ["GET", "pkranges"]:
                return "ranges"
            case ["POST", "docs"] if "x-ms-cosmos-is-query-plan-request" in told:
                return "plan"
            case ["POST", "docs"] if "x-ms-documentdb-isquery" in told:
                return "query"
            case ["POST", "docs"] if "x-ms-cosmos-is-batch-request" in told:
                return "batch"
            case ["POST", "docs"]:
                return "upsert" if "x-ms-documentdb-is-upsert" in told else "create"
            case [("GET" | "PUT" | "DELETE") as method, "docs", _]:
                return _OF_ONE_ITEM[method]
        raise RefusalError(405, f"the double does not know {self._request.method} {self._request.path}")

    def _work(self, raw: bytes) -> tuple[int, Any, dict[str, str]]:
        if len(raw) > MAX_REQUEST_BYTES:
            raise RefusalError(413, "Request size is too large")
        match self._operation:
            case "container":
                return 200, self._container(), {"x-ms-request-charge": "1"}
            case "ranges":
                return self._ranges()
            case "plan":
                asked = _json(raw)
                return 200, plan(asked["query"], asked.get("parameters", [])), {}
            case "query":
                return self._query(_json(raw))
            case "batch":
                return self._batch(_json(raw))
        done = self._one_item(raw)
        headers = {"x-ms-request-charge": str(done.units)}
        if done.item:
            headers["etag"] = done.item["_etag"]
        return done.status, done.item, headers

    def _one_item(self, raw: bytes) -> Done:
        items, partition = self._served.items, self._needed_partition()
        if_match = self._headers.get("If-Match", "*")
        match self._operation:
            case "read":
                return items.read(partition, self._parts[5])
            case "delete":
                return items.delete(partition, self._parts[5], if_match)
            case "replace":
                return items.replace(partition, self._parts[5], _json(raw), if_match)
            case "upsert":
                return items.upsert(partition, _json(raw))
        return items.create(partition, _json(raw))

    def _batch(self, operations: Any) -> tuple[int, Any, dict[str, str]]:
        if self._headers.get("x-ms-cosmos-batch-atomic", "").lower() != "true":
            raise RefusalError(400, "the double knows atomic batches alone")
        status, results, units = self._served.items.batch(self._needed_partition(), operations)
        return status, results, {"x-ms-request-charge": str(units)}

    def _query(self, asked: Item) -> tuple[int, Any, dict[str, str]]:
        if self._headers.get("Content-Type", "").split(";")[0] != "application/query+json":
            raise RefusalError(400, "a query is application/query+json")
        partition, within = self._partition(), self._headers.get("x-ms-documentdb-partitionkeyrangeid")
        query = parse(asked["query"], asked.get("parameters", []))
        if partition is None and within is None:
            raise RefusalError(400, "Cross partition query needs a plan", sub_status=_CROSS_PARTITION)
        check_served(query, self._served.items.policy)
        partitions = [partition] if partition is not None else self._partitions_of(str(within))
        found, continuation, units = self._served.items.query(
            partitions, query,
            most=min(MANY, int(self._headers.get("x-ms-max-item-count", 100))),
            continuation=self._headers.get("x-ms-continuation", ""), values=len(asked.get("parameters", [])),
        )  # fmt: skip
        headers = {"x-ms-request-charge": str(units), "x-ms-item-count": str(len(found))}
        if continuation:
            headers["x-ms-continuation"] = continuation
        return 200, {"_rid": "container", "Documents": found, "_count": len(found)}, headers

    def _ranges(self) -> tuple[int, Any, dict[str, str]]:
        headers = {"etag": '"ranges-1"', "x-ms-request-charge": "1"}
        if self._headers.get("If-None-Match") == headers["etag"]:
            return 304, None, headers
        return 200, {"_rid": "container", "PartitionKeyRanges": RANGES, "_count": len(RANGES)}, headers

    def _container(self) -> Item:
        return {
            "id": self._parts[3], "_rid": "container", "_self": "dbs/double/colls/container/", "_etag": '"container"',
            "indexingPolicy": self._served.items.policy, "defaultTtl": self._served.items.default_ttl,
            "partitionKey": {"paths": [PARTITION_KEY_PATH], "kind": "Hash", "version": 2},
        }  # fmt: skip

    def _in_trouble(self, trouble: Trouble) -> tuple[int, Any, dict[str, str]]:
        if trouble.in_batch:
            failed: Item = {"statusCode": trouble.status, "requestCharge": 0.0}
            if trouble.retry_after_ms is not None:
                failed["retryAfterMilliseconds"] = trouble.retry_after_ms
            return 207, [failed], {"x-ms-request-charge": "0"}
        headers = {"x-ms-substatus": str(trouble.sub_status), "x-ms-request-charge": "0.38"}
        if trouble.retry_after_ms is not None:
            headers["x-ms-retry-after-ms"] = str(trouble.retry_after_ms)
        return trouble.status, {"code": str(trouble.status), "message": "as the test wished"}, headers

    def _dropped(self) -> web.StreamResponse:
        if self._request.transport is not None:
            self._request.transport.close()
        return web.Response()

    def _partition(self) -> str | None:
        told = self._headers.get("x-ms-documentdb-partitionkey")
        if told is None:
            return None
        match json.loads(told):
            case [str() as one]:
                return one
        raise RefusalError(400, f"the partition key {told} is not one string")

    def _needed_partition(self) -> str:
        partition = self._partition()
        if partition is None:
            raise RefusalError(400, "PartitionKey value must be supplied for this operation.")
        return partition

    def _partitions_of(self, range_id: str) -> list[str]:
        return [one for one in list(self._served.items.partitions) if range_of(one) == range_id]

    def _range(self) -> str:
        partition = self._partition()
        return "0" if partition is None else range_of(partition)

    def _price(self) -> int:
        reads = self._operation in ("read", "query")
        return 2 if reads and self._consistency in ("Strong", "BoundedStaleness") else 1


def range_of(partition: str) -> str:
    """The physical partition that holds a logical one."""
    hashed = _DEFINITION._get_epk_range_for_partition_key(partition).min  # the SDK's own hash, so that both agree
    return next(one["id"] for one in reversed(RANGES) if hashed >= str(one["minInclusive"]))


def check_signature(request: web.Request, parts: list[str]) -> None:
    """The documented master key signature, or a bearer token of Entra."""
    told = dict(part.split("=", 1) for part in unquote(request.headers.get("Authorization", "")).split("&") if part)
    if told.get("type") == "aad" and told.get("sig") == TOKEN:
        return
    date = request.headers.get("x-ms-date", "")
    if abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()) > 15 * 60:
        raise RefusalError(403, "The authorization token is not valid at the current time.")
    even = len(parts) % 2 == 0
    kind, link = (parts[-2], "/".join(parts)) if even else (parts[-1], "/".join(parts[:-1]))
    signed = f"{request.method.lower()}\n{kind}\n{link}\n{date.lower()}\n\n"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    if told.get("type") != "master" or told.get("sig") != base64.b64encode(digest).decode():
        raise RefusalError(401, "The input authorization token can't serve the request.")


def answered(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    """JSON, as Cosmos DB writes it."""
    text = "" if body is None else json.dumps(body, ensure_ascii=False)
    return web.Response(status=status, body=text.encode(), content_type="application/json", headers=headers)


def refused(refusal: RefusalError) -> web.Response:
    """The answer of a refusal."""
    return answered(refusal.status, {"code": str(refusal.status), "message": str(refusal)}, _headers_of(refusal))


def _headers_of(refusal: RefusalError) -> dict[str, str]:
    return {"x-ms-substatus": str(refusal.sub_status), "x-ms-request-charge": str(refusal.units)}


def _json(raw: bytes) -> Any:
    """Numbers as Cosmos DB keeps them: doubles."""
    try:
        return json.loads(raw.decode(), parse_int=_as_double)
    except ValueError as error:
        raise RefusalError(400, f"no JSON: {error}") from error


def _as_double(digits: str) -> int | float:
    return int(digits) if abs(int(digits)) <= 2**53 else float(digits)
