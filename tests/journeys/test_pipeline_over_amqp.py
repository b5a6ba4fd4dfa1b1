"""A pipeline outside, written with Microsoft's Service Bus SDK, and the local host: `make serve AMQP=1`."""

from __future__ import annotations

import json
import random
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusAuthorizationError

from shared.contracts.lanes import ACTIONS, DEAD_LETTER_SUFFIX, INGESTION, MESSAGES
from tests.bench import facts
from tests.conformance.service_bus import connection_string, needs_amqp
from tests.journeys.hostile import command
from tests.journeys.hosts import ROOT, SHORT_WAITS, LocalHost, dev, rows, wait_for
from tests.journeys.test_readme import block_after

pytestmark = needs_amqp

PRODUCERS = [
    {"name": "pipeline", "command_types": ["ClassifyTransaction", "IngestionCompleted"], "tenants": ["household"]}
]
AMQP = ("--amqp", "--amqp-port", "0")
SYSTEM = dev("olga", "system", "auditor,operator")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    folder = tmp_path_factory.mktemp("service-bus") / "data"
    with LocalHost(folder, arguments=AMQP, OUTSIDE_PRODUCERS=json.dumps(PRODUCERS)) as started:
        yield started


class CuttingGate(socketserver.ThreadingTCPServer):
    """Stands before `target` and resets its first connections in mid-send, each after some tens of kilobytes."""

    daemon_threads = True

    def __init__(self, target: int, *, times: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target, self.times, self.cuts, self.luck = target, times, 0, random.Random(7)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        gate: CuttingGate = self.server
        room = gate.luck.randrange(4_000, 60_000) if gate.cuts < gate.times else 10**12
        with socket.create_connection(("127.0.0.1", gate.target)) as there:
            answers = threading.Thread(target=_passed, args=(there, self.request), daemon=True)
            answers.start()
            if not _passed(self.request, there, room):
                gate.cuts += 1
                for end in (there, self.request):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RD)


def _passed(source: socket.socket, target: socket.socket, room: int = 10**12) -> bool:
    """Whether it ended before so many bytes had passed."""
    try:
        while room > 0 and (piece := source.recv(min(room, 4_096))):
            target.sendall(piece)
            room -= len(piece)
    except OSError:
        return True
    return room > 0


def client(host: LocalHost, **options: Any) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(connection_string(int(host.amqp.rpartition(":")[2])), **options)


def send(host: LocalHost, lane: str, envelopes: Sequence[dict[str, Any] | bytes]) -> None:
    """As a pipeline would: one batch, the tenant as session."""
    with client(host) as connected, connected.get_queue_sender(lane) as sender:
        sender.send_messages(
            [
                ServiceBusMessage(
                    one if isinstance(one, bytes) else json.dumps(one).encode(),
                    message_id=f"{lane}-{number}-{len(envelopes)}",
                    session_id=one["tenant"] if isinstance(one, dict) else "household",
                )
                for number, one in enumerate(envelopes)
            ]
        )


def batch(*ids: str) -> dict[str, Any]:
    return {"batch_id": "b-1", "source": "nightly", "transactions": [facts(one) for one in ids]}


def test_what_a_pipeline_has_finished_is_decided(host: LocalHost):
    told = command(1, command_type="IngestionCompleted", payload=batch(*(f"p-{n}" for n in range(20))))
    send(host, INGESTION.queue, [told])
    assert sum(host.settled(20).values()) == 20
    send(host, INGESTION.queue, [told, told, told])  # the same again, under other message ids
    wait_for(lambda: host.on_lanes() == 0, "an empty lane")
    assert sum(host.settled(20).values()) == 20
    host.verified()


