"""The checkpoint log: heads of audit chains, kept outside the document store.

Promise: append-only. What `append` returned for stays readable in the order of appending, survives a crash, and
cannot be changed through this port. A store rebuilt or truncated by someone who holds only the store no longer
agrees with it. Unreachable: `RetryableError`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Checkpoint(NamedTuple):
    """The head of `partition`'s chain as it was `at` (UTC instant as text): record `sequence` had hash `hash`."""

    partition: str
    sequence: int
    hash: str
    at: str


class CheckpointLog(Protocol):
    """See the module docstring for the promises."""

    async def append(self, checkpoint: Checkpoint) -> None: ...

    async def latest(self, partition: str) -> Checkpoint | None: ...

    async def all(self, partition: str, *, limit: int = 1000) -> list[Checkpoint]:
        """The newest `limit` checkpoints of a partition, oldest first."""
        ...

    async def close(self) -> None: ...
