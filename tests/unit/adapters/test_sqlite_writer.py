"""The writer of one SQLite file: groups, riders, isolation of failures, and a disk that fails and recovers."""

# ruff: noqa: ASYNC240 - a test may look into a small local file
from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from shared.adapters.embedded.sqlite_writer import SqliteWriter
from shared.errors import ConfigurationError, RetryableError

SCHEMA = """
CREATE TABLE entry (name TEXT PRIMARY KEY, filling BLOB NOT NULL DEFAULT x'');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.db"


@pytest.fixture(params=["thread", "inline"])
async def writer(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[SqliteWriter]:
    opened = SqliteWriter(path, SCHEMA, executor=request.param, busy_seconds=0.05)
    yield opened
    await opened.close()


def insert(name: str, size: int = 0) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO entry VALUES (?, zeroblob(?))", (name, size))
        return name

    return work


def insert_then_fail(connection: sqlite3.Connection) -> None:
    insert("half")(connection)
    raise ValueError("changed its mind")


def names(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT name FROM entry ORDER BY rowid")]
    finally:
        connection.close()


class Spy:
    """Holds the writer back until a test lets it go, and sees what groups it then makes."""

    def __init__(self, writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[int] = []
        self._go = threading.Event()
        run = writer._transactions.run

        def spied(jobs: Sequence[object]) -> object:
            assert self._go.wait(5)
            self.groups.append(len(jobs))
            return run(jobs)  # type: ignore[arg-type]

        monkeypatch.setattr(writer._transactions, "run", spied)

    def go(self) -> None:
        self._go.set()


@pytest.fixture
async def threaded(path: Path) -> AsyncIterator[SqliteWriter]:
    opened = SqliteWriter(path, SCHEMA, busy_seconds=0.05)
    yield opened
    await opened.close()


async def test_a_job_gives_its_result_once_it_is_stored(writer: SqliteWriter, path: Path):
    assert await writer.submit(insert("a")) == "a"
    assert names(path) == ["a"]


async def test_a_job_that_fails_has_written_nothing_and_its_neighbours_have(writer: SqliteWriter, path: Path):
    jobs = [insert("a"), insert_then_fail, insert("b"), insert("a"), insert("c")]
    results = await asyncio.gather(*[writer.submit(job) for job in jobs], return_exceptions=True)
    assert [type(result) for result in results] == [str, ValueError, str, sqlite3.IntegrityError, str]
    assert names(path) == ["a", "b", "c"]


async def test_a_job_that_rolls_the_whole_group_back_harms_only_itself(writer: SqliteWriter, path: Path):
    def rude(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO entry (name) VALUES ('a')")

    await writer.submit(insert("a"))
    results = await asyncio.gather(*[writer.submit(job) for job in (insert("b"), rude)], return_exceptions=True)
    assert isinstance(results[1], Exception)
    assert await writer.submit(insert("c")) == "c"
    assert set(names(path)) == {"a", "c"} | ({"b"} if results[0] == "b" else set())


async def test_items_of_one_batch_are_handled_in_one_call(threaded: SqliteWriter, path: Path):
    calls: list[list[str]] = []

    def batch(connection: sqlite3.Connection, items: Sequence[str]) -> list[str | Exception]:
        calls.append(list(items))
        good = [item for item in items if item != "bad"]
        connection.executemany("INSERT INTO entry (name) VALUES (?)", [(item,) for item in good])
        return [ValueError(item) if item == "bad" else item.upper() for item in items]

    work = [threaded.submit_item(batch, name) for name in ("a", "bad", "b")]
    results = await asyncio.gather(*work, return_exceptions=True)
    assert calls == [["a", "bad", "b"]]
    assert (results[0], results[2]) == ("A", "B")
    assert isinstance(results[1], ValueError)
    assert names(path) == ["a", "b"]


async def test_a_batch_with_a_result_too_few_fails_whole_and_the_writer_lives(writer: SqliteWriter, path: Path):
    def forgetful(connection: sqlite3.Connection, items: Sequence[str]) -> list[str | Exception]:
        for item in items:
            insert(item)(connection)
        return []

    with pytest.raises(RuntimeError):
        await writer.submit_item(forgetful, "lost")
    await writer.submit(insert("a"))
    assert names(path) == ["a"]


async def test_what_one_turn_of_the_loop_brings_shares_one_transaction(
    threaded: SqliteWriter, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(threaded, monkeypatch)
    spy.go()
    await asyncio.gather(*[threaded.submit(insert(str(n))) for n in range(50)])
    assert spy.groups == [50]


async def test_jobs_of_several_event_loops_share_transactions(
    threaded: SqliteWriter, path: Path, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(threaded, monkeypatch)

    async def five(prefix: str) -> None:
        await asyncio.gather(*[threaded.submit(insert(f"{prefix}{n}")) for n in range(5)])

    first = threaded.submit(insert("first"))
    await asyncio.sleep(0.01)
    loops = [threading.Thread(target=lambda name=name: asyncio.run(five(name))) for name in "abc"]
    for loop in loops:
        loop.start()
    await asyncio.sleep(0.05)
    spy.go()
    await first
    for loop in loops:
        await asyncio.to_thread(loop.join)
    assert spy.groups == [1, 15]
    assert len(names(path)) == 16


async def test_a_posted_job_rides_along_or_goes_alone_soon(
    threaded: SqliteWriter, path: Path, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(threaded, monkeypatch)
    spy.go()
    threaded.post(insert("rider"))
    await threaded.submit(insert("company"))
    assert spy.groups == [2]
    threaded.post(insert("alone"))
    await asyncio.sleep(0.2)
    assert spy.groups == [2, 1]
    assert names(path) == ["rider", "company", "alone"]


async def test_a_posted_job_that_fails_is_logged(writer: SqliteWriter, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        writer.post(insert_then_fail)
        await writer.submit(insert("a"))
    assert "changed its mind" in caplog.text


async def test_closing_finishes_what_was_queued(writer: SqliteWriter, path: Path):
    waiting = [writer.submit(insert(str(n))) for n in range(20)]
    writer.post(insert("posted"))
    await writer.close()
    assert await asyncio.gather(*waiting) == [str(n) for n in range(20)]
    assert len(names(path)) == 21
    with pytest.raises(RetryableError):
        await writer.submit(insert("late"))
    with pytest.raises(RetryableError):
        writer.post(insert("late"))
    await writer.close()


async def test_a_locked_file_fails_the_whole_group_and_then_recovers(writer: SqliteWriter, path: Path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*[writer.submit(insert(str(n))) for n in range(3)], return_exceptions=True)
    assert [type(result) for result in results] == [RetryableError] * 3
    assert len({id(result) for result in results}) == 3  # each caller may raise its own
    other.execute("ROLLBACK")
    other.close()
    await writer.submit(insert("a"))
    assert names(path) == ["a"]


async def test_a_full_disk_fails_the_whole_group_and_then_recovers(writer: SqliteWriter, path: Path):
    await writer.submit(lambda connection: connection.execute("PRAGMA max_page_count=8").fetchall())
    jobs = [insert("small"), insert("huge", 200_000), insert("small too")]
    results = await asyncio.gather(*[writer.submit(job) for job in jobs], return_exceptions=True)
    assert isinstance(results[1], RetryableError)
    assert "full" in str(results[1])
    assert names(path) == [result for result in results if isinstance(result, str)]
    await writer.submit(lambda connection: connection.execute("PRAGMA max_page_count=1000000").fetchall())
    await writer.submit(insert("a", 200_000))
    assert names(path)[-1] == "a"


async def test_in_one_group_a_full_disk_leaves_nothing_of_anyone(threaded: SqliteWriter, path: Path):
    await threaded.submit(lambda connection: connection.execute("PRAGMA max_page_count=8").fetchall())
    jobs = [insert("small"), insert_then_fail, insert("huge", 200_000), insert("small too")]
    results = await asyncio.gather(*[threaded.submit(job) for job in jobs], return_exceptions=True)
    assert [type(result) for result in results] == [RetryableError] * 4
    assert names(path) == []


async def test_a_connection_that_died_is_replaced(writer: SqliteWriter, path: Path):
    def die(connection: sqlite3.Connection) -> None:
        connection.close()

    with pytest.raises(Exception, match="closed"):
        await writer.submit(die)
    results = [await asyncio.gather(writer.submit(insert(str(n))), return_exceptions=True) for n in range(2)]
    assert results[1] == ["1"]
    assert "1" in names(path)


async def test_a_half_made_migration_leaves_the_file_as_it_was(path: Path):
    broken = "CREATE TABLE other (x);\nINSERT INTO missing VALUES (1);\n"
    await SqliteWriter(path, [SCHEMA], executor="inline").close()
    with pytest.raises(RetryableError):
        SqliteWriter(path, [SCHEMA, broken], executor="inline")
    await SqliteWriter(path, [SCHEMA, "CREATE TABLE other (x);\n"], executor="inline").close()


async def test_an_older_file_is_migrated_and_keeps_its_rows(path: Path):
    old = SqliteWriter(path, [SCHEMA], executor="inline")
    await old.submit(insert("a"))
    await old.close()
    new = SqliteWriter(path, [SCHEMA, "ALTER TABLE entry ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';\n"])
    rows = await new.submit(lambda connection: connection.execute("SELECT name, colour FROM entry").fetchall())
    assert rows == [("a", "red")]
    await new.close()
    with pytest.raises(ConfigurationError, match="newer program"):
        SqliteWriter(path, [SCHEMA])


async def test_a_file_that_is_no_database_is_refused(path: Path):
    path.write_bytes(b"a letter to my aunt" * 100)
    with pytest.raises(ConfigurationError, match="not a SQLite file"):
        SqliteWriter(path, SCHEMA)


async def test_a_folder_that_is_not_there_may_come(path: Path):
    with pytest.raises(RetryableError):
        SqliteWriter(path / "missing" / "file.db", SCHEMA)


async def test_every_commit_reaches_the_disk(writer: SqliteWriter):
    settings = await writer.submit(
        lambda connection: [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    )
    assert settings == ["wal", 2]
