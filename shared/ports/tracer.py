"""The tracer: spans, for whoever watches the system at work (OpenTelemetry).

Promise: nothing here ever raises, waits or changes an outcome. While nobody watches, a span is one call that does
nothing (`UNTRACED`). Attributes hold names, ids, codes and counts, never text from a person, a statement or a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal, Protocol, Self

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]
Kind = Literal["internal", "consumer", "producer", "client"]


class Span(Protocol):
    """One piece of work, under way."""

    @property
    def traceparent(self) -> str:
        """The W3C trace context under which what this work causes goes on; "" while nothing is traced."""
        ...

    def tell(self, attributes: Attributes) -> None: ...

    def stages(self, stages: Sequence[Mapping[str, Any]]) -> None:
        """The stages of a run (`shared/runs/life_cycle.py`), each as a span within this one."""
        ...


class Tracer(Protocol):
    """See the module docstring for the promises."""

    def span(
        self, name: str, *, kind: Kind = "internal", parent: str = "", attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]:
        """Work that begins and ends with the block. What it raises is noted by its kind and passed on.

        parent: the trace context that came with the work, "" for none. Within a span of the same trace it adds nothing;
        a span of another trace is linked.
        """
        ...

    def here(self) -> Span:
        """The innermost open span; where there is none, one that hears nothing."""
        ...


class Untraced:
    """Both a `Tracer` and its `Span`, while nobody watches."""

    traceparent = ""

    def span(
        self, name: str, *, kind: Kind = "internal", parent: str = "", attributes: Attributes | None = None
    ) -> Self:
        del name, kind, parent, attributes
        return self

    def here(self) -> Self:
        return self

    def tell(self, attributes: Attributes) -> None:
        """Nobody listens."""

    def stages(self, stages: Sequence[Mapping[str, Any]]) -> None:
        """Nobody listens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing began."""


UNTRACED = Untraced()
