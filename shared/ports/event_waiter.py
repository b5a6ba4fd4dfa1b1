"""Waiting for something new in a conversation, without holding anything: what every adapter promises.

* **wait** returns when the conversation's `last_sequence` may have grown beyond `after`, or when `seconds` are over,
  whichever is first. It may return early for nothing; it never returns late by more than two seconds.
* It never raises for a store that cannot be reached: it waits its time, and the caller's own read tells the truth.
* Embedded: a commit wakes it at once, also one of another process on the same file. Azure: another instance does the
  work, so it point-reads `conversation:{id}` at 0.25 s growing to 2 s, at most 20 reads.
"""

from __future__ import annotations

from typing import Protocol


class EventWaiter(Protocol):
    """See the module docstring."""

    async def wait(self, partition: str, conversation_id: str, *, after: int, seconds: float) -> None: ...

    async def close(self) -> None: ...
