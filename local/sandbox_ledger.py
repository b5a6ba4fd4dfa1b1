"""The sandbox bank's books: accounts, transfers and the keys they were asked for under, in one SQLite file.

A transfer and the record of its key are one transaction: whoever has an answer finds the same one after a `kill -9`.
A refusal is recorded under its key like a transfer: what was refused once is never carried out later.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from shared.adapters.embedded.sqlite_file import connect
from shared.adapters.embedded.sqlite_writer import SqliteWriter
from shared.contracts.shape import SAFE_INTEGER, Currency, ReferenceId, Shape

Status = Literal["active", "frozen", "closed"]

_SCHEMA = f"""
CREATE TABLE account (
  id TEXT PRIMARY KEY,
  owner_name TEXT NOT NULL,
  currency TEXT NOT NULL,
  balance_minor INTEGER NOT NULL CHECK (balance_minor BETWEEN 0 AND {SAFE_INTEGER}),
  status TEXT NOT NULL
) STRICT;
CREATE TABLE transfer (
  key TEXT PRIMARY KEY,
  transfer_id TEXT NOT NULL UNIQUE,
  asked TEXT NOT NULL,
  state TEXT NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  made_at TEXT NOT NULL
) STRICT;
"""


class Account(Shape):
    """What an account is opened with. `balance_minor` is never below zero: this bank lends nothing."""

    id: ReferenceId
    owner_name: Annotated[str, Field(max_length=100)]
    currency: Currency
    balance_minor: Annotated[int, Field(ge=0, le=SAFE_INTEGER)]
    status: Status = "active"


class TransferOrder(Shape):
    """What is asked for. Amounts in minor units of `currency`, which must be that of both accounts."""

    from_account: ReferenceId
    to_account: ReferenceId
    amount_minor: Annotated[int, Field(gt=0, le=SAFE_INTEGER)]
    currency: Currency
    note: Annotated[str, Field(max_length=140)] = ""


class Transfer(NamedTuple):
    """What became of one key. state: `done` or `refused`; `code` and `detail` say why it was refused."""

    key: str
    transfer_id: str
    asked: Mapping[str, Any]
    state: str
    code: str
    detail: str
    made_at: str
    replayed: bool = False


class KeyReusedError(Exception):
    """The key stands for another order."""


class Ledger:
    """Opens or goes on with the books in `folder`; `accounts` are opened unless they are there already."""

    def __init__(self, folder: Path, accounts: Sequence[Account]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "sandbox_bank.db"
        self._writer = SqliteWriter(path, _SCHEMA)
        self._accounts = [account.model_dump() for account in accounts]
        self._path = path
        self._reader: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the seeded accounts."""
        await self._writer.submit(self._seed)
        self._reader = connect(self._path, busy_seconds=5.0, writing=False)
        self._reader.row_factory = sqlite3.Row

    async def close(self) -> None:
        """What was answered is on the disk already."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        await self._writer.close()

    async def transfer(self, key: str, order: TransferOrder) -> Transfer:
        """Carry out `order`, or give the first answer to `key` again; `KeyReusedError` when it was another order."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return await self._writer.submit(lambda connection: _transfer(connection, key, order, uuid.uuid4().hex, at))

    async def set_status(self, account_id: str, status: Status) -> bool:
        """Freeze, close or thaw; False for no such account."""
        sql = "UPDATE account SET status = ? WHERE id = ?"
        return await self._writer.submit(lambda connection: connection.execute(sql, (status, account_id)).rowcount == 1)

    def account(self, account_id: str) -> dict[str, Any] | None:
        """The account as it is now."""
        row = self._read("SELECT * FROM account WHERE id = ?", account_id)
        return None if row is None else dict(row)

    def by_key(self, key: str) -> Transfer | None:
        """What became of `key`; None when it was never asked for."""
        row = self._read("SELECT * FROM transfer WHERE key = ?", key)
        return None if row is None else _stored(tuple(row))

    def _read(self, sql: str, value: str) -> sqlite3.Row | None:
        assert self._reader is not None  # noqa: S101  open() comes first
        row: sqlite3.Row | None = self._reader.execute(sql, (value,)).fetchone()
        return row

    def _seed(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT OR IGNORE INTO account VALUES (:id, :owner_name, :currency, :balance_minor, :status)",
            self._accounts,
        )


def _transfer(connection: sqlite3.Connection, key: str, order: TransferOrder, transfer_id: str, at: str) -> Transfer:
    asked = order.model_dump()
    row = connection.execute("SELECT * FROM transfer WHERE key = ?", (key,)).fetchone()
    if row is not None:
        stored = _stored(row)
        if stored.asked != asked:
            raise KeyReusedError
        return stored._replace(replayed=True)
    code, detail = _refusal(connection, order)
    if not code:
        move = "UPDATE account SET balance_minor = balance_minor + ? WHERE id = ?"
        connection.execute(move, (-order.amount_minor, order.from_account))
        connection.execute(move, (order.amount_minor, order.to_account))
    made = Transfer(key, transfer_id, asked, "refused" if code else "done", code, detail, at)
    connection.execute(
        "INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?, ?)",
        (key, transfer_id, json.dumps(asked), made.state, code, detail, at),
    )
    return made


def _refusal(connection: sqlite3.Connection, order: TransferOrder) -> tuple[str, str]:
    """Why not, as (code, detail); empty texts when it may be carried out."""
    if order.from_account == order.to_account:
        return "same_account", "both accounts are the same one"
    balances = []
    for account_id in (order.from_account, order.to_account):
        row = connection.execute(
            "SELECT currency, balance_minor, status FROM account WHERE id = ?", (account_id,)
        ).fetchone()
        if row is None:
            return "account_unknown", f"there is no account {account_id}"
        currency, balance, status = row
        if status != "active":
            return f"account_{status}", f"account {account_id} is {status}"
        if currency != order.currency:
            return "currency_mismatch", f"account {account_id} is kept in {currency}"
        balances.append(balance)
    if balances[0] < order.amount_minor:
        return "insufficient_funds", f"account {order.from_account} holds less than that"
    if balances[1] + order.amount_minor > SAFE_INTEGER:
        return "balance_limit", f"account {order.to_account} can hold no more"
    return "", ""


def _stored(row: Sequence[Any]) -> Transfer:
    key, transfer_id, asked, state, code, detail, made_at = row
    return Transfer(key, transfer_id, json.loads(asked), state, code, detail, made_at)
