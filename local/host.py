"""The local host: one process that runs the function app, its queues, its events and its timers, without Azure.

`Host(...).start()`, then `stop()`. What is wrong with the surroundings (another host on the folder, a busy port, a bad
`host.json`, an app that cannot be indexed) is a `ConfigurationError` whose message is one clear line.
"""

from __future__ import annotations

import asyncio
import errno
import importlib
import importlib.util
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from functions.readiness import BESIDE
from local import host_json
from local.event_grid import EventGrid, retry_scale
from local.http_app import HttpApp
from local.http_server import HttpServer
from local.own_bank import close_bank, open_bank
from local.runtime import Function, Runtime
from local.sandbox_bank import SandboxBank
from local.service_bus import Pump
from local.stream_child import SCRIPT, StreamChild
from local.stream_proxy import StreamProxy
from local.surroundings import lock_folder, read_settings, worker_count
from local.timers import Timers
from local.workers import Invoker, Workers
from shared.adapters.embedded.lane_receiver import LaneReceiver
from shared.adapters.embedded.lanes import SqliteLanes
from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from local.amqp import AmqpListener

logger = logging.getLogger("countersign.local.host")

DEFAULT_PORT = 7071
GRACE_SECONDS = 10.0
TICK_SECONDS = 0.1
"""How soon due messages, retries, timers and other processes' messages are noticed; nothing in this process waits."""
RENEW_SECONDS = 5.0


