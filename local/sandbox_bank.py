"""A small real bank on loopback, for the main job and the tests: what `transfer_funds` talks to, and it moves no money.

* `POST /v1/transfers` {from_account, to_account, amount_minor, currency, note?} with `Idempotency-Key`: 201, or a
  problem with a `code`. The same key and order get the first answer again, another order 422.
* `GET /v1/transfers/by-key/{key}` (404 `transfer_unknown`), `GET /v1/accounts/{id}`, `GET /v1/health`.
* `POST /admin/trouble` (`sandbox_trouble.py`), `POST /admin/accounts/{id}` {status}, `GET /admin/calls`.

Everything needs `Authorization: Bearer <token>`. `python -m local.sandbox_bank --port 0 --data DIR` says {"url": ...}
on stdout; SANDBOX_BANK_TOKEN is the token (default "sandbox"). In a program: `async with SandboxBank(folder) as bank`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from local import log
from local.http_answers import Response
from local.http_parser import Request
from local.http_server import HttpServer
from local.sandbox_ledger import Account, KeyReusedError, Ledger, Status, Transfer, TransferOrder
from local.sandbox_trouble import Stage, Trouble, Troubles
from local.stdin_end import stop_with_stdin
from shared.contracts.shape import Shape
from shared.errors import RetryableError

DEFAULT_TOKEN = "sandbox"  # noqa: S105  it guards play money on loopback
GRACE_SECONDS = 1.0
REFUSAL_STATUS = 409
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class _NewStatus(Shape):
    status: Status


class SandboxBank:
    """`async with SandboxBank(folder, accounts) as bank` serves at `bank.url`; what is in `folder` goes on."""

    def __init__(
        self, folder: Path, accounts: Sequence[Account] = (), *, port: int = 0, token: str = DEFAULT_TOKEN
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.troubles = Troubles()
        self._ledger = Ledger(folder, accounts)
        self._server = HttpServer(self._answer)
        self._port = port
        self._authorization = f"Bearer {token}".encode()
        self._at_work: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.port}"

    async def __aenter__(self) -> Self:
        await self._ledger.open()
        await self._server.start(self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(GRACE_SECONDS)
        for task in self._at_work:  # whoever still waits in a slow answer
            task.cancel()
        if self._at_work:
            await asyncio.wait(self._at_work)
        await self._ledger.close()

    async def _answer(self, request: Request) -> Response:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  the server makes one for each request
        self._at_work.add(task)
        try:
            return await self._troubled(request)
        finally:
            self._at_work.discard(task)

    async def _troubled(self, request: Request) -> Response:
        path = request.target.partition("?")[0]
        if not hmac.compare_digest(request.headers.get("authorization", "").encode("latin-1"), self._authorization):
            return _problem(401, "unauthenticated", "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
        if path.startswith("/admin/"):
            return await self._administer(request, path)
        is_transfer = (request.method, path) == ("POST", "/v1/transfers")
        self.calls[f"{request.method} {_template(path)}"] += 1
        trouble = self.troubles.take(is_transfer=is_transfer)
        if (failed := await self._meet(trouble, "before")) is not None:
            return failed
        answer = await (self._transfer(request) if is_transfer else self._look_up(request.method, path))
        return await self._meet(trouble, "after") or answer

    async def _meet(self, trouble: Trouble, stage: Stage) -> Response | None:
        """Make the trouble of this stage; the answer to give because of it, if there is one."""
        if trouble.latency_ms and trouble.stage == stage:
            await asyncio.sleep(trouble.latency_ms / 1000)
        if trouble.drop == stage:
            self._cut()
            return Response(500, [], b"")  # nobody gets it
        if trouble.fail_status and trouble.stage == stage:
            wait = {"Retry-After": "1"} if trouble.fail_status in (429, 503) else {}
            # Only a 503 that says so proves that nothing was done: gateways answer 503 after the fact, too.
            nothing_done = {"nothing_done": True} if stage == "before" and trouble.fail_status == 503 else {}
            return _problem(trouble.fail_status, "trouble", "as it was told to", wait, **nothing_done)
        return None

    def _cut(self) -> None:
        """Drop the connection of the request at work."""
        task = asyncio.current_task()
        for connection in list(self._server.connections):
            if connection.task is task:
                connection.abort()

    async def _transfer(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        if not _KEY.fullmatch(key):
            return _problem(400, "idempotency_key_missing", "an Idempotency-Key of 1 to 255 visible ASCII characters")
        try:
            order = TransferOrder.model_validate_json(request.body)
        except ValidationError as invalid:
            return _invalid(invalid)
        try:
            made = await self._ledger.transfer(key, order)
        except KeyReusedError:
            return _problem(422, "idempotency_key_reused", "this key stands for another order")
        except RetryableError as failed:  # its transaction was not stored
            return _problem(503, failed.code, str(failed), {"Retry-After": "1"}, nothing_done=True)
        headers = {"Idempotent-Replayed": "true"} if made.replayed else {}
        if made.state == "refused":
            return _problem(REFUSAL_STATUS, made.code, made.detail, headers, **_key_and_id(made))
        return _json(201, _told(made), headers)

    async def _look_up(self, method: str, path: str) -> Response:
        if path == "/v1/transfers":
            return _problem(405, "method_not_allowed", "POST only", {"Allow": "POST"})
        kind, _, name = path.removeprefix("/v1/").rpartition("/")
        if kind not in ("transfers/by-key", "accounts") and path != "/v1/health":
            return _problem(404, "no_such_path", path)
        if method != "GET":
            return _problem(405, "method_not_allowed", "GET only", {"Allow": "GET"})
        if path == "/v1/health":
            return _json(200, {"status": "ok"})
        if kind == "accounts":
            account = self._ledger.account(unquote(name))
            return _problem(404, "account_unknown", "no such account") if account is None else _json(200, account)
        made = self._ledger.by_key(unquote(name))
        return _problem(404, "transfer_unknown", "this key was never seen") if made is None else _json(200, _told(made))

    async def _administer(self, request: Request, path: str) -> Response:
        try:
            match request.method, path.split("/")[2:]:
                case "GET", ["calls"]:
                    return _json(200, dict(self.calls))
                case "POST", ["trouble"]:
                    self.troubles.set(Trouble.model_validate_json(request.body))
                    return Response(204, [], b"")
                case "POST", ["accounts", name]:
                    status = _NewStatus.model_validate_json(request.body).status
                    if await self._ledger.set_status(unquote(name), status):
                        return Response(204, [], b"")
        except ValidationError as invalid:
            return _invalid(invalid)
        return _problem(404, "no_such_path", path)


def _template(path: str) -> str:
    """The path without the caller's own words: what calls are counted by."""
    for prefix, name in (("/v1/transfers/by-key/", "{key}"), ("/v1/accounts/", "{id}")):
        if path.startswith(prefix):
            return prefix + name
    return path if path in ("/v1/transfers", "/v1/health") else "elsewhere"


