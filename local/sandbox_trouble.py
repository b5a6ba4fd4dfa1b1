"""Trouble that the sandbox bank can be told to make: slow answers, error statuses, dropped connections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.shape import Shape

Stage = Literal["before", "after"]


class Trouble(Shape):
    """One kind of trouble for the next `times` calls (0: for all of them, until something else is said).

    latency_ms and fail_status (0: none) come at `stage`: before the work is done, or once it is done. drop: the
    connection is cut before or after the work, without an answer. calls: `transfers` are the orders alone; `all` are
    look-ups and health too.
    """

    latency_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    fail_status: Annotated[int, Field(ge=0, le=599)] = 0
    stage: Stage = "before"
    drop: Literal["", "before", "after"] = ""
    calls: Literal["transfers", "all"] = "transfers"
    times: Annotated[int, Field(ge=0, le=1_000_000)] = 1


class Troubles:
    """The trouble that is on, counted down call by call."""

    def __init__(self) -> None:
        self._trouble = Trouble()
        self._left: float = 0

    def set(self, trouble: Trouble) -> None:
        """From the next call on; a `Trouble()` without anything in it ends whatever there was."""
        self._trouble = trouble
        self._left = trouble.times or float("inf")

    def take(self, *, is_transfer: bool) -> Trouble:
        """What this call meets."""
        if not self._left or not (is_transfer or self._trouble.calls == "all"):
            return Trouble()
        self._left -= 1
        return self._trouble
