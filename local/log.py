"""Log lines as JSON on stderr: one object per line, `level` first. Quiet unless something needs a person."""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar

from shared.adapters.log_lines import JsonLines, quieten

invocation: ContextVar[tuple[str, str]] = ContextVar("invocation", default=("", ""))
"""(function, invocation id) of whatever logs; Microsoft's own "invocation failed" does not name its function."""


class LocalLines(JsonLines):
    """With the invocation; and with errors in full: this machine is its developer's own."""

    def more(self, record: logging.LogRecord) -> dict[str, object]:
        """The invocation."""
        del record
        function, invocation_id = invocation.get()
        return {"function": function, "invocation_id": invocation_id} if function else {}


def set_up() -> None:
    """`COUNTERSIGN_LOG_LEVEL` (default WARNING) for everything in the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LocalLines())
    level = os.environ.get("COUNTERSIGN_LOG_LEVEL", "WARNING").upper()
    logging.basicConfig(
        level=logging.getLevelNamesMapping().get(level, logging.WARNING), handlers=[handler], force=True
    )
    quieten()
