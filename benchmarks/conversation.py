"""A conversation over real HTTP, against `python -m local serve` in a process of its own, idle, without a model.

From posting a message to the first event of its answer on the stream, and to the last; and from posting a signature to
the bank having moved the money, as the bank itself shows it (it is asked about every millisecond).
"""

from __future__ import annotations

import http.client
import json
import time
from itertools import islice
from typing import Any

from benchmarks.latency import HEADERS, served
from benchmarks.measure import Measured, data_folder, percentile
from benchmarks.statements import rows
from local.sandbox_bank import DEFAULT_TOKEN

STATEMENT = 200
WARM_UP = 5
ROUNDS = 60
PATIENCE_SECONDS = 20.0
QUESTION = {"message": "How much did I spend on groceries this year?"}
WISH = {"message": "Transfer 1 euro from acc-current to Anna"}
SIGNER = {**HEADERS, "X-Dev-Caller": "bob; tenants=household; roles=reviewer"}


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, headers: dict[str, str] = HEADERS
) -> Any:
    """The JSON of a 2xx; anything else is an error."""
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status}: {content[:500]!r}")
    return json.loads(content)


def answered(connection: http.client.HTTPConnection, number: int) -> tuple[float, float]:
    """Seconds from the post to the first and to the last event of the answer."""
    path = f"/api/v1/agent/conversations/bench-{number}"
    began = time.perf_counter()
    posted = call(connection, "POST", f"{path}/messages", QUESTION)
    last, first_at = posted["last_event_id"], 0.0
    while time.perf_counter() - began < PATIENCE_SECONDS:
        connection.request("GET", f"{path}/stream?last_event_id={last}", headers=HEADERS)
        answer = connection.getresponse()
        for line in answer.read().decode().splitlines():
            if line.startswith("id:"):
                last = int(line[3:])
                first_at = first_at or time.perf_counter()
            if line.startswith("data:") and json.loads(line[5:])["type"] == "RUN_FINISHED":
                return first_at - began, time.perf_counter() - began
    raise RuntimeError("the answer did not come to an end")


def paid(connection: http.client.HTTPConnection, bank: http.client.HTTPConnection, number: int) -> float:
    """Seconds from the signature to the money at the bank."""
    path = f"/api/v1/agent/conversations/pay-{number}"
    call(connection, "POST", f"{path}/messages", WISH)
    until = time.perf_counter() + PATIENCE_SECONDS
    while not (waiting := call(connection, "GET", path)["open_approvals"]):
        if time.perf_counter() > until:
            raise RuntimeError("no card")
        time.sleep(0.002)
    card = call(connection, "GET", f"/api/v1/approvals/{waiting[0]}", headers=SIGNER)
    before = _held(bank)
    began = time.perf_counter()
    body = {"decision": "approve", "card_digest": card["card_digest"]}
    call(connection, "POST", f"/api/v1/approvals/{waiting[0]}/answer", body, headers=SIGNER)
    while _held(bank) == before:
        if time.perf_counter() > until:
            raise RuntimeError("no money")
        time.sleep(0.001)
    return time.perf_counter() - began


def _held(bank: http.client.HTTPConnection) -> int:
    told = call(bank, "GET", "/v1/accounts/Anna", headers={"Authorization": f"Bearer {DEFAULT_TOKEN}"})
    return int(told["balance_minor"])


def measured() -> Measured:
    """Everything, in a folder of its own."""
    with data_folder() as data, served(data) as (_, connection, bank):
        call(connection, "POST", "/api/v1/transactions", {"transactions": list(islice(rows(), STATEMENT))})
        time.sleep(1)
        answers = [answered(connection, number) for number in range(WARM_UP + ROUNDS)][WARM_UP:]
        payments = [paid(connection, bank, number) for number in range(WARM_UP + ROUNDS)][WARM_UP:]
    firsts, lasts = [first for first, _ in answers], [last for _, last in answers]
    return {
        f"{name}_{share}_ms": percentile(seconds, int(share[1:]) / 100) * 1e3
        for name, seconds in (("first_event", firsts), ("whole_answer", lasts), ("effect", payments))
        for share in ("p50", "p99")
    }


if __name__ == "__main__":
    print(json.dumps(measured(), indent=1))
