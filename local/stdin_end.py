"""A process that must not outlive whoever started it: they hold the other end of its stdin, however they end."""

from __future__ import annotations

import asyncio
import os

from shared.errors import ConfigurationError

STDIN = 0


def stop_with_stdin(stopping: asyncio.Event) -> None:
    """Sets `stopping` when stdin closes. In a running loop; `ConfigurationError` when stdin is no pipe."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            stopping.set()

    try:
        loop.add_reader(STDIN, read)
    except PermissionError as error:
        raise ConfigurationError("--until-stdin-closes needs a pipe as stdin: leave it out here") from error
