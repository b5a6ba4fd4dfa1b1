"""Pumps: from a queue to its Service Bus function, with the concurrency that `host.json` allows.

Woken when something arrives, never polling. Success completes the message; an exception gives it back at once, as the
platform does, until its last delivery, then it is dead-lettered. One difference from Azure: a session without ready
messages gives its slot back at once (there it is held for `sessionIdleTimeout`, and other sessions wait).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from local.host_json import ServiceBusOptions
from local.runtime import Function, new_invocation_id
from local.workers import Invoker
from shared.adapters.embedded.lane_queue import Holder
from shared.adapters.embedded.lane_receiver import LaneReceiver, Received
from shared.contracts.lanes import DEAD_LETTER_SUFFIX
from shared.errors import ConfigurationError

logger = logging.getLogger("countersign.local.service_bus")

TURN = 64
"""Messages of one session in a row, while others wait for a slot."""
_DEAD_LETTER_WAIT_SECONDS = (0.1, 30.0)


class Pump:
    """One function's deliveries. `wake` may be called at any time, from the event loop."""

    def __init__(
        self,
        *,
        runtime: Invoker,
        function: Function,
        receiver: LaneReceiver,
        options: ServiceBusOptions,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._function = function
        self._receiver = receiver
        self._queue = str(function.binding["queueName"])
        if not receiver.lists(self._queue):
            raise ConfigurationError(f"function {function.name}: queue {self._queue} is not in contracts/lanes.py")
        working = receiver.queue(self._queue)
        self._sessions = working.sessions
        if bool(function.binding.get("isSessionsEnabled")) is not self._sessions:
            needed = "needs" if self._sessions else "does not have"
            raise ConfigurationError(f"function {function.name}: queue {self._queue} {needed} sessions")
        self._slots = options.max_concurrent_sessions if self._sessions else options.max_concurrent_calls
        self._monotonic = monotonic
        self._renew_for = options.max_auto_lock_renewal_seconds
        self._backing_off = self._queue.endswith(DEAD_LETTER_SUFFIX)
        self._active: dict[int, tuple[Received, float]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        receiver.on_ready(self._queue, self.wake)

    def wake(self) -> None:
        """Start as many workers as there is work and room for."""
        working = self._receiver.queue(self._queue)
        wanted = self._slots - len(self._workers)
        while wanted > 0 and not self._stopping.is_set():
            if self._sessions:
                holder = self._receiver.accept_session(self._queue)
                if holder is None:
                    return
                self._start(holder)
            elif working.ready > len(self._workers) - len(self._active):  # a worker not yet active will take one
                self._start(None)
            else:
                return
            wanted -= 1

    def renew_locks(self) -> None:
        """Called every few seconds: locks of running invocations are renewed for as long as host.json says."""
        now = self._monotonic()
        for received, since in self._active.values():
            if now - since < self._renew_for:
                self._receiver.renew(received)

    async def stop(self) -> None:
        """Take nothing more; returns when what is running has ended (cancel to cut it short: it comes again)."""
        self._stopping.set()
        if self._workers:
            await asyncio.wait(self._workers)

    def cancel(self) -> None:
        """Cut short what runs. Its messages were not completed: they are delivered again."""
        for worker in self._workers:
            worker.cancel()

    def _start(self, holder: Holder | None) -> None:
        worker = asyncio.get_running_loop().create_task(self._work(holder))
        self._workers.add(worker)
        worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            logger.error("the pump of %s failed", self._function.name, exc_info=error)
        self.wake()

    async def _work(self, holder: Holder | None) -> None:
        queue, receiver = self._queue, self._receiver
        turn = TURN
        try:
            received = receiver.receive(queue, holder)
            while received is not None:
                self._active[received.lock.token] = (received, self._monotonic())
                # Lets others run, and lets "complete the last" and "lock the next" go to the writer as one job.
                await asyncio.sleep(0)
                await self._deliver(received)
                turn -= 1
                crowded = turn <= 0 and holder is not None and receiver.queue(queue).waiting
                received = None if crowded or self._stopping.is_set() else receiver.receive(queue, holder)
        finally:
            if holder is not None:
                receiver.release_session(queue, holder)

    async def _deliver(self, received: Received) -> None:
        try:
            outcome = await self._runtime.service_bus(
                self._function,
                new_invocation_id(),
                received.message.body,
                fields_of(received),
                received.message.properties,
            )
            if outcome.ok:
                settled = self._receiver.complete(received)
            else:
                if self._backing_off:
                    await self._back_off(received.lock.delivery_count)
                settled = self._receiver.abandon(received, reason=outcome.error)
            if not settled:
                logger.warning("%s: the lock of a message was lost; it comes again", self._function.name)
        finally:
            del self._active[received.lock.token]

    async def _back_off(self, delivery_count: int) -> None:
        """A dead-letter queue has no last delivery: redelivering at once, for ever, would burn a core."""
        first, longest = _DEAD_LETTER_WAIT_SECONDS
        delay = min(longest, first * 2 ** min(delivery_count - 1, 20))
        try:
            await asyncio.wait_for(self._stopping.wait(), delay)
        except TimeoutError:
            return


def fields_of(received: Received) -> dict[str, str | int]:
    """The trigger metadata that the platform's extension sends; fields a message does not have are left out."""
    message, lock = received.message, received.lock
    fields: dict[str, str | int] = {
        "MessageId": message.message_id,
        "DeliveryCount": lock.delivery_count,
        "SequenceNumber": lock.sequence,
        "EnqueuedTimeUtc": _second(int(received.enqueued_at)),
        "LockToken": f"{lock.token:08x}-0000-4000-8000-{lock.sequence:012x}",
    }
    if message.session_id:
        fields["SessionId"] = fields["PartitionKey"] = message.session_id
    if message.correlation_id:
        fields["CorrelationId"] = message.correlation_id
    if message.subject:
        fields["Subject"] = fields["Label"] = message.subject
    if received.dead_reason:
        fields["DeadLetterReason"] = received.dead_reason
        fields["DeadLetterErrorDescription"] = received.dead_description
        fields["DeadLetterSource"] = received.queue.removesuffix(DEAD_LETTER_SUFFIX)
    return fields


@functools.lru_cache(maxsize=64)
def _second(at: int) -> str:
    """Whole seconds, in the first of the forms that Microsoft's decoding tries: any other costs it a multiple."""
    return datetime.fromtimestamp(at, UTC).isoformat()
