"""What the host finds around it: its data folder, its settings, a heap that it leaves alone from now on; and what its
child processes find, and how soon one that ended comes again.

What is wrong is a `ConfigurationError` of one clear line.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
from pathlib import Path
from typing import IO

from shared.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
MOST_WORKERS = 10
"""As on the platform."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0


def worker_count() -> int:
    """`FUNCTIONS_WORKER_PROCESS_COUNT`, checked: how many processes run the functions, this one among them."""
    value = os.environ.get("FUNCTIONS_WORKER_PROCESS_COUNT") or "1"
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_WORKERS):
        raise ConfigurationError(
            f"FUNCTIONS_WORKER_PROCESS_COUNT must be a number from 1 to {MOST_WORKERS}, not {value!r}"
        )
    return int(value)


def child_environment() -> dict[str, str]:
    """Of a process of ours: it finds our modules wherever it is started."""
    path = os.pathsep.join(entry for entry in (str(ROOT), os.environ.get("PYTHONPATH", "")) if entry)
    return {**os.environ, "PYTHONPATH": path}


def restart_pause(failures: int) -> float:
    """Seconds before a process is started again that has ended `failures` times in a row."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20))  # beyond, a float ends


def settle_heap() -> None:
    """For a process that serves from now on: what is loaded stays, so the collector need not look at it again.

    Modules, schemas and the index are a long-lived heap that every full collection would walk. Measured over 3,200
    commands: 45 to 50 µs of processor time each and pauses of 30 ms; with this, under 2 µs and 5 ms. What a command
    makes is nearly all freed by its last reference.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def lock_folder(data_dir: Path) -> IO[str]:
    """Hold the data folder for this process; the lock ends with the process, however it ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "host.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the data folder {data_dir} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise ConfigurationError(
            f"another host (process {holder}) works on {data_dir}: stop it, or choose another folder with --data"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def read_settings(path: Path, data_dir: Path) -> None:
    """`Values` of `local.settings.json` become environment variables; what is already set wins, as with `func`."""
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    os.environ["COUNTERSIGN_DATA"] = str(data_dir)
    try:
        values = json.loads(path.read_text(encoding="utf-8")).get("Values", {})
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}") from error
    for name, value in values.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{path}: the value of {name} must be text")
        os.environ.setdefault(name, value)
