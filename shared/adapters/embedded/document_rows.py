"""How documents lie in SQLite: the tables, the reading statements, and rows to documents and back.

`documents` has a rowid (`number`, growing) so that bodies are appended one after the other; `lookups` holds one row
for each order a document takes part in: by kind (name '') when it has a `sort`, and one for each of its `keys`.
`due_at` and `expires_at` are partial indexes. So a document that is only ever read by its id pays for one index.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import orjson

from shared.errors import TerminalError, UnreadableError
from shared.ports.document_store import Document

SCHEMA = (
    """
    CREATE TABLE documents (
      number INTEGER PRIMARY KEY, etag INTEGER NOT NULL,
      partition TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, schema_version INTEGER NOT NULL,
      sort TEXT NOT NULL, keys TEXT NOT NULL, due_at TEXT NOT NULL, expires_at TEXT NOT NULL,
      body BLOB NOT NULL);
    CREATE UNIQUE INDEX documents_by_id ON documents (partition, id);
    CREATE INDEX documents_due ON documents (kind, due_at, partition, id) WHERE due_at <> '';
    CREATE INDEX documents_expiring ON documents (expires_at) WHERE expires_at <> '';
    CREATE TABLE lookups (
      partition TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
      sort TEXT NOT NULL, id TEXT NOT NULL, number INTEGER NOT NULL,
      PRIMARY KEY (partition, kind, name, value, sort, id)) WITHOUT ROWID;
    CREATE TABLE counter (last INTEGER NOT NULL);
    INSERT INTO counter VALUES (0);
    """,
)
"""The migrations. Add a script at the end; never edit one that was released."""

_COLUMNS = "d.partition, d.id, d.kind, d.body, d.schema_version, d.sort, d.keys, d.due_at, d.expires_at, d.etag"
_PACKED = (
    "CAST('[' || group_concat('[' || json_array(d.id, d.kind, d.schema_version, d.sort, d.due_at, d.expires_at, d.etag)"
    " || ',' || CASE d.keys WHEN '' THEN '{}' ELSE d.keys END || ',' || CAST(d.body AS TEXT) || ']') || ']' AS BLOB)"
)
"""All documents as one JSON text in one row: the interpreter lock is given up at every step of a statement and a busy
writer takes it, so one step is better than one for each document."""
_ALIVE = "(d.expires_at = '' OR d.expires_at > ?)"

# ruff: noqa: S608 - the statements below are put together from constants and counts alone
DUE = (
    f"SELECT {_COLUMNS} FROM documents AS d WHERE d.kind = ? AND d.due_at <> '' AND d.due_at <= ? AND {_ALIVE}"
    " ORDER BY d.due_at, d.partition, d.id LIMIT ?"
)
PAGE_UP, PAGE_DOWN = (
    # CROSS JOIN: always from the order to the documents. Both bounds are exclusive; see `bounds`.
    f"SELECT {_COLUMNS} FROM lookups AS l CROSS JOIN documents AS d ON d.number = l.number"
    " WHERE l.partition = ? AND l.kind = ? AND l.name = ? AND l.value = ?"
    f" AND (l.sort, l.id) > (?, ?) AND (l.sort, l.id) < (?, ?) AND {_ALIVE}"
    f" ORDER BY l.sort {direction}, l.id {direction} LIMIT ?"
    for direction in ("ASC", "DESC")
)


@functools.cache
def read_sql(count: int) -> str:
    """Parameters: partition, the ids, now."""
    marks = ",".join("?" * count)
    return f"SELECT {_PACKED} FROM documents AS d WHERE d.partition = ? AND d.id IN ({marks}) AND {_ALIVE}"


ONE = f"SELECT {_COLUMNS} FROM documents AS d WHERE d.partition = ? AND d.id = ?"


def unpacked(partition: str, packed: bytes | None) -> list[Document]:
    """The documents of a row of `_PACKED`, not yet upcast; `ValueError` when one of them cannot be read."""
    if packed is None:
        return []
    return [
        Document(partition, id_, kind, body, version, sort, keys, due_at, expires_at, str(etag))
        for (id_, kind, version, sort, due_at, expires_at, etag), keys, body in orjson.loads(packed)
    ]


def to_document(row: Row) -> Document:
    """The document of a row of `_COLUMNS`, not yet upcast; `UnreadableError`."""
    partition, document_id, kind, raw, version, sort, raw_keys, due_at, expires_at, etag = row
    try:
        body, keys = orjson.loads(raw), orjson.loads(raw_keys) if raw_keys else {}
    except orjson.JSONDecodeError as error:
        raise UnreadableError(document_id) from error
    return Document(partition, document_id, kind, body, version, sort, keys, due_at, expires_at, str(etag))


Key = tuple[str, str]
"""(partition, id)"""
Row = tuple[Any, ...]


class Write(NamedTuple):
    """A document ready to be bound: prepared by the caller, so that the writer thread has less to do.

    `etag`: the one it must still have. `values`: the columns of `documents` from `partition` on, in their order.
    """

    key: Key
    etag: str
    values: Row


def to_write(document: Document) -> Write:
    """`TerminalError("invalid_document")` when the body or the keys are not JSON."""
    partition, document_id, kind, body, version, sort, keys, due_at, expires_at, etag = document
    try:
        body_text = orjson.dumps(body, option=orjson.OPT_STRICT_INTEGER)
        keys_text = orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode() if keys else ""
    except TypeError as error:  # orjson's own error is one
        raise TerminalError("invalid_document", f"{document_id}: its body is not JSON: {error}") from error
    values = (partition, document_id, kind, version, sort, keys_text, due_at, expires_at, body_text)
    return Write((partition, document_id), etag, values)


def entries(partition: str, document_id: str, number: int, sort: str, keys: str) -> set[Row]:
    """The rows of `lookups` that a document has."""
    kind = document_id.partition(":")[0]
    named = orjson.loads(keys) if keys else {}
    rows = {(partition, kind, name, value, sort, document_id, number) for name, value in named.items()}
    if sort:
        rows.add((partition, kind, "", "", sort, document_id, number))
    return rows
