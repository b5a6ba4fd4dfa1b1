"""Log lines as JSON, one object a line, with the correlation id and without what a person wrote.

A message is ours and names things; what an error of somebody else's says, and the values in a traceback, may be
anybody's words: of those only the type and the places in the code are kept.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from pathlib import Path

from shared.contracts.correlation import CORRELATION
from shared.errors import CountersignError

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
FRAMES = 20
"""The innermost frames that a line names."""
CHATTY = ("azure", "httpx2", "httpcore2", "openai", "opentelemetry")
"""Libraries whose every request would otherwise be a line, with the address asked: a bank's has account numbers."""


class JsonLines(logging.Formatter):
    """What a record says, where it failed, and whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "at": f"{at}.{int(record.msecs):03d}Z",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if correlation_id := CORRELATION.get():
            line["correlation_id"] = correlation_id
        line.update(self.more(record))
        line.update({name: value for name, value in vars(record).items() if name not in STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)

    def more(self, record: logging.LogRecord) -> dict[str, object]:
        """What else a line is to name."""
        del record
        return {}


class Discreet(logging.Filter):
    """Takes the error out of a record, and leaves its type and places: for every handler, also one that exports."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: nothing is hidden but words."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.exception = places(error)
            record.exc_info = record.exc_text = None
        return True


def places(error: BaseException) -> str:
    """The error's type (and message, if it is one of ours), and where it happened, innermost last."""
    told = str(error) if isinstance(error, CountersignError) else ""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__
    why = f" from {type(cause).__name__}" if cause is not None else ""
    return "\n".join([f"{type(error).__name__}{why}: {told}".rstrip(": "), *lines])


def set_up() -> None:
    """For the handlers that the platform has given this process."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
        handler.addFilter(Discreet())
    quieten()


def quieten() -> None:
    """Of what others log, only what is wrong: a line of theirs may hold anybody's words."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
