"""What the local host costs: microseconds per invocation, messages per second through a function that does nothing.

    python benchmarks/local_host.py [--sessions 32] [--messages 4000]

For syncs per message: `strace -f -c -e trace=fsync,fdatasync python benchmarks/local_host.py --only lanes ...`.
"""

# ruff: noqa: SLF001, ASYNC110 - a benchmark looks inside, and adds no hooks to what it measures
from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
APP = ROOT / "tests" / "local_app"

from local.host import Host  # noqa: E402
from shared.adapters.embedded.command_bus import SqliteCommandBus  # noqa: E402
from shared.adapters.embedded.lanes import SqliteLanes  # noqa: E402
from shared.contracts.lanes import Lane  # noqa: E402
from shared.ports.command_bus import OutgoingMessage  # noqa: E402

LANES = {
    "orders": Lane("orders", sessions=True),
    "poison": Lane("poison", sessions=False),
    "noop": Lane("noop", sessions=True),
}
BODY = b'{"padding":"' + b"x" * 1000 + b'"}'


async def http(host: Host, requests: int) -> float:
    """Microseconds per request over one kept-alive connection, client included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    payload = b"POST /api/echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    began = time.perf_counter()
    for _ in range(requests):
        writer.write(payload)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
    elapsed = time.perf_counter() - began
    writer.close()
    return elapsed / requests * 1e6


async def lanes_closed_loop(host: Host, bus: SqliteCommandBus, in_flight: int, messages: int) -> float:
    """Messages per second when each of `in_flight` senders (a session each) waits for its message to be handled."""
    handled: dict[str, asyncio.Event] = {}
    receiver = host._receiver
    complete = receiver.complete

    def completed(received):  # type: ignore[no-untyped-def]
        handled[received.message.session_id].set()
        return complete(received)

    receiver.complete = completed

    async def sender(number: int) -> None:
        session = f"s{number}"
        for index in range(messages // in_flight):
            handled[session] = asyncio.Event()
            await bus.send([OutgoingMessage("noop", BODY, f"{in_flight}-{number}-{index}", session)])
            await handled[session].wait()

    began = time.perf_counter()
    await asyncio.gather(*(sender(number) for number in range(in_flight)))
    elapsed = time.perf_counter() - began
    receiver.complete = complete
    return messages / elapsed


async def lanes_backlog(host: Host, bus: SqliteCommandBus, messages: int) -> float:
    """Messages per second out of a backlog over 32 sessions."""
    queue = host._receiver.queue("noop")
    pump = next(p for p in host._pumps if p._queue == "noop")
    wake, pump.wake = pump.wake, lambda: None
    host._receiver.on_ready("noop", pump.wake)
    for start in range(0, messages, 100):
        await bus.send([OutgoingMessage("noop", BODY, f"b{n}", f"s{n % 32}") for n in range(start, start + 100)])
    host._receiver.on_ready("noop", wake)
    began = time.perf_counter()
    pump.wake = wake
    wake()
    while queue.ready or queue.locked:
        await asyncio.sleep(0.001)
    return messages / (time.perf_counter() - began)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, nargs="*", default=[1, 32])
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--only", choices=["http", "lanes", "backlog"])
    options = parser.parse_args()
    os.environ.setdefault("ORDERS_QUEUE", "orders")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        lanes = SqliteLanes(Path(folder) / "lanes.db", lanes=LANES)
        host = Host(APP, Path(folder), 0, lanes=lanes)
        await host.start()
        bus = SqliteCommandBus(lanes)
        if options.only in (None, "http"):
            print(f"http: {await http(host, 5000):.0f} µs per request, client included")
        if options.only in (None, "lanes"):
            for sessions in options.sessions:
                rate = await lanes_closed_loop(host, bus, sessions, options.messages)
                print(f"lanes, {sessions} in flight: {rate:.0f} messages/s")
        if options.only in (None, "backlog"):
            print(f"lanes, backlog over 32 sessions: {await lanes_backlog(host, bus, options.messages):.0f} messages/s")
        await host.stop()
        await lanes.close()
        print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    asyncio.run(main())
