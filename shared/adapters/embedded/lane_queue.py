"""The peek-lock rules of one queue, in memory and pure: who may have which message, and until when.

As on Service Bus: a locked message is nobody else's until its lock ends, is settled or lapses; a session has one
holder, and its messages are handed out in order; each hand-out counts, and a message handed out `max_delivery_count`
times that comes back once more is dead. Only sequence numbers live here (a backlog of a million messages is some
40 MB); bodies stay in the file. `now` is seconds since the epoch, given by the caller.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import NamedTuple


class Lock(NamedTuple):
    """`sequence` is the caller's under `token`, for the `delivery_count`-th time (the first is 1)."""

    sequence: int
    session: str
    token: int
    delivery_count: int


class _Held:
    """One lock in force; `until` moves when it is renewed."""

    __slots__ = ("count", "session", "token", "until")

    def __init__(self, session: str, token: int, until: float, count: int) -> None:
        self.session = session
        self.token = token
        self.until = until
        self.count = count


class Holder:
    """Whoever accepted a session, until `until`. Identity is the proof: a later holder is another object."""

    __slots__ = ("session", "until")

    def __init__(self, session: str, until: float) -> None:
        self.session = session
        self.until = until


class LaneQueue:
    """`sessions` false: all messages are in one nameless session that any number may read at once."""

    def __init__(self, *, sessions: bool, lock_seconds: float, max_delivery_count: int) -> None:
        self.sessions = sessions
        self.max_delivery_count = max_delivery_count
        self._lock_seconds = lock_seconds
        self._ready: dict[str, list[int]] = {}
        self._free: OrderedDict[str, None] = OrderedDict()  # sessions with something ready and no holder, oldest first
        self._holders: dict[str, Holder] = {}
        self._held: dict[int, _Held] = {}
        self._counts: dict[int, int] = {}  # only of messages handed out before
        self._tokens = 0

    @property
    def ready(self) -> int:
        """Messages nobody has."""
        return sum(map(len, self._ready.values()))

    @property
    def locked(self) -> int:
        """Messages somebody has."""
        return len(self._held)

    @property
    def waiting(self) -> bool:
        """Some session has messages and no holder."""
        return bool(self._free)

    def add(self, sequence: int, session: str, delivery_count: int = 0) -> None:
        """A message has arrived, or was found at start."""
        if delivery_count:
            self._counts[sequence] = delivery_count
        self._put(sequence, session if self.sessions else "")

    def _put(self, sequence: int, session: str) -> None:
        heap = self._ready.get(session)
        if heap is None:
            self._ready[session] = [sequence]
            if session not in self._holders:
                self._free[session] = None
        else:
            heapq.heappush(heap, sequence)

    def accept_session(self, now: float, session: str | None = None) -> Holder | None:
        """Become the holder of `session`, with or without messages; None when somebody is. Without a name: of the one
        that has waited longest; None when none waits."""
        if session is None:
            if not self._free:
                return None
            session = next(iter(self._free))
        if session in self._holders:
            return None
        self._free.pop(session, None)
        holder = self._holders[session] = Holder(session, now + self._lock_seconds)
        return holder

    def holds(self, holder: Holder) -> bool:
        """Whether the session is still the holder's."""
        return self._holders.get(holder.session) is holder

    def release_session(self, holder: Holder) -> None:
        """Stop being the holder. The session queues up again behind the others if it has more."""
        if self.holds(holder):
            del self._holders[holder.session]
            if holder.session in self._ready:
                self._free[holder.session] = None

    def take(self, now: float, holder: Holder | None = None) -> Lock | None:
        """The next message of the session one holds (of the queue, without sessions); None also when it was lost."""
        session = holder.session if holder else ""
        if self.sessions and (holder is None or not self.holds(holder)):
            return None
        heap = self._ready.get(session)
        if heap is None:
            return None
        sequence = heapq.heappop(heap)
        if not heap:
            del self._ready[session]
            self._free.pop(session, None)
        self._tokens += 1
        count = self._counts[sequence] = self._counts.get(sequence, 0) + 1
        until = now + self._lock_seconds
        self._held[sequence] = _Held(session, self._tokens, until, count)
        if holder is not None:
            holder.until = until
        return Lock(sequence, session, self._tokens, count)

    def settle(self, lock: Lock) -> bool:
        """The message is done with (completed or dead-lettered). False: the lock was lost, nothing has changed."""
        if not self.locks(lock):
            return False
        del self._held[lock.sequence]
        del self._counts[lock.sequence]
        return True

    def abandon(self, lock: Lock, *, counted: bool = True) -> bool:
        """Give the message back, to be handed out again at once, in its old place. False: the lock was lost.

        counted: false for one that nobody has looked at: this hand-out is not counted.
        """
        if not self.locks(lock):
            return False
        del self._held[lock.sequence]
        if not counted:
            self._counts[lock.sequence] -= 1
        self._put(lock.sequence, lock.session)
        return True

    def locks(self, lock: Lock) -> bool:
        """Whether the lock is still in force."""
        held = self._held.get(lock.sequence)
        return held is not None and held.token == lock.token

    def exhausted(self, lock: Lock) -> bool:
        """Whether abandoning it means that it is dead."""
        return 0 < self.max_delivery_count <= lock.delivery_count

    def renew(self, lock: Lock, now: float) -> bool:
        """Hold the message, and its session, for another lock's length. False: too late."""
        if not self.locks(lock):
            return False
        until = self._held[lock.sequence].until = now + self._lock_seconds
        if (holder := self._holders.get(lock.session)) is not None:
            holder.until = until
        return True

    def expire(self, now: float) -> tuple[list[Lock], bool]:
        """Take back what was not settled in time: (messages handed out too often, whether others became ready).

        The former are gone from here: the caller dead-letters them.
        """
        dead, freed = [], False
        for sequence, held in [(s, h) for s, h in self._held.items() if h.until <= now]:
            del self._held[sequence]
            lock = Lock(sequence, held.session, held.token, held.count)
            if self.exhausted(lock):
                del self._counts[sequence]
                dead.append(lock)
            else:
                self._put(sequence, held.session)
                freed = True
        for holder in [h for h in self._holders.values() if h.until <= now]:
            self.release_session(holder)
            freed = True
        return dead, freed
