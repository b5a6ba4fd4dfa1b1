"""A local host in a process of its own, on a free port and with its own data folder, for as long as a job needs it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from local.job import Deadline, JobFailedError

ROOT = Path(__file__).resolve().parent.parent
SERVE = (sys.executable, "-m", "local", "serve", "--port", "0", "--until-stdin-closes")
START_SECONDS = 30.0
STOP_SECONDS = 20.0
AZURE = ("COSMOS_", "SERVICEBUS_", "EVENTGRID_", "EVENTHUB_", "CHECKPOINTS_", "AZURE_CLIENT_")
"""How the settings of services on Azure begin."""
MARK = "made-by-the-main-job"
"""A file in every folder that a job may empty."""


def own_environment() -> dict[str, str]:
    """Ours, without what a developer has set for `make serve`: it must not send a job's data elsewhere."""
    elsewhere = ("WEBSITE_", "OPENAI_", "MODEL", "BANK_", *AZURE)
    return {name: value for name, value in os.environ.items() if not name.startswith(elsewhere)}


def fresh_folder(folder: Path) -> None:
    """Empty what an earlier job left there. A folder that holds anything else, or that a host works in, is left alone:
    nobody's real data goes because of a demonstration."""
    if folder.exists() and not folder.is_dir():
        raise JobFailedError(f"{folder} is no folder: choose another with --folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise JobFailedError(f"{folder} holds something that is not ours: choose an empty folder with --folder")
    lock = folder / "host.lock"
    if lock.exists():
        with lock.open("a+", encoding="utf-8") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise JobFailedError(
                    f"another job works in {folder}: wait for its end, or choose another with --folder"
                ) from None
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as failed:
        raise JobFailedError(f"{folder} cannot be used: {failed.strerror}") from failed


class ChildHost:
    """`with ChildHost(folder, deadline) as host: host.start()` serves at `host.url` until the end of the block,
    with a sandbox bank at `host.bank_url`.

    exit_code: of the stop; 0 when it was clean.
    """

    def __init__(self, folder: Path, deadline: Deadline) -> None:
        self.folder = folder.resolve()
        self.url = self.bank_url = ""
        self.exit_code: int | None = None
        self._deadline = deadline
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Until it listens; `JobFailedError` with its last words when it does not."""
        environment = own_environment()
        environment |= {"COUNTERSIGN_DATA": str(self.folder), "AUTH_MODE": "dev", "PYTHONUNBUFFERED": "1"}
        with (self.folder / "host.log").open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                [*SERVE, "--data", str(self.folder)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,  # it closes when we end, however that is: the host must not outlive us
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, after a clean stop
            )
        listening = self._listening()
        self.url, self.bank_url = listening["url"], listening["bank"]

    def stop(self) -> None:
        """Ask, wait, and in the end insist."""
        process = self._process
        if process is None or self.exit_code is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            self.exit_code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.exit_code = -signal.SIGKILL
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def check_alive(self) -> None:
        """`JobFailedError` when the host has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise JobFailedError(
                f"the local host ended with exit code {self._process.returncode}: {self._last_words()}"
            )

    def _listening(self) -> dict[str, str]:
        """The addresses in the line that `serve` prints when it is ready to be asked."""
        process = self._process
        assert process is not None  # noqa: S101  started just before
        assert process.stdout is not None  # noqa: S101
        lines: list[str] = []
        stdout = process.stdout
        reader = threading.Thread(target=lambda: lines.append(stdout.readline()), daemon=True)
        reader.start()
        reader.join(min(START_SECONDS, self._deadline.left()))
        self.check_alive()
        try:
            told = json.loads(lines[0])
            return {"url": str(told["url"]), "bank": str(told["bank"])}
        except (IndexError, ValueError, KeyError, TypeError):
            raise JobFailedError(f"the local host did not start: {self._last_words()}") from None

    def _last_words(self) -> str:
        text = (self.folder / "host.log").read_text(encoding="utf-8", errors="replace").strip()
        last = text.rsplit("\n", 1)[-1] if text else "it said nothing"
        try:
            return str(json.loads(last)["message"])[:500]
        except (ValueError, KeyError, TypeError):
            return last[:500]
