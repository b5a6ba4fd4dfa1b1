"""The correlation id of whatever is being worked on here, for log lines alone: nothing is decided by it."""

from __future__ import annotations

from contextvars import ContextVar

CORRELATION: ContextVar[str] = ContextVar("correlation_id", default="")
"""Set by whoever takes work in: a lane's command, an HTTP request, a delivered event."""