class Host:
    """`lanes`: the app's own, when the caller has built them; else `shared.bootstrap` is asked, and shut down at the
    end. `port` 0 takes a free one, found in `port` after `start`. `amqp_port`: as `port`, None for no AMQP;
    `amqp_receive`: whether AMQP clients may take messages from the lanes."""

    def __init__(
        self,
        app_dir: Path,
        data_dir: Path,
        port: int = DEFAULT_PORT,
        *,
        lanes: SqliteLanes | None = None,
        amqp_port: int | None = None,
        amqp_receive: bool = False,
    ) -> None:
        self.app_dir = app_dir.resolve()
        self.data_dir = data_dir.resolve()
        self.port = port
        self.amqp_port = amqp_port
        self._amqp_receive = amqp_receive
        self.functions = 0
        self._lanes = lanes
        self._close_app: Callable[[], Awaitable[Any]] | None = None
        self._lock: IO[str] | None = None
        self._server: HttpServer | None = None
        self._receiver: LaneReceiver | None = None
        self._pumps: list[Pump] = []
        self._amqp: AmqpListener | None = None
        self._events: EventGrid | None = None
        self._timers: Timers | None = None
        self._stream: StreamChild | None = None
        self._workers: Workers | None = None
        self._bank: SandboxBank | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._fired: set[asyncio.Task[None]] = set()

    @property
    def bank_url(self) -> str:
        """Of the sandbox bank that was opened for want of another, "" for none."""
        return self._bank.url if self._bank is not None else ""

    async def start(self) -> None:
        """Index the app, then serve. On `ConfigurationError` nothing is left running."""
        started = False
        try:
            await self._start()
            started = True
        finally:
            if not started:
                await self.stop(grace_seconds=0)

    async def _start(self) -> None:
        if self.amqp_port is not None:
            _check_amqp()
        self._lock = lock_folder(self.data_dir)
        read_settings(self.app_dir / "local.settings.json", self.data_dir)
        options = host_json.read(self.app_dir / "host.json")
        runtime = await Runtime.start(self.app_dir, timeout_seconds=options.function_timeout_seconds)
        if runtime.web_server:
            raise ConfigurationError(
                f"the app imports the HTTP v2 extension: put that into {SCRIPT}, which the local host serves beside it"
            )
        self.functions = len(runtime.functions)
        lanes = self._lanes or await self._app_lanes()
        receiver = self._receiver = LaneReceiver(lanes)
        workers = self._workers = Workers(runtime, worker_count(), app_dir=self.app_dir, on_sent=self._look)
        self._pumps = _pumps(workers, receiver, options.service_bus)
        self._timers = Timers(runtime=runtime, lanes=lanes)
        self._events = EventGrid(
            runtime=workers, lanes=lanes, dead_letters=self.data_dir / "event-dead-letters.jsonl", scale=retry_scale()
        )
        if (self.app_dir / SCRIPT).is_file():
            self._stream = StreamChild(
                self.app_dir, route_prefix=options.route_prefix, timeout_seconds=options.function_timeout_seconds
            )
        app = HttpApp(
            runtime=runtime,
            route_prefix=options.route_prefix,
            run=lambda f, given: self._fire(runtime, f, given),
            stream=StreamProxy(self._stream) if self._stream is not None else None,
        )
        self._server = HttpServer(app.handle)
        await self._listen(self._server)
        await workers.start(timeout_seconds=options.function_timeout_seconds)
        receiver.load()
        await self._listen_for_amqp(lanes, receiver)
        self._events.start()
        await self._timers.start()
        self._ticker = asyncio.get_running_loop().create_task(self._tick())
        if self._stream is not None:
            self._stream.start()
            BESIDE["stream"] = self._stream.health

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Accept nothing more, let what runs end within the grace, cut the rest, close the app's resources."""
        if self._ticker is not None:
            self._ticker.cancel()
        workers = [w for w in (self._amqp, *self._pumps, self._events, self._timers) if w is not None]
        ends = [asyncio.ensure_future(worker.stop()) for worker in workers]
        if self._server is not None:
            ends.append(asyncio.ensure_future(self._server.stop(grace_seconds)))
        ends += self._fired
        if ends:
            _, late = await asyncio.wait(ends, timeout=grace_seconds)
            if late:
                logger.warning("some functions did not end within %g s and were cut short", grace_seconds)
                for worker in workers:
                    worker.cancel()
                await asyncio.wait(late, timeout=1)
        await self._close()

    async def _close(self) -> None:
        """What the functions worked with, once none of them runs."""
        if self._workers is not None:
            await self._workers.stop()
        if self._stream is not None:
            BESIDE.clear()
            await self._stream.stop()
        if self._receiver is not None:
            await self._receiver.close()
        if self._events is not None:
            self._events.close()
        if self._close_app is not None:
            await self._close_app()
        if self._bank is not None:
            await close_bank(self._bank)
        if self._lock is not None:
            self._lock.close()

    async def _app_lanes(self) -> SqliteLanes:
        """The lanes that the app itself sends through: both sides of one process share them."""
        self._bank = await open_bank(self.data_dir)
        bootstrap = importlib.import_module("shared.bootstrap")
        self._close_app = bootstrap.shutdown
        bootstrap.delivery()  # a wrong policy or setting is one clear line now, not an error at every call
        lanes: SqliteLanes = bootstrap.lanes()
        return lanes

    async def _listen(self, server: HttpServer) -> None:
        try:
            await server.start(self.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigurationError(
                    f"port {self.port} is taken by another program: choose another with --port"
                ) from None
            raise ConfigurationError(f"port {self.port} cannot be used: {error.strerror}") from error
        self.port = server.port

    async def _listen_for_amqp(self, lanes: SqliteLanes, receiver: LaneReceiver) -> None:
        if self.amqp_port is None:
            return
        from local.amqp import AmqpListener

        self._amqp = AmqpListener(lanes=lanes, receiver=receiver, port=self.amqp_port, receive=self._amqp_receive)
        await self._amqp.start()
        self.amqp_port = self._amqp.port

    async def _tick(self) -> None:
        """The one clock of the host. A tick that fails is logged and tried again: it must not end."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                if time.monotonic() - renewed > RENEW_SECONDS:
                    renewed = time.monotonic()
                    for pump in self._pumps:
                        pump.renew_locks()
                for worker in (self._receiver, self._amqp, self._events, self._timers, self._workers):
                    if worker is not None:
                        worker.tick()
            except Exception:
                logger.exception("a tick of the host failed")

    def _look(self) -> None:
        """A worker process has sent or published something."""
        if self._receiver is not None and self._events is not None:
            self._receiver.look()
            self._events.tick()

    def _fire(self, runtime: Runtime, function: Function, given: str) -> None:
        """`POST /admin/functions/{name}`: in the background, as the real host does."""
        if function.kind == "timer" and self._timers is not None:
            self._timers.fire(function.name)
            return
        task = asyncio.get_running_loop().create_task(self._invoke(runtime, function, given))
        self._fired.add(task)
        task.add_done_callback(self._fired.discard)

    @staticmethod
    async def _invoke(runtime: Runtime, function: Function, given: str) -> None:
        call = str(uuid4())
        if function.kind == "event_grid":
            outcome = await runtime.event_grid(function, call, given)
        else:
            fields: dict[str, str | int] = {"MessageId": call, "DeliveryCount": 1, "SequenceNumber": 0}
            outcome = await runtime.service_bus(function, call, given.encode(), fields, "")
        if not outcome.ok:
            logger.error("function %s failed: %s", function.name, outcome.error)


def _check_amqp() -> None:
    if importlib.util.find_spec("proton") is None:
        raise ConfigurationError(
            "AMQP needs the package python-qpid-proton: `make serve AMQP=1` installs it (with a C compiler)"
        )


def _pumps(runtime: Invoker, receiver: LaneReceiver, options: host_json.ServiceBusOptions) -> list[Pump]:
    functions = runtime.of_kind("service_bus")
    queues = [str(function.binding["queueName"]) for function in functions]
    if twice := {queue for queue in queues if queues.count(queue) > 1}:
        raise ConfigurationError(f"two functions read queue {min(twice)}: each would miss the other's messages")
    return [Pump(runtime=runtime, function=one, receiver=receiver, options=options) for one in functions]
