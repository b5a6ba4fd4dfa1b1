"""What Azure Monitor is sent, by its own distro as the worker switches it on, with the settings that are deployed."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.bench import facts
from tests.journeys.hosts import ROOT, LocalHost, dev, wait_for

MAIN = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
(OFF,) = re.findall(r"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: '([^']+)'", MAIN)
IBAN = "DE89370400440532013000"
BOB = dev("bob", roles="reviewer")


class _Ingestion(BaseHTTPRequestHandler):
    """Takes everything, as the service does."""

    taken: list[dict[str, Any]]

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        told = json.loads(gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw)
        self.taken += told if isinstance(told, list) else [told]
        number = len(told) if isinstance(told, list) else 1
        answer = json.dumps({"itemsReceived": number, "itemsAccepted": number, "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *about: Any) -> None:
        """Nobody reads it."""


@contextmanager
def ingestion() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A connection string, and what comes in under it."""
    taken: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Taking", (_Ingestion,), {"taken": taken}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    where = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield (
            f"InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint={where};LiveEndpoint={where}",
            taken,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """After a statement, a question and a transfer."""
    settings = {
        "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": OFF,
        "COUNTERSIGN_LOG_LEVEL": "INFO", "OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200", "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    }  # fmt: skip
    with ingestion() as (connection, taken):
        settings["APPLICATIONINSIGHTS_CONNECTION_STRING"] = connection
        with LocalHost(tmp_path_factory.mktemp("monitor") / "data", **settings) as host:
            row = facts("t-1", descriptor="MARIE CURIE SURGERY", account=IBAN)
            assert host.upload({"transactions": [row]}).status == 202
            host.settled(1)
            talk = "/api/v1/agent/conversations/c-1"
            wish = {"message": "Transfer 250 euros from acc-current to Anna"}
            assert host.call("POST", f"{talk}/messages", wish).status == 202
            (card_id,) = wait_for(lambda: host.get(talk)["open_approvals"], "the card")
            digest = host.get(f"/api/v1/approvals/{card_id}", as_=BOB)["card_digest"]
            signed = {"decision": "approve", "card_digest": digest}
            assert host.call("POST", f"/api/v1/approvals/{card_id}/answer", signed, as_=BOB).status == 200
            wait_for(lambda: host.get(f"/api/v1/actions/{card_id}")["state"] == "done", "the money")
            wait_for(lambda: "PerformAction" in names(taken, "RequestData"), "the last command")
            host.stop()
        return list(taken)


def names(sent: list[dict[str, Any]], kind: str) -> set[str]:
    return {one["data"]["baseData"].get("name", "") for one in of(sent, kind)}


def of(sent: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """What is live alone (`Documents` of Live Metrics) is of no kind."""
    return [one for one in list(sent) if one.get("data", {}).get("baseType") == kind]


def test_commands_are_requests_and_what_they_ask_for_is_a_dependency(sent: list[dict[str, Any]]):
    assert {"ClassifyTransaction", "AgentMessagePosted", "RequestAction", "PerformAction"} <= names(sent, "RequestData")
    assert {"store commit", "bus send", "bank perform", "stage guard"} <= names(sent, "RemoteDependencyData")


def test_a_log_line_arrives_as_it_was_written_under_the_trace_of_its_command(sent: list[dict[str, Any]]):
    (line,) = [one for one in of(sent, "MessageData") if "handled PerformAction" in one["data"]["baseData"]["message"]]
    (command,) = [one for one in of(sent, "RequestData") if one["data"]["baseData"]["name"] == "PerformAction"]
    assert line["tags"]["ai.operation.id"] == command["tags"]["ai.operation.id"]


@pytest.mark.parametrize("word", ["curie", IBAN.lower(), "acc-current", "anna", "/v1/accounts"])
def test_nothing_that_is_sent_holds(sent: list[dict[str, Any]], word: str):
    assert [one for one in sent if word in json.dumps(one).lower()] == []
