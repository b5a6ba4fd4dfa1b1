"""A turn that is told while it happens. It runs in a task of its own: whoever listens may leave, the turn is finished
and stored all the same."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from shared.errors import RetryableError

TURN_SECONDS = 120.0
"""After that the listener is sent away; the turn goes on, and its reply will be in the conversation."""
HEARTBEAT_SECONDS = 15.0

type Event = dict[str, Any]
type Said = Callable[[str], Awaitable[None]]
type Happened = Callable[[Event], Awaitable[None]]
type Work = Callable[[Said, Happened], Awaitable[dict[str, Any]]]


class Words(NamedTuple):
    """Words of the reply as they come."""

    text: str


class Told(NamedTuple):
    """An AG-UI event of the turn."""

    event: Event


class Ended(NamedTuple):
    """The turn's answer, or why there is none."""

    answer: dict[str, Any]
    failed: Exception | None = None


type Piece = Words | Told | Ended

_running: set[asyncio.Task[None]] = set()
"""The loop itself does not keep its tasks."""


class Turn:
    """Begins at once. `pieces` may be read by one listener, once."""

    def __init__(self, work: Work) -> None:
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue()  # as long as one turn's reply is
        self._ends_at = time.monotonic() + TURN_SECONDS
        task = asyncio.get_running_loop().create_task(self._run(work))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _run(self, work: Work) -> None:
        async def said(text: str) -> None:
            if text:
                self._pieces.put_nowait(Words(text))

        async def happened(event: Event) -> None:
            self._pieces.put_nowait(Told(event))

        try:
            ended = Ended(await work(said, happened))
        except Exception as failed:  # noqa: BLE001 whoever listens is told, and logs what is not ours
            ended = Ended({}, failed)
        self._pieces.put_nowait(ended)

    async def pieces(self) -> AsyncIterator[Piece | None]:
        """Each piece as it comes, the last is `Ended`; None after a while without one."""
        while True:
            left = self._ends_at - time.monotonic()
            if left <= 0:
                yield Ended(
                    {}, RetryableError("the reply takes long; it will be in the conversation", code="turn_late")
                )
                return
            try:
                async with asyncio.timeout(min(left, HEARTBEAT_SECONDS)):
                    piece = await self._pieces.get()
            except TimeoutError:
                yield None
                continue
            yield piece
            if isinstance(piece, Ended):
                return
