"""The checkpoint file: torn lines, tampering, and a disk that fails."""

# ruff: noqa: ASYNC240 - a test may look into a small local file
from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from shared.adapters.embedded.checkpoint_log import FileCheckpointLog
from shared.errors import RetryableError
from shared.ports.checkpoint_log import Checkpoint


def checkpoint(sequence: int) -> Checkpoint:
    return Checkpoint("smith", sequence, f"{sequence:064x}", "2026-03-01T12:00:00.000000Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.jsonl"


@pytest.mark.parametrize("torn", [b'{"partition":"smith","seq', b"\xff\xfe", b'{"partition":"smith"}', b"[]", b"7"])
async def test_half_a_line_after_a_crash_is_reported_once_and_passed_over(
    path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
):
    log = FileCheckpointLog(path)
    await log.append(checkpoint(1))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = FileCheckpointLog(path)
    with caplog.at_level(logging.WARNING):
        assert await again.latest("smith") == checkpoint(1)
        assert await again.all("smith") == [checkpoint(1)]
    assert again.unreadable == 1
    assert len(caplog.records) == 1
    await again.append(checkpoint(2))
    assert await again.all("smith") == [checkpoint(1), checkpoint(2)]
    assert await again.latest("smith") == checkpoint(2)
    assert path.read_bytes().startswith(whole + torn + b"\n")  # the file has only grown
    assert again.unreadable == 1


async def test_half_a_line_that_another_process_finishes_counts_after_all(path: Path):
    log = FileCheckpointLog(path)
    await log.append(checkpoint(1))
    await log.append(checkpoint(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    reader = FileCheckpointLog(path)
    assert await reader.latest("smith") == checkpoint(1)
    path.write_bytes(whole)
    assert await reader.latest("smith") == checkpoint(2)
    assert reader.unreadable == 0


async def test_a_file_that_became_shorter_is_an_error_in_the_log(path: Path, caplog: pytest.LogCaptureFixture):
    log = FileCheckpointLog(path)
    for n in (1, 2):
        await log.append(checkpoint(n))
    await log.latest("smith")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with caplog.at_level(logging.ERROR):
        assert await log.latest("smith") == checkpoint(1)
    assert "shorter" in caplog.text


@pytest.mark.parametrize("executor", ["thread", "inline"])
async def test_a_checkpoint_is_on_the_disk_before_it_is_confirmed(
    path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
):
    synced: list[int] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    log = FileCheckpointLog(path, executor=executor)  # type: ignore[arg-type]
    await log.append(checkpoint(1))
    await log.append(checkpoint(2))
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino, path.stat().st_ino]


async def test_an_unreachable_disk_is_retryable(path: Path):
    log = FileCheckpointLog(path / "missing" / "checkpoints.jsonl")
    with pytest.raises(RetryableError):
        await log.append(checkpoint(1))
    assert await log.latest("smith") is None
