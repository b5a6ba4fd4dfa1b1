"""`FileCheckpointLog`: heads of audit chains as lines of an append-only file, each on the disk before it is confirmed.

A crash in mid-append may leave half a line. It was never confirmed; it is reported once, left as it is (the file only
ever grows) and passed over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from shared.adapters.embedded.sqlite_writer import Executor
from shared.errors import RetryableError
from shared.ports.checkpoint_log import Checkpoint

_log = logging.getLogger(__name__)


class FileCheckpointLog:
    """executor: "thread" keeps the disk off the event loop; "inline" is for a simulated event loop.

    Several processes may append to one file. Put it where whoever can write the document store cannot.
    """

    def __init__(self, path: Path, *, executor: Executor = "thread") -> None:
        self._path = path
        self._inline = executor == "inline"
        self._lock = threading.Lock()
        self._latest: dict[str, Checkpoint] = {}
        self._read_to = 0  # bytes of the file that `_latest` knows
        self._unreadable: set[int] = set()  # offsets of lines that were reported
        self._closed = False

    async def append(self, checkpoint: Checkpoint) -> None:
        await self._run(lambda: self._append(checkpoint))

    async def latest(self, partition: str) -> Checkpoint | None:
        return await self._run(lambda: self._catch_up().get(partition))

    async def all(self, partition: str, *, limit: int = 1000) -> list[Checkpoint]:
        return await self._run(lambda: self._newest(partition, limit))

    async def close(self) -> None:
        self._closed = True

    @property
    def unreadable(self) -> int:
        """How many lines were found that are no checkpoint: torn by a crash, or tampered with."""
        return len(self._unreadable)

    async def _run[T](self, work: Callable[[], T]) -> T:
        if self._closed:
            raise RetryableError("the checkpoint log is closed", code="store_closed")
        return self._guarded(work) if self._inline else await asyncio.to_thread(self._guarded, work)

    def _guarded[T](self, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                return work()
            except OSError as error:
                raise RetryableError(f"{self._path.name}: {error}; try again", code="store_unavailable") from error

    def _append(self, checkpoint: Checkpoint) -> None:
        line = orjson.dumps(checkpoint._asdict(), option=orjson.OPT_APPEND_NEWLINE)
        is_new = not self._path.exists()
        with self._path.open("ab+", buffering=0) as file:
            if not _ends_a_line(file):
                line = b"\n" + line
            if file.write(line) < len(line):
                raise OSError(f"only a part of {len(line)} bytes was written")
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self._path.parent)  # else the file itself may be gone after a crash

    def _catch_up(self) -> dict[str, Checkpoint]:
        """Read what was appended since the last time, also by others."""
        if not self._path.exists():
            return {}
        with self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._read_to:
                _log.error("%s has become shorter: it was cut or replaced", self._path.name)
                self._latest, self._read_to = {}, 0
            file.seek(self._read_to)
            for checkpoint, end in self._checkpoints(file):
                self._latest[checkpoint.partition] = checkpoint
                self._read_to = end
        return self._latest

    def _newest(self, partition: str, limit: int) -> list[Checkpoint]:
        newest: deque[Checkpoint] = deque(maxlen=max(0, limit))
        if self._path.exists():
            with self._path.open("rb") as file:
                newest.extend(one for one, _ in self._checkpoints(file) if one.partition == partition)
        return list(newest)

    def _checkpoints(self, file: BinaryIO) -> Iterator[tuple[Checkpoint, int]]:
        """Each readable checkpoint from where `file` stands, and the offset behind it."""
        offset = file.tell()
        for line in file:
            start, offset = offset, offset + len(line)
            checkpoint = _parse(line)
            if checkpoint is not None:
                self._unreadable.discard(start)  # another process had written only half of it when we last looked
                yield checkpoint, offset
            elif line.strip() and start not in self._unreadable:
                self._unreadable.add(start)
                _log.warning("%s: no checkpoint at byte %d: torn by a crash?", self._path.name, start)


def _parse(line: bytes) -> Checkpoint | None:
    """None for half a line, and for whatever else is not a checkpoint."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = orjson.loads(line)
        checkpoint = Checkpoint(**fields)
    except (ValueError, TypeError):
        return None
    texts = (checkpoint.partition, checkpoint.hash, checkpoint.at)
    return checkpoint if isinstance(checkpoint.sequence, int) and all(isinstance(one, str) for one in texts) else None


def _ends_a_line(file: BinaryIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
