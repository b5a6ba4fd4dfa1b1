"""The peek-lock rules, without a file."""

from __future__ import annotations

import random

import pytest

from shared.adapters.embedded.lane_queue import Holder, LaneQueue, Lock


def queue(*, sessions: bool = False, deliveries: int = 3) -> LaneQueue:
    return LaneQueue(sessions=sessions, lock_seconds=60, max_delivery_count=deliveries)


def test_a_locked_message_is_nobody_elses():
    q = queue()
    q.add(1, "")
    assert q.take(0).sequence == 1
    assert q.take(0) is None


def test_an_abandoned_message_comes_back_first_and_counts():
    q = queue()
    for sequence in (1, 2, 3):
        q.add(sequence, "")
    first = q.take(0)
    assert q.abandon(first)
    again = q.take(0)
    assert (again.sequence, again.delivery_count) == (1, 2)
    assert q.take(0).sequence == 2


def test_a_message_nobody_looked_at_comes_back_uncounted():
    q = queue(deliveries=1)
    q.add(1, "")
    for _ in range(5):
        lock = q.take(0)
        assert lock.delivery_count == 1
        assert q.abandon(lock, counted=False)
        assert not q.abandon(lock, counted=False), "once"


def test_a_named_session_is_held_by_one_also_without_messages():
    q = queue(sessions=True)
    q.add(1, "other")
    holder = q.accept_session(0, "s")
    assert (holder.session, q.holds(holder)) == ("s", True)
    assert q.accept_session(0, "s") is None
    assert q.accept_session(0).session == "other"
    assert q.accept_session(0) is None
    q.add(2, "s")
    assert q.take(0, holder).sequence == 2
    q.release_session(holder)
    assert not q.holds(holder)
    assert q.accept_session(0, "s") is not None


def test_a_session_taken_by_name_is_no_longer_free_for_others():
    q = queue(sessions=True)
    q.add(1, "s")
    q.accept_session(0, "s")
    assert not q.waiting
    assert q.accept_session(0) is None


def test_a_lock_is_in_force_until_it_is_settled_or_lapses():
    q = queue()
    q.add(1, "")
    old = q.take(0)
    assert q.locks(old)
    q.expire(61)
    assert not q.locks(old)
    new = q.take(62)
    assert (q.locks(old), q.locks(new)) == (False, True)


def test_a_settled_message_is_gone_and_cannot_be_settled_twice():
    q = queue()
    q.add(1, "")
    lock = q.take(0)
    assert q.settle(lock)
    assert not q.settle(lock)
    assert not q.abandon(lock)
    assert q.take(0) is None


def test_a_lock_lapses_and_its_holder_can_no_longer_settle():
    q = queue()
    q.add(1, "")
    old = q.take(0)
    assert q.expire(59) == ([], False)
    assert q.expire(60) == ([], True)
    new = q.take(61)
    assert new.delivery_count == 2
    assert not q.settle(old)
    assert not q.renew(old, 61)
    assert q.settle(new)


def test_renewal_keeps_a_message():
    q = queue(sessions=True)
    q.add(1, "s")
    holder = q.accept_session(0)
    lock = q.take(0, holder)
    assert q.renew(lock, 50)
    assert q.expire(100) == ([], False)
    assert q.settle(lock)


def test_the_last_delivery_that_lapses_is_dead():
    q = queue(deliveries=1)
    q.add(1, "")
    lock = q.take(0)
    assert q.exhausted(lock)
    dead, _ = q.expire(60)
    assert [d.sequence for d in dead] == [1]
    assert q.take(61) is None


def test_the_count_from_before_a_restart_goes_on():
    q = queue()
    q.add(1, "", delivery_count=2)
    lock = q.take(0)
    assert lock.delivery_count == 3
    assert q.exhausted(lock)


def test_a_queue_without_a_last_delivery_never_gives_up():
    q = queue(deliveries=0)
    q.add(1, "")
    for _ in range(50):
        lock = q.take(0)
        assert not q.exhausted(lock)
        q.abandon(lock)


def test_a_session_has_one_holder_and_keeps_its_order():
    q = queue(sessions=True)
    for sequence in (3, 1, 2):
        q.add(sequence, "s")
    holder = q.accept_session(0)
    assert q.accept_session(0) is None
    assert [q.take(0, holder).sequence for _ in range(3)] == [1, 2, 3]


def test_sessions_take_turns():
    q = queue(sessions=True)
    for sequence, session in enumerate(["a", "a", "b", "c"]):
        q.add(sequence, session)
    order = []
    while (holder := q.accept_session(0)) is not None:
        order.append(holder.session)
        q.settle(q.take(0, holder))
        q.release_session(holder)
    assert order == ["a", "b", "c", "a"]


def test_a_lapsed_holder_can_neither_take_nor_release_the_session_of_the_next():
    q = queue(sessions=True)
    q.add(1, "s")
    q.add(2, "s")
    old = q.accept_session(0)
    q.take(0, old)
    q.expire(60)
    new = q.accept_session(61)
    assert q.take(61, old) is None
    q.release_session(old)
    assert q.take(61, new).sequence == 1
    assert q.accept_session(61) is None


def test_a_message_for_a_held_session_waits_for_its_holder():
    q = queue(sessions=True)
    q.add(1, "s")
    holder = q.accept_session(0)
    q.settle(q.take(0, holder))
    q.add(2, "s")
    assert q.accept_session(0) is None
    assert q.take(0, holder).sequence == 2


class Chaos:
    """A queue under random use, with what must still be in it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.q = queue(sessions=True, deliveries=0)
        self.left: set[int] = set()
        self.now = 0.0
        self.held: dict[int, Lock] = {}
        self.holders: list[Holder] = []
        self.sent = 0

    def add(self) -> None:
        self.sent += 1
        self.q.add(self.sent, f"s{self.dice.randrange(4)}")
        self.left.add(self.sent)

    def accept(self) -> None:
        if holder := self.q.accept_session(self.now):
            self.holders.append(holder)

    def take(self) -> None:
        if self.holders and (lock := self.q.take(self.now, self.dice.choice(self.holders))):
            self.held[lock.sequence] = lock

    def settle(self) -> None:
        if self.held and self.q.settle(lock := self.held.pop(self.dice.choice(list(self.held)))):
            self.left.discard(lock.sequence)

    def abandon(self) -> None:
        if self.held:
            self.q.abandon(self.held.pop(self.dice.choice(list(self.held))))

    def release(self) -> None:
        if self.holders:
            self.q.release_session(self.holders.pop())

    def drained(self) -> list[tuple[str, int]]:
        found, now = [], self.now + 1000
        self.q.expire(now)
        while (holder := self.q.accept_session(now)) is not None:
            while (lock := self.q.take(now, holder)) is not None:
                self.q.settle(lock)
                found.append((holder.session, lock.sequence))
            self.q.release_session(holder)
        return found


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_nothing_is_lost_and_each_session_keeps_its_order(seed: int):
    chaos = Chaos(random.Random(seed))
    actions = [chaos.add, chaos.accept, chaos.take, chaos.settle, chaos.abandon, chaos.release]
    for _ in range(300):
        chaos.now += chaos.dice.random() * 10
        chaos.q.expire(chaos.now)
        chaos.dice.choice(actions)()
        assert chaos.q.ready + chaos.q.locked == len(chaos.left)
    drained = chaos.drained()
    assert {sequence for _, sequence in drained} == chaos.left
    assert drained == sorted(drained, key=lambda pair: ([s for s, _ in drained].index(pair[0]), pair[1]))
