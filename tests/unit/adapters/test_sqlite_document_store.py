"""The SQLite document store's own concerns: indexes, purging, a file that is locked, full or too new."""

# ruff: noqa: ASYNC240 - a test may look into a small local file
from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.embedded.document_batch import delete_sql
from shared.adapters.embedded.document_rows import DUE, PAGE_DOWN, PAGE_UP, read_sql
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.sqlite_writer import Executor
from shared.contracts.instants import after, text
from shared.errors import ConfigurationError, RetryableError
from shared.ports.document_store import Document, Schemas
from tests.conformance.adapters import KINDS, Clock


def opened(path: Path, clock: Clock, executor: Executor = "thread") -> SqliteDocumentStore:
    return SqliteDocumentStore(path, schemas=Schemas(KINDS), now=clock, executor=executor, busy_seconds=0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["thread", "inline"])
async def store(request: pytest.FixtureRequest, path: Path, clock: Clock) -> AsyncIterator[SqliteDocumentStore]:
    one = opened(path, clock, request.param)
    yield one
    await one.close()


def run(name: str, **more: object) -> Document:
    return Document("smith", f"run:{name}", "run", {"name": name}, **more)  # type: ignore[arg-type]


def rows(path: Path, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        (read_sql(3), ["documents_by_id (partition=? AND id=?)"]),
        (PAGE_UP, ["PRIMARY KEY (partition=? AND kind=? AND name=? AND value=? AND (sort,id)>", "INTEGER PRIMARY KEY"]),
        (
            PAGE_DOWN,
            ["PRIMARY KEY (partition=? AND kind=? AND name=? AND value=? AND (sort,id)", "INTEGER PRIMARY KEY"],
        ),
        (DUE, ["documents_due (kind=? AND due_at<?)"]),
    ],
    ids=["read", "page", "page backwards", "due"],
)
async def test_every_read_is_a_search_in_an_index_and_sorts_nothing(
    store: SqliteDocumentStore, path: Path, sql: str, indexes: list[str]
):
    plan = [str(row[3]) for row in rows(path, f"EXPLAIN QUERY PLAN {sql}", *[""] * sql.count("?"))]
    searches = [line for line in plan if line.startswith("SEARCH")]
    assert len(searches) == len(indexes)
    assert all(index in line for index, line in zip(indexes, searches, strict=True)), plan
    assert not [line for line in plan if "SCAN" in line or "TEMP B-TREE" in line], plan


async def test_only_documents_that_are_listed_due_or_mortal_pay_for_index_rows(store: SqliteDocumentStore, path: Path):
    await store.commit("smith", [run("plain"), run("sorted", sort="1"), run("keyed", keys={"state": "a", "run": "b"})])
    found = rows(path, "SELECT id, name FROM lookups ORDER BY id, name")
    assert found == [("run:keyed", "run"), ("run:keyed", "state"), ("run:sorted", "")]


async def test_new_bodies_are_appended_in_the_order_of_writing(store: SqliteDocumentStore, path: Path):
    for name in ("z", "a", "m"):
        await store.commit("smith", [run(name)])
    assert rows(path, "SELECT id FROM documents ORDER BY number") == [("run:z",), ("run:a",), ("run:m",)]


async def test_two_writes_of_a_document_in_one_group_are_judged_one_after_the_other(path: Path, clock: Clock):
    store = opened(path, clock)
    etags = await store.commit("smith", [run("a", sort="1"), run("b", sort="1")])
    results = await asyncio.gather(
        store.commit("smith", [run("a", sort="2", etag=etags["run:a"])]),
        store.commit("smith", [run("a", sort="3", etag=etags["run:a"])]),
        store.commit("smith", [run("new", sort="4")], deletes=[run("b", etag=etags["run:b"])]),
        store.commit("smith", [run("b", sort="5", keys={"state": "again"})]),
        return_exceptions=True,
    )
    assert [isinstance(result, dict) for result in results] == [True, False, True, True]
    page = await store.query("smith", "run")
    assert [(one.id, one.sort) for one in page.documents] == [("run:a", "2"), ("run:new", "4"), ("run:b", "5")]
    assert len((await store.query("smith", "run", key=("state", "again"))).documents) == 1
    assert rows(path, "SELECT count(*) FROM documents") == [(3,)]
    await store.close()


