"""The sandbox bank in a process of its own, for chaos and journeys: it goes on while the host is killed, and its books
say what really happened."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.request import Request, urlopen

from local.chaos_files import reading
from local.chaos_host import running
from local.job import JobFailedError
from local.sandbox_ledger import Account
from local.sandbox_trouble import Trouble

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "play-money"  # noqa: S105  it guards play money on loopback
START_SECONDS = 30.0
CALL_SECONDS = 10.0
_HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


class Booked(NamedTuple):
    """A row of the bank's books. state: `done` or `refused`."""

    key: str
    transfer_id: str
    order: dict[str, Any]
    state: str


class BankProcess:
    """`with BankProcess(folder, accounts) as bank`: it serves at `bank.url`; `kill` and `start` as often as you like.

    process: None while it is down. orders: how many it has been sent, as far as anybody has looked (`count`): it
    forgets them when it is killed.
    """

    def __init__(self, folder: Path, accounts: Sequence[Account]) -> None:
        self.folder = folder
        self.url = ""
        self.orders = 0
        self._counted = 0
        self._accounts = json.dumps([account.model_dump() for account in accounts])
        self._port = "0"
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Until it listens, at the same address as before."""
        command = [sys.executable, "-m", "local.sandbox_bank", "--port", self._port, "--data", str(self.folder)]
        self.process = subprocess.Popen(  # noqa: S603  our own module
            [*command, "--accounts", self._accounts, "--until-stdin-closes"],
            cwd=ROOT,
            env={**os.environ, "SANDBOX_BANK_TOKEN": TOKEN},
            stdin=subprocess.PIPE,  # it closes when we end, however that is: the bank must not outlive us
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        running.add(self.process)
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None  # noqa: S101  a pipe was asked for
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise JobFailedError(f"the bank in {self.folder} did not start")
        self.url = str(json.loads(line)["url"])
        self._port = self.url.rpartition(":")[2]

    def kill(self) -> None:
        """kill -9."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        running.discard(process)
        self._counted = 0

    def environment(self, *lines: str) -> dict[str, str]:
        """The settings of a host that uses it. lines: `tenant=account`, which may be paid from."""
        return {"BANK_URL": self.url, "BANK_TOKEN": TOKEN, "BANK_ACCOUNTS": ",".join(lines)}

    def meets(self, trouble: Trouble) -> None:
        """From its next call on."""
        self._post("/admin/trouble", trouble.model_dump())

    def freeze(self, account: str, status: str = "frozen") -> None:
        """Freeze an account, or give it another status."""
        self._post(f"/admin/accounts/{account}", {"status": status})

    def count(self) -> None:
        """Bring `orders` up to date."""
        counted = self.calls().get("POST /v1/transfers", 0)
        self.orders += counted - self._counted
        self._counted = counted

    def calls(self) -> dict[str, int]:
        """What it was asked since it was started, by method and path."""
        asked = Request(self.url + "/admin/calls", headers=_HEADERS)  # noqa: S310  our own bank on loopback
        with urlopen(asked, timeout=CALL_SECONDS) as told:  # noqa: S310
            return dict(json.load(told))

    def booked(self) -> list[Booked]:
        """Everything that was ever asked for with an answer of the books, oldest first."""
        with self._books() as books:
            rows = books.execute("SELECT key, transfer_id, asked, state FROM transfer ORDER BY rowid").fetchall()
        return [Booked(key, transfer_id, json.loads(asked), state) for key, transfer_id, asked, state in rows]

    def balances(self) -> dict[str, int]:
        """Minor units by account."""
        with self._books() as books:
            return dict(books.execute("SELECT id, balance_minor FROM account").fetchall())

    def _books(self) -> AbstractContextManager[sqlite3.Connection]:
        """Read only: also while the bank is down."""
        return reading(self.folder / "sandbox_bank.db")

    def _post(self, path: str, body: dict[str, Any]) -> None:
        asked = Request(self.url + path, json.dumps(body).encode(), _HEADERS)  # noqa: S310  our own bank on loopback
        with urlopen(asked, timeout=CALL_SECONDS):  # noqa: S310
            pass
