"""From the 202 to the decision, over real HTTP against `python -m local serve` in a process of its own, idle.

One transaction at a time is posted; the moment its decision is committed is seen by a second process, this one, which
looks into the store's file every fifth of a millisecond. Memory is what the kernel says of the serving
process and its worker processes, added up.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import ROOT, Measured, data_folder, memory_mb, percentile
from benchmarks.statements import rows
from shared.adapters.embedded.sqlite_file import connect

WARM_UP = 20
INGESTS = 200
UPLOAD = 2_000
LOOK_SECONDS = 0.0002
IDLE_SECONDS = 0.01
PATIENCE_SECONDS = 90.0
TENANT = "household"
HEADERS = {"Content-Type": "application/json", "X-Dev-Caller": f"alice; tenants={TENANT}; roles=member,reviewer"}
DECIDED = (
    "SELECT count(*) FROM documents WHERE partition = ? AND id = ?"
    " AND json_extract(body, '$.review_state') <> 'Unclassified'"
)
ALL_DECIDED = (
    "SELECT count(*) FROM documents WHERE partition = ? AND kind = 'transaction'"
    " AND json_extract(body, '$.review_state') <> 'Unclassified'"
)


Serving = tuple[int, http.client.HTTPConnection, http.client.HTTPConnection]


@contextmanager
def served(data: Path, **settings: str) -> Iterator[Serving]:
    """A local host on a free port: its process id, a connection to it, and one to its sandbox bank."""
    elsewhere = ("MODEL", "OPENAI_", "BANK_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(elsewhere)}
    environment |= {"AUTH_MODE": "dev", "COUNTERSIGN_DATA": str(data), **settings}
    command = [sys.executable, "-m", "local", "serve", "--port", "0", "--data", str(data)]
    host = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert host.stdout is not None
        line = host.stdout.readline()
        if not line:
            assert host.stderr is not None
            raise RuntimeError(f"the local host did not start: {host.stderr.read().decode()[-1000:]}")
        told = json.loads(line)
        yield host.pid, _connection(told["url"]), _connection(told["bank"])
    finally:
        host.send_signal(signal.SIGTERM)
        host.communicate(timeout=30)


def _connection(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)


def post(connection: http.client.HTTPConnection, transactions: list[dict[str, Any]]) -> None:
    """Ingest; anything but 202 is an error."""
    connection.request("POST", "/api/v1/transactions", json.dumps({"transactions": transactions}), HEADERS)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 202:
        raise RuntimeError(f"{answer.status}: {body[:500]!r}")


def wait_for(reader: Any, sql: str, parameters: tuple[str, ...], count: int) -> None:
    """Returns when the store shows `count`."""
    until = time.monotonic() + PATIENCE_SECONDS
    while reader.execute(sql, parameters).fetchone()[0] < count:
        if time.monotonic() > until:
            raise RuntimeError(f"after {PATIENCE_SECONDS:g} s not everything is decided")
        time.sleep(LOOK_SECONDS)


def serving_processes(host: int) -> list[int]:
    """The host and its worker processes."""
    children = Path(f"/proc/{host}/task/{host}/children").read_text(encoding="ascii").split()
    return [host, *(int(one) for one in children if b"worker_process" in Path(f"/proc/{one}/cmdline").read_bytes())]


def measured(**settings: str) -> Measured:
    """Everything, in a folder of its own; `settings` of the host."""
    answers, decisions = [], []
    with data_folder() as data, served(data, **settings) as (process, connection, _):
        statement = rows()
        reader = None
        for number, one in enumerate(islice(statement, WARM_UP + INGESTS)):
            began = time.perf_counter()
            post(connection, [one])
            answered = time.perf_counter()
            reader = reader or connect(data / "store.db", busy_seconds=5, writing=False)
            wait_for(reader, DECIDED, (TENANT, f"transaction:{one['transaction_id']}"), 1)
            if number >= WARM_UP:
                answers.append(answered - began)
                decisions.append(time.perf_counter() - answered)
            time.sleep(IDLE_SECONDS)
        idle_mb = sum(memory_mb(one, "VmRSS") for one in serving_processes(process))
        post(connection, list(islice(statement, UPLOAD)))
        assert reader is not None
        wait_for(reader, ALL_DECIDED, (TENANT,), WARM_UP + INGESTS + UPLOAD)
        peak_mb = sum(memory_mb(one, "VmHWM") for one in serving_processes(process))
        reader.close()
    return {
        "post_p50_ms": percentile(answers, 0.5) * 1e3,
        "post_p99_ms": percentile(answers, 0.99) * 1e3,
        "decided_p50_ms": percentile(decisions, 0.5) * 1e3,
        "decided_p99_ms": percentile(decisions, 0.99) * 1e3,
        "serving_mb": idle_mb,
        "peak_mb": peak_mb,
    }