async def test_purging_removes_expired_documents_oldest_first_and_their_index_rows(
    store: SqliteDocumentStore, path: Path, clock: Clock
):
    mortal = [run(str(n), sort="1", keys={"state": "x"}, expires_at=after(clock.now, seconds=n)) for n in range(1, 6)]
    await store.commit("smith", [*mortal, run("stays", sort="1", keys={"state": "x"})])
    clock.advance(seconds=3)
    assert await store.purge(2) == 2
    assert len(rows(path, "SELECT id FROM documents")) == 4
    assert await store.purge(2) == 1
    assert await store.purge(2) == 0
    left = [("run:4",), ("run:5",), ("run:stays",)]
    assert rows(path, "SELECT id FROM documents ORDER BY id") == left
    assert rows(path, "SELECT DISTINCT id FROM lookups ORDER BY id") == left


async def test_a_locked_file_is_retryable_and_the_store_recovers(store: SqliteDocumentStore, path: Path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RetryableError, match="locked"):
        await store.commit("smith", [run("a")])
    with pytest.raises(RetryableError):
        await store.ping()
    assert await store.read("smith", "run:a") is None  # readers are not kept waiting
    other.execute("ROLLBACK")
    other.close()
    await store.ping()
    assert await store.commit("smith", [run("a")]) != {}


async def test_a_ping_gives_up_after_a_second(path: Path, clock: Clock):
    store = SqliteDocumentStore(path, schemas=Schemas(KINDS), now=clock, busy_seconds=1.5)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RetryableError, match="within 1 s"):
        await store.ping()
    other.close()
    await store.close()


async def test_a_full_disk_is_retryable_and_nothing_of_the_group_is_stored(store: SqliteDocumentStore, path: Path):
    await store.commit("smith", [run("before")])
    pages = rows(path, "PRAGMA page_count")[0][0]

    def limit(count: object) -> object:
        return store._writer.submit(lambda connection: connection.execute(f"PRAGMA max_page_count={count}").fetchall())

    await limit(pages)  # type: ignore[misc]
    big = [run(f"big-{n}")._replace(body={"text": "x" * 50_000}) for n in range(3)]
    results = await asyncio.gather(*[store.commit("smith", [one]) for one in big], return_exceptions=True)
    assert [type(result) for result in results] == [RetryableError] * 3
    assert rows(path, "SELECT id FROM documents") == [("run:before",)]
    await limit(1_000_000)  # type: ignore[misc]
    etags = [await store.commit("smith", [one]) for one in big]
    assert len({etag for one in etags for etag in one.values()}) == 3


async def test_a_file_of_a_newer_program_is_refused(store: SqliteDocumentStore, path: Path, clock: Clock):
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ConfigurationError, match="schema 99"):
        opened(path, clock)


async def test_a_damaged_file_is_retryable_for_readers_too(path: Path, clock: Clock):
    store = opened(path, clock)
    await store.commit("smith", [run(str(n)) for n in range(100)])
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    store = opened(path, clock)
    with pytest.raises(RetryableError, match="malformed"):
        await store.read("smith", "run:1")
    with pytest.raises(RetryableError, match="malformed"):
        await store.commit("smith", [run("new")])
    await store.close()


async def test_reads_work_from_several_threads(store: SqliteDocumentStore):
    await store.commit("smith", [run("a")])

    def read() -> str:
        found = asyncio.run(store.read("smith", "run:a"))
        assert found is not None
        return found.id

    assert await asyncio.gather(*[asyncio.to_thread(read) for _ in range(4)]) == ["run:a"] * 4


async def test_an_instant_is_compared_as_text(store: SqliteDocumentStore, clock: Clock):
    await store.commit("smith", [run("a", expires_at=text(clock.now))])
    assert await store.read("smith", "run:a") is None


@pytest.mark.parametrize("count", [1, 16, 17, 33, 100])
async def test_look_ups_follow_also_when_many_documents_change_at_once(
    store: SqliteDocumentStore, path: Path, count: int
):
    first = [run(f"{n:03}", sort="1", keys={"state": "open", "subject": str(n)}) for n in range(count)]
    etags = await store.commit("smith", first)
    await store.commit("smith", [one._replace(keys={"state": "done"}, etag=etags[one.id]) for one in first])
    found = rows(path, "SELECT DISTINCT name, value FROM lookups ORDER BY name")
    assert found == [("", ""), ("state", "done")]
    page = await store.query("smith", "run", key=("state", "done"), limit=200)
    assert [one.id for one in page.documents] == [one.id for one in first]


async def test_rows_are_deleted_by_a_search_in_the_index(store: SqliteDocumentStore, path: Path):
    sql = delete_sql(3)
    plan = [str(row[3]) for row in rows(path, f"EXPLAIN QUERY PLAN {sql}", *[""] * sql.count("?"))]
    assert len([line for line in plan if line.startswith("SEARCH") and "PRIMARY KEY (partition=?" in line]) == 3, plan
    assert not [line for line in plan if "SCAN" in line], plan
