"""What is Blob Storage's own: blobs that are never written twice, lost answers, races, Entra tokens over TLS."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azure.checkpoint_log import BlobCheckpointLog
from shared.errors import RetryableError
from shared.ports.checkpoint_log import Checkpoint
from tests.doubles.blob import KEY, SCOPE, Blob, BlobContainer
from tests.doubles.credentials import Signer
from tests.doubles.web_server import self_signed


def checkpoint(sequence: int) -> Checkpoint:
    return Checkpoint("smith", sequence, f"{sequence:064x}", "2026-03-01T12:00:00.000000Z")


@pytest.fixture
async def container() -> AsyncIterator[BlobContainer]:
    made = BlobContainer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def log(container: BlobContainer) -> AsyncIterator[BlobCheckpointLog]:
    made = BlobCheckpointLog(container_url=container.url, credential=KEY)
    yield made
    await made.close()


async def test_a_checkpoint_is_a_blob_that_people_can_read(container: BlobContainer, log: BlobCheckpointLog):
    await log.append(checkpoint(7))
    ((name, blob),) = container.blobs.items()
    assert name == "smith/999999999998.json"
    assert json.loads(blob.body) == {**checkpoint(7)._asdict(), "number": 1}
    assert blob.content_type == "application/json"


async def test_the_latest_of_many_costs_one_request_and_reading_all_is_paged(
    container: BlobContainer, log: BlobCheckpointLog
):
    for number in range(1, 2_501):
        told = {"sequence": str(number), "hash": "ab", "at": "2026-03-01T12:00:00Z", "by": ""}
        container.blobs[f"smith/{999_999_999_999 - number:012d}.json"] = Blob(b"{}", "", told)
    assert (await log.latest("smith") or checkpoint(0)).sequence == 2_500
    assert container.server.requests == 1
    assert [one.sequence for one in await log.all("smith", limit=2_400)] == list(range(101, 2_501))
    assert container.server.requests == 4


@pytest.mark.parametrize("fault", ["lose", "drop", 503])
async def test_an_append_whose_answer_is_lost_is_there_once(
    container: BlobContainer, log: BlobCheckpointLog, fault: Any
):
    await log.append(checkpoint(1))
    container.server.faults = [None, fault]  # the listing, then the writing
    await log.append(checkpoint(2))
    assert await log.all("smith") == [checkpoint(1), checkpoint(2)]


async def test_what_somebody_else_wrote_is_never_written_over(container: BlobContainer, log: BlobCheckpointLog):
    other = BlobCheckpointLog(container_url=container.url, credential=KEY)
    await other.append(checkpoint(1))
    before = dict(container.blobs)
    await log.append(checkpoint(2))
    assert {name: container.blobs[name] for name in before} == before
    assert sorted(container.blobs) == ["smith/999999999997.json", "smith/999999999998.json"]
    await other.close()


async def test_what_is_no_checkpoint_is_reported_once_and_passed_over(
    container: BlobContainer, log: BlobCheckpointLog, caplog: pytest.LogCaptureFixture
):
    await log.append(checkpoint(1))
    container.blobs["smith/999999999997.json"] = Blob(b"tampered", "", {})
    container.blobs["smith/readme.txt"] = Blob(b"hello", "", {})
    assert await log.latest("smith") == checkpoint(1)
    assert await log.all("smith") == [checkpoint(1)]
    await log.append(checkpoint(2))
    assert await log.all("smith") == [checkpoint(1), checkpoint(2)]
    assert caplog.text.count("999999999997") == 1


async def test_a_container_that_is_not_there_is_named_by_its_setting(container: BlobContainer):
    log = BlobCheckpointLog(container_url=container.url + "x", credential=KEY)
    with pytest.raises(RetryableError, match="CHECKPOINTS_URL"):
        await log.latest("smith")
    await log.close()


async def test_an_outage_is_retryable_after_a_bounded_time(container: BlobContainer, log: BlobCheckpointLog):
    container.server.faults = [503] * 20
    begun = time.monotonic()
    with pytest.raises(RetryableError) as failed:
        await log.append(checkpoint(1))
    assert failed.value.code == "store_unavailable"
    assert time.monotonic() - begun < 8


async def test_a_wrong_key_is_retryable_and_told_to_nobody(container: BlobContainer):
    log = BlobCheckpointLog(container_url=container.url, credential="d3Jvbmc=")
    with pytest.raises(RetryableError) as failed:
        await log.append(checkpoint(1))
    assert "403" in str(failed.value)
    assert "d3Jvbmc=" not in str(failed.value)
    await log.close()


async def test_an_entra_token_is_sent_over_tls(tmp_path: Path):
    certificate, signer = self_signed(tmp_path), Signer()
    container = BlobContainer(certificate=certificate)
    await container.start()
    log = BlobCheckpointLog(container_url=container.url, credential=lambda: signer, ca_file=str(certificate))
    await log.append(checkpoint(1))
    assert await log.latest("smith") == checkpoint(1)
    assert set(signer.asked) == {(SCOPE,)}
    await log.close()
    assert not signer.closed
    await container.stop()
