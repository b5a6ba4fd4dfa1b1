"""Log lines as JSON on stderr: one object per line, `level` first. Quiet unless something needs a person."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from contextvars import ContextVar

invocation: ContextVar[tuple[str, str]] = ContextVar("invocation", default=("", ""))
"""(function, invocation id) of whatever logs; Microsoft's own "invocation failed" does not name its function."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """What a record says, its traceback, and whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "at": f"{at}.{int(record.msecs):03d}Z",
            "logger": record.name,
            "message": record.getMessage(),
        }
        function, invocation_id = invocation.get()
        if function:
            line.update(function=function, invocation_id=invocation_id)
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up() -> None:
    """`COUNTERSIGN_LOG_LEVEL` (default WARNING) for everything in the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    level = os.environ.get("COUNTERSIGN_LOG_LEVEL", "WARNING").upper()
    logging.basicConfig(
        level=logging.getLevelNamesMapping().get(level, logging.WARNING), handlers=[handler], force=True
    )
