"""How documents lie in Cosmos DB: one item each, and back.

`sort` and `keys` are there only when the document is listed by them, so that the index holds nothing else. An etag of
ours is Cosmos DB's and the instant at which the document expires: whoever writes over an expired document has lost it,
and only the etag can tell that without another read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.errors import TerminalError, UnreadableError
from shared.ports.document_store import Document, Schemas

type Item = dict[str, Any]

LONGEST_TIME_TO_LIVE = 2_147_483_647
COMMIT = "commit_id"
"""The property that names the commit which wrote an item: how a commit whose answer was lost is recognised."""
MARKER_KIND = "commit"
"""The kind of an item that is there for its `COMMIT` alone. No document has it: it is not in the list of kinds."""
MARKER_SECONDS = 3600
_ETAG_END = "|"


def to_item(document: Document, *, commit_id: str, now: datetime) -> tuple[Item, int]:
    """The item to write, and how long its body is as JSON. `TerminalError("invalid_document")`."""
    partition, document_id, kind, body, version, sort, keys, due_at, expires_at, _ = document
    item: Item = {
        "id": document_id,
        "partition": partition,
        "kind": kind,
        "schema_version": version,
        COMMIT: commit_id,
        "body": body,
    }
    if sort or keys:
        item["sort"] = sort
    if keys:
        item["keys"] = dict(keys)
    if due_at:
        item["due_at"] = due_at
    if expires_at:
        item["expires_at"] = expires_at
        item["ttl"] = _seconds_to_live(document_id, expires_at, now)
    try:
        return item, len(orjson.dumps(body, option=orjson.OPT_STRICT_INTEGER))
    except TypeError as error:  # orjson's own error is one; numbers in Cosmos DB are doubles
        raise TerminalError("invalid_document", f"{document_id}: its body is not JSON: {error}") from error


def marker(partition: str, commit_id: str) -> Item:
    """An item that proves for an hour that the commit was applied."""
    return {
        "id": f"{MARKER_KIND}:{commit_id}",
        "partition": partition,
        "kind": MARKER_KIND,
        COMMIT: commit_id,
        "ttl": MARKER_SECONDS,
    }


def to_document(item: Mapping[str, Any], schemas: Schemas) -> Document:
    """The document as today's code knows it. `UnreadableError` for an item that is none; see `Schemas.upcast`."""
    try:
        document = Document(
            partition=item["partition"],
            id=item["id"],
            kind=item["kind"],
            body=item["body"],
            schema_version=item["schema_version"],
            sort=item.get("sort", ""),
            keys=item.get("keys", {}),
            due_at=item.get("due_at", ""),
            expires_at=item.get("expires_at", ""),
            etag=etag_of(item),
        )
    except KeyError as error:
        raise UnreadableError(str(item.get("id"))) from error
    return schemas.upcast(document)


def is_alive(item: Mapping[str, Any], now: str) -> bool:
    """Whether a reader may see it: Cosmos DB counts whole seconds, and from its own clock."""
    expires_at = item.get("expires_at", "")
    return not expires_at or bool(expires_at > now)


def etag_of(item: Mapping[str, Any]) -> str:
    """The etag that callers are given."""
    return f"{item['_etag']}{_ETAG_END}{item.get('expires_at', '')}"


def their_etag(etag: str, now: str) -> str:
    """Cosmos DB's etag in one of ours; "" when nothing stored can have it: made up, or its document has expired."""
    theirs, end, expires_at = etag.rpartition(_ETAG_END)
    if not end or not theirs.strip('"') or theirs.strip('"') == "*" or "" < expires_at <= now:
        return ""
    return theirs


def _seconds_to_live(document_id: str, expires_at: str, now: datetime) -> int:
    try:
        instant = datetime.fromisoformat(expires_at)
    except ValueError as error:
        raise TerminalError("invalid_document", f"{document_id}: it expires at {expires_at!a}, no instant") from error
    left = ((instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(1, math.ceil(left)), LONGEST_TIME_TO_LIVE)