def _key_and_id(made: Transfer) -> dict[str, Any]:
    return {"idempotency_key": made.key, "transfer_id": made.transfer_id}


def _told(made: Transfer) -> dict[str, Any]:
    told: dict[str, Any] = {**_key_and_id(made), "state": made.state, **made.asked, "made_at": made.made_at}
    return told | ({"code": made.code, "detail": made.detail} if made.state == "refused" else {})


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, [("Content-Type", "application/json"), *(headers or {}).items()], json.dumps(body).encode())


def _problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """RFC 9457; `code` is what programs go by."""
    body = {"type": f"urn:sandbox-bank:{code}", "status": status, "code": code, "detail": detail, **members}
    told = [("Content-Type", "application/problem+json"), *(headers or {}).items()]
    return Response(status, told, json.dumps(body).encode())


def _invalid(invalid: ValidationError) -> Response:
    wrong = [{"pointer": "/" + "/".join(map(str, one["loc"])), "message": one["msg"]} for one in invalid.errors()[:20]]
    return _problem(400, "invalid_request", "the body is not what it should be", errors=wrong)


async def serve(bank: SandboxBank, *, until_stdin_closes: bool = False) -> None:
    """Until SIGINT or SIGTERM, or as `stop_with_stdin` says. One line on stdout says where."""
    stopping = asyncio.Event()
    if until_stdin_closes:
        stop_with_stdin(stopping)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with bank:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps({"url": bank.url}) + "\n")
            sys.stdout.flush()
        await stopping.wait()


def main() -> Literal[0]:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.sandbox_bank", description="A small bank with play money.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="folder of its data file")
    parser.add_argument("--accounts", default="[]", help="JSON list of {id, owner_name, currency, balance_minor}")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the process that started it ends")
    options = parser.parse_args()
    log.set_up()
    try:
        accounts = TypeAdapter(list[Account]).validate_json(options.accounts)
    except ValidationError as invalid:
        parser.error(f"--accounts: {invalid}")
    token = os.environ.get("SANDBOX_BANK_TOKEN") or DEFAULT_TOKEN
    bank = SandboxBank(options.data, accounts, port=options.port, token=token)
    asyncio.run(serve(bank, until_stdin_closes=options.until_stdin_closes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
