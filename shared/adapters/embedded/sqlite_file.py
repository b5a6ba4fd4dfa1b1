"""One SQLite file: how it is opened, brought to today's schema, and how its errors read in this system's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.errors import ConfigurationError, RetryableError

Schema = str | Sequence[str]
"""Migrations: each a script that lifts a file by one version, every statement ending on a line of its own. The list
only ever grows; a lone script is a list of one."""

_STORAGE_ERRORS = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


def is_storage_error(error: sqlite3.Error) -> bool:
    """Whether the file, the disk or a lock is at fault (everyone's transaction), rather than one statement."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or (code & 0xFF) in _STORAGE_ERRORS  # without a code: the connection itself is unusable


def storage_failure(path: Path, error: Exception) -> RetryableError:
    """What the callers are told. A commit that ends so has stored nothing that anyone will read."""
    return RetryableError(f"{path.name}: {error}; try again", code="store_unavailable")


def connect(path: Path, *, busy_seconds: float, writing: bool) -> sqlite3.Connection:
    """An open connection in WAL mode; a commit returns only once it is on the disk (`synchronous=FULL`).

    A connection may be closed from another thread than the one that uses it, hence `check_same_thread=False`.
    Raises `ConfigurationError` for what no waiting mends, `RetryableError` for a lock or a disk that may recover.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except sqlite3.Error as error:
        raise storage_failure(path, error) from error
    try:
        _configure(connection, path, writing=writing)
    except sqlite3.Error as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise ConfigurationError(f"{path.name} is not a SQLite file; name another path") from error
        raise storage_failure(path, error) from error
    except ConfigurationError:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection, path: Path, *, writing: bool) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise ConfigurationError(f"{path.name} cannot use WAL mode (it is {mode!r}); put it on a local disk")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-16000")
    # Fewer, larger checkpoints: they halve the slowest percent of commits.
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    # What undoes a statement that writes many rows stays in memory: else it goes through a file, row after row.
    connection.execute("PRAGMA temp_store=MEMORY")
    if not writing:
        connection.execute("PRAGMA query_only=ON")


def migrate(connection: sqlite3.Connection, schema: Schema, path: Path) -> None:
    """Bring the file to the newest version; refuse one that a newer program wrote. Safe for several processes."""
    migrations = [schema] if isinstance(schema, str) else list(schema)
    try:
        if _version(connection, len(migrations), path) == len(migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been first: only what is read under the lock counts.
            for migration in migrations[_version(connection, len(migrations), path) :]:
                for statement in _statements(migration):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(migrations)}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise storage_failure(path, error) from error


def _version(connection: sqlite3.Connection, known: int, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > known:
        raise ConfigurationError(
            f"{path.name} has schema {version}, this program knows {known}: run the newer program, "
            "or point this one at another file"
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit before it starts, and a half-made migration must roll back."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        raise ConfigurationError(f"a migration ends in the middle of a statement: {pending.strip()[:60]!r}")
