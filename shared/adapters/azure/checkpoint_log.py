"""`BlobCheckpointLog`: heads of audit chains as blobs that are never written twice, for a container that is immutable.

One blob for each checkpoint, made under the condition that there is none of its name, so that it also fits a container
whose retention policy forbids to overwrite and delete (container-level WORM). Names count down, because a listing knows
one order only: `<partition>/<999999999999 - number>.json`, so the newest checkpoint is the first of its partition.
Numbers have no gaps: one that is missing was removed. What is listed is the blob's metadata; its body says the same for
people.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, ContentSettings
from azure.storage.blob.aio import ContainerClient, LinearRetry

from shared.adapters.azure.credentials import Credential
from shared.errors import RetryableError
from shared.ports.checkpoint_log import Checkpoint

BUDGET_SECONDS = 10.0
"""For one call with its repetitions."""
CALL_SECONDS, CONNECT_SECONDS = 4.0, 2.0
HIGHEST = 999_999_999_999
PAGE = 1_000
TAKEN = frozenset({409, 412})

_log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    number: int
    by: str
    checkpoint: Checkpoint | None


class BlobCheckpointLog:
    """container_url: `https://<account>.blob.core.windows.net/<container>`; the container exists.

    credential: gives Entra tokens (a role that may write and list, not delete), or the account's key. ca_file: whom to
    trust beside the usual authorities.
    """

    def __init__(self, *, container_url: str, credential: Credential, ca_file: str = "") -> None:
        self._url = container_url
        self._credential = credential
        self._ca_file = ca_file
        self._container: ContainerClient | None = None
        self._one_at_a_time = asyncio.Lock()
        self._unreadable: set[str] = set()
        self._closed = False

    async def append(self, checkpoint: Checkpoint) -> None:
        async with self._one_at_a_time:
            await self._bounded(self._append(checkpoint))

    async def latest(self, partition: str) -> Checkpoint | None:
        found = await self._bounded(self._newest(partition, 1))
        return found[0].checkpoint if found else None

    async def all(self, partition: str, *, limit: int = 1000) -> list[Checkpoint]:
        if limit <= 0:
            return []
        found = await self._bounded(self._newest(partition, limit))
        return [one.checkpoint for one in reversed(found) if one.checkpoint is not None]

    async def close(self) -> None:
        """Close the client; the credential is its owner's."""
        self._closed = True
        container, self._container = self._container, None
        if container is not None:
            await container.close()

    async def _bounded[T](self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(BUDGET_SECONDS):
                return await work
        except TimeoutError as late:
            raise _unavailable(f"no answer from the checkpoint container within {BUDGET_SECONDS:g} s") from late
        except ResourceNotFoundError as failed:
            raise _unavailable("there is no such container: look at CHECKPOINTS_URL") from failed
        except ClientAuthenticationError as failed:
            what = f"the checkpoint container refuses us ({failed.status_code or 'no token'})"
            raise _unavailable(f"{what}: look at the app's identity (AZURE_CLIENT_ID) and its role") from failed
        except HttpResponseError as failed:
            raise _unavailable(f"the checkpoint container answered {failed.status_code}") from failed
        except AzureError as failed:
            brief = (str(failed).splitlines() or [""])[0][:200]
            raise _unavailable(f"the checkpoint container cannot be reached: {brief}") from failed

    async def _append(self, checkpoint: Checkpoint) -> None:
        """Under the next free number. One that is taken is ours when the answer to our own request was lost."""
        mark = uuid.uuid4().hex
        while True:
            newest = await self._newest(checkpoint.partition, 1, readable=False)
            if newest and newest[0].by == mark:
                return
            number = newest[0].number + 1 if newest else 1
            try:
                await self._write(checkpoint, number, mark)
            except HttpResponseError as failed:
                if failed.status_code not in TAKEN:
                    raise
            else:
                return

    async def _write(self, checkpoint: Checkpoint, number: int, mark: str) -> None:
        told = {"sequence": str(checkpoint.sequence), "hash": checkpoint.hash, "at": checkpoint.at, "by": mark}
        await self._open().upload_blob(
            _name(checkpoint.partition, number),
            orjson.dumps({**checkpoint._asdict(), "number": number}),
            metadata=told,
            content_settings=ContentSettings(content_type="application/json"),
            overwrite=False,
        )

    async def _newest(self, partition: str, limit: int, *, readable: bool = True) -> list[_Kept]:
        """The newest checkpoints, newest first; what is none is reported once and passed over."""
        found: list[_Kept] = []
        page = min(limit if not readable else limit + 2, PAGE)
        listed = self._open().list_blobs(_prefix(partition), include=["metadata"], results_per_page=page)
        async for blob in listed:
            kept = _kept(partition, blob)
            if kept.checkpoint is None and blob.name not in self._unreadable:
                self._unreadable.add(blob.name)
                _log.error("the checkpoint container holds what is no checkpoint: %s", blob.name)
            if kept.checkpoint is not None or (not readable and kept.number):
                found.append(kept)
            if len(found) >= limit:
                break
        return found

    def _open(self) -> ContainerClient:
        if self._closed:
            raise RetryableError("the checkpoint log is closed", code="store_closed")
        if self._container is None:
            options: dict[str, Any] = {
                "retry_policy": LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
                "connection_timeout": CONNECT_SECONDS,
                "read_timeout": CALL_SECONDS,
                "connection_verify": self._ca_file or True,
            }
            credential = self._credential if isinstance(self._credential, str) else self._credential()
            self._container = ContainerClient.from_container_url(self._url, credential=credential, **options)
        return self._container


def _prefix(partition: str) -> str:
    return quote(partition, safe="") + "/"


def _name(partition: str, number: int) -> str:
    return f"{_prefix(partition)}{HIGHEST - number:012d}.json"


def _kept(partition: str, blob: BlobProperties) -> _Kept:
    told = blob.metadata or {}
    digits = blob.name.removeprefix(_prefix(partition)).removesuffix(".json")
    number = HIGHEST - int(digits) if digits.isdecimal() and len(digits) == 12 else 0
    sequence, at = told.get("sequence", ""), told.get("at", "")
    checkpoint = Checkpoint(partition, int(sequence), told.get("hash", ""), at) if sequence.isdecimal() and at else None
    return _Kept(number, told.get("by", ""), checkpoint if number else None)


def _unavailable(message: str) -> RetryableError:
    return RetryableError(message, code="store_unavailable")
