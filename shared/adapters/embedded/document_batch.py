"""A group's commits, decided together in memory and then written: one look-up, a few writes, no savepoints.

`Plan.admit` checks each commit against what is stored and what the commits before it in the group will have stored.
Only then is anything written, so a commit that lost leaves nothing behind. Two writes of one document in a group are
one row written.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import orjson

from shared.adapters.embedded.document_rows import Key, Row, Write, entries
from shared.errors import ConflictError

_EXACT, _CHUNKS = 16, (128, 64, 32, 16)
"""Rows per writing statement: a commit of its own goes in one step, and few statements are compiled for groups."""
_MOST_KEYS = 1024
"""Keys per look-up: any SQLite takes that many parameters."""


class Commit(NamedTuple):
    """One caller's commit at `now`. `deletes`: key and etag."""

    now: str
    writes: tuple[Write, ...]
    deletes: tuple[tuple[Key, str], ...]


Stored = Sequence[Any]
"""What must be known of a document to judge a write and to keep its look-ups right: number, etag (an integer),
expires_at, sort, keys. Plain, because every document of a group passes here while the event loop waits for the lock."""


class Plan:
    """`found`: what is stored of all documents of the group. `last`: the last number given to anything."""

    def __init__(self, found: dict[Key, Stored], last: int) -> None:
        self._found = found
        self._current = dict(found)
        self._rows: dict[Key, Row] = {}
        self._moved: set[Key] = set()  # whose look-ups may have changed
        self.last = last

    def admit(self, commit: Commit) -> dict[str, str] | ConflictError:
        """The new etags, or which documents were lost."""
        now = commit.now
        lost = [write.key[1] for write in commit.writes if write.etag != self._etag(write.key, now)]
        lost += [key[1] for key, etag in commit.deletes if etag != self._etag(key, now)]
        if lost:
            return ConflictError(lost)
        for key, _ in commit.deletes:
            del self._current[key]
            self._rows.pop(key, None)
            self._moved.add(key)
        return {write.key[1]: self._take(write) for write in commit.writes}

    def _etag(self, key: Key, now: str) -> str:
        """As a caller sees it: "" for what does not exist or has expired."""
        stored = self._current.get(key)
        return "" if stored is None or "" < stored[2] <= now else str(stored[1])

    def _take(self, write: Write) -> str:
        self.last = number = etag = self.last + 1  # numbers grow, so that new bodies are appended
        key, _, values = write
        _, _, _, _, sort, keys, _, expires_at, _ = values
        before = self._current.get(key)
        if before:
            number, _, _, old_sort, old_keys = before
            if sort != old_sort or keys != old_keys:
                self._moved.add(key)
        elif sort or keys:
            self._moved.add(key)
        self._current[key] = (number, etag, expires_at, sort, keys)
        self._rows[key] = (number, etag, *values)
        return str(etag)

    def gone(self) -> list[tuple[int]]:
        """Numbers of stored documents to delete (also of those deleted and made anew under another number)."""
        numbers = ((key, self._found[key][0]) for key in self._moved if key in self._found)
        return [(number,) for key, number in numbers if self._number(key) != number]

    def _number(self, key: Key) -> int | None:
        stored = self._current.get(key)
        return stored[0] if stored else None

    def rows(self) -> list[Row]:
        """Rows of `documents` to insert or replace."""
        return list(self._rows.values())

    def lookups(self) -> tuple[list[Row], list[Row]]:
        """Rows of `lookups` to delete and to insert."""
        old, new = self._lookups_in(self._found), self._lookups_in(self._current)
        return sorted(old - new), sorted(new - old)

    def _lookups_in(self, documents: dict[Key, Stored]) -> set[Row]:
        rows: set[Row] = set()
        for key in self._moved:
            if stored := documents.get(key):
                number, _, _, sort, keys = stored
                rows.update(entries(*key, number, sort, keys))
        return rows


def apply_commits(connection: sqlite3.Connection, commits: Sequence[Commit]) -> list[dict[str, str] | Exception]:
    """The store's batch function for the writer."""
    keys = {write.key for commit in commits for write in commit.writes}
    keys.update([key for commit in commits for key, _ in commit.deletes])
    plan = Plan(*_find(connection, list(keys)))
    results: list[dict[str, str] | Exception] = [plan.admit(commit) for commit in commits]
    _write(connection, plan)
    return results


def _find(connection: sqlite3.Connection, keys: Sequence[Key]) -> tuple[dict[Key, Stored], int]:
    """What is stored of these, and the last number given."""
    found: dict[Key, Stored] = {}
    last = 0
    for start in range(0, len(keys), _MOST_KEYS):
        some = keys[start : start + _MOST_KEYS]
        count = 1 << (len(some) - 1).bit_length()  # few lengths again; NULL fills up and equals nothing
        flat: list[str | None] = list(chain.from_iterable(some))
        flat += [None] * (2 * (count - len(some)))
        last, packed = connection.execute(_find_sql(count), flat).fetchone()
        for place, *stored in orjson.loads(packed):
            found[some[place]] = stored
    return found, last


def _write(connection: sqlite3.Connection, plan: Plan) -> None:
    if gone := plan.gone():
        connection.executemany("DELETE FROM documents WHERE number = ?", gone)
    rows = plan.rows()
    _in_chunks(connection, _upsert_sql, rows)
    old, new = plan.lookups()
    delete_lookups(connection, old)
    _in_chunks(connection, _lookup_sql, new)
    if gone or rows:
        connection.execute("UPDATE counter SET last = ?", (plan.last,))


def delete_lookups(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Delete these rows of `lookups`."""
    _in_chunks(connection, delete_sql, [row[:-1] for row in rows])


def _in_chunks(connection: sqlite3.Connection, sql: Callable[[int], str], rows: Sequence[Row]) -> None:
    start = 0
    while left := len(rows) - start:
        size = left if left <= _EXACT else next(size for size in _CHUNKS if size <= left)
        connection.execute(sql(size), list(chain.from_iterable(rows[start : start + size])))
        start += size


# ruff: noqa: S608 - the statements below are put together from constants and counts alone
@functools.cache
def _find_sql(count: int) -> str:
    """One row, the last number and a JSON array: reading it is two steps instead of one for each document."""
    return (
        f"WITH wanted (place, partition, id) AS (VALUES {','.join([f'({place},?,?)' for place in range(count)])})"
        " SELECT (SELECT last FROM counter),"
        " json_group_array(json_array(w.place, d.number, d.etag, d.expires_at, d.sort, d.keys))"
        " FROM wanted AS w CROSS JOIN documents AS d ON d.partition = w.partition AND d.id = w.id"
    )


@functools.cache
def _upsert_sql(count: int) -> str:
    return (
        f"INSERT INTO documents VALUES {','.join(['(?,?,?,?,?,?,?,?,?,?,?)'] * count)}"
        " ON CONFLICT (number) DO UPDATE SET etag = excluded.etag, schema_version = excluded.schema_version,"
        " sort = excluded.sort, keys = excluded.keys, due_at = excluded.due_at, expires_at = excluded.expires_at,"
        " body = excluded.body"
    )


@functools.cache
def _lookup_sql(count: int) -> str:
    return f"INSERT INTO lookups VALUES {','.join(['(?,?,?,?,?,?,?)'] * count)}"


@functools.cache
def delete_sql(count: int) -> str:
    """OR, because SQLite would read the whole table for `(...) IN (VALUES ...)`."""
    one = "(partition = ? AND kind = ? AND name = ? AND value = ? AND sort = ? AND id = ?)"
    return f"DELETE FROM lookups WHERE {' OR '.join([one] * count)}"
