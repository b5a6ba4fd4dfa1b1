"""What the steps of a job share: a limit on time, and one clear line when something expected did not happen."""

from __future__ import annotations

import time
from collections.abc import Callable


class JobFailedError(Exception):
    """The message is the one line that is shown; the exit code is 1."""


class Deadline:
    """The end of the whole job: whatever waits, waits no longer than this."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; `JobFailedError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise JobFailedError(f"the job took longer than {self._seconds:g} seconds (--limit)")
        return left

    def end_now(self) -> None:
        """Whatever waits in another thread gives up."""
        self._end = 0.0


def expect(happened: bool, what: str) -> None:
    """`JobFailedError` unless `happened`."""
    if not happened:
        raise JobFailedError(f"expected: {what}")


def wait_until[Found](
    look: Callable[[], Found | None], *, seconds: float, deadline: Deadline, what: str, every: float = 0.05
) -> Found:
    """What `look` finds; it is asked again until it finds something, ever more slowly."""
    end = time.monotonic() + min(seconds, deadline.left())
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise JobFailedError(f"expected within {seconds:g} seconds: {what}")
        time.sleep(every)
        every = min(0.5, every * 1.3)