def test_the_commands_of_the_readme_do_what_it_says(host: LocalHost):
    script = block_after("<!-- over AMQP").replace("127.0.0.1:7071", host.address).replace("sleep 2", "")
    script = script.replace("sb://localhost;", f"{host.amqp};").replace(".venv/bin/python", sys.executable)
    sent, _, look = script.rpartition("curl")
    subprocess.run(["bash", "-e"], input=sent, cwd=ROOT, text=True, timeout=30, check=True)

    def state() -> str:
        shown = subprocess.run(["bash"], input=f"curl{look}", text=True, timeout=30, check=True, capture_output=True)
        return json.loads(shown.stdout).get("review_state", "")

    assert wait_for(state, "the transaction") in {"Unclassified", "Categorized"}
    wait_for(lambda: state() == "Categorized", "its decision")


def test_whoever_connects_may_do_what_is_listed_and_all_else_is_parked(host: LocalHost):
    forged = [
        command(2, producer="countersign"),
        command(3, producer="stranger"),
        command(4, tenant="elsewhere"),
        command(5, command_type="SweepTenant", payload={"reason": "nightly"}),
    ]
    send(host, INGESTION.queue, [*forged, b"no envelope"])
    send(
        host,
        ACTIONS.queue,
        [command(6, producer="countersign", command_type="PerformAction", payload={"action_id": "a"})],
    )
    send(host, MESSAGES.queue, [command(7, command_type="AgentApprovalSubmitted", payload={"approval_id": "a"})])
    wait_for(lambda: host.on_lanes() == 0, "an empty lane")
    parked = wait_for(lambda: host.items("/api/v1/parked", as_=SYSTEM), "parked commands")
    wait_for(lambda: len(host.items("/api/v1/parked", as_=SYSTEM)) >= 7, f"seven of them, not {parked}")
    reasons = {one["reason"] for one in host.items("/api/v1/parked", as_=SYSTEM)}
    assert reasons == {"unauthenticated_command", "malformed_envelope"}
    assert host.counted(as_=dev(tenant="elsewhere")) == {}


@pytest.mark.parametrize("queue", [INGESTION.queue, INGESTION.queue + DEAD_LETTER_SUFFIX])
def test_nobody_takes_messages_from_the_app(host: LocalHost, queue: str):
    session = {} if queue.endswith(DEAD_LETTER_SUFFIX) else {"session_id": "household"}
    with (
        client(host, retry_total=0) as connected,
        connected.get_queue_receiver(queue, **session) as receiver,
        pytest.raises(ServiceBusAuthorizationError, match="--amqp-receive"),
    ):
        receiver.receive_messages(max_wait_time=2)


def test_the_app_itself_sends_through_service_bus_and_every_transaction_is_decided(tmp_path_factory: Any):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--amqp", "--amqp-port", str(port))
    folder = tmp_path_factory.mktemp("own-bus") / "data"
    with LocalHost(folder, arguments=arguments, SERVICEBUS_CONNECTION=connection_string(port)) as own:
        assert own.get("/api/ready")["ready"] is True
        for upload in range(3):
            assert own.upload(rows(*(f"t-{upload}-{n}" for n in range(60)))).status == 202
        assert sum(own.settled(180).values()) == 180
        assert own.get("/api/ready")["checks"]["bus"] == "ok"
        own.verified()
        assert own.stop() == 0


def test_with_links_that_break_in_mid_send_nothing_is_lost_or_done_twice(tmp_path_factory: Any):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder, arguments = tmp_path_factory.mktemp("cut-bus") / "data", ("--amqp", "--amqp-port", str(port))
    with CuttingGate(port, times=3) as gate:
        named = connection_string(gate.server_address[1])
        with LocalHost(folder, before=SHORT_WAITS, arguments=arguments, SERVICEBUS_CONNECTION=named) as own:
            for upload in range(4):
                assert own.upload(rows(*(f"t-{upload}-{n}" for n in range(60)))).status == 202
            own.settled(240, seconds=60)
            wait_for(lambda: own.on_lanes() == 0, "an empty lane")
            own.verified()
            assert {one["decision_version"] for one in own.items("/api/v1/transactions")} == {1}
            assert own.items("/api/v1/parked") == []
        gate.shutdown()
    assert gate.cuts == 3
