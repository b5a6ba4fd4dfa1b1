"""The one Cosmos DB client of a process, opened on first use and shared by everybody who asks for the container."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from shared.adapters.azure.credentials import Credential
from shared.errors import RetryableError

CONNECT_SECONDS = 5.0
ATTEMPT_SECONDS = 6.0
"""What one request may take; Cosmos DB itself gives up on a batch after 5 seconds."""
OPENING_SECONDS = 20.0
"""What signing in and reading the account and the container may take together."""


class Where(NamedTuple):
    """Which container, and how to get in. preferred_regions: which to read from, the nearest first."""

    endpoint: str
    database: str
    container: str
    credential: Credential
    preferred_regions: Sequence[str] = ()


class CosmosContainer:
    """Opening is one task that all callers wait for: whoever gives up does not stop it for the others."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._opening: asyncio.Task[ContainerProxy] | None = None
        self._client: CosmosClient | None = None
        self._closed = False
        self.trouble: Exception | None = None  # why it could not be opened the last time

    async def opened(self) -> ContainerProxy:
        """The container. `RetryableError("store_closed")` after `close`, and whatever the SDK raises."""
        if self._closed:
            raise _closed()
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_succeeded)  # its error is seen also when everybody has given up
        try:
            return await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            if self._opening.cancelled():  # by `close`, not the caller by somebody
                raise _closed() from None
            raise

    async def close(self) -> None:
        """Close the client, also one that is just being opened."""
        self._closed = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _open(self) -> ContainerProxy:
        client = CosmosClient(self._where.endpoint, self._signed_in(), **self._options())
        database, name = self._where.database, self._where.container
        container = client.get_database_client(database).get_container_client(name)
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                await client.__aenter__()
                await container.read()  # the SDK would, at the first call; a missing document is told apart from this
        except CosmosResourceNotFoundError as error:
            await client.close()
            missing = f"there is no database {database!r} with a container {name!r} at {self._where.endpoint}"
            self.trouble = RetryableError(missing, code="store_unavailable")
            raise self.trouble from error
        except BaseException as error:
            self.trouble = error if isinstance(error, Exception) else self.trouble
            await client.close()
            raise
        self._client, self.trouble = client, None
        return container

    def _signed_in(self) -> str | AsyncTokenCredential:
        credential = self._where.credential
        return credential if isinstance(credential, str) else credential()

    def _options(self) -> dict[str, Any]:
        """One layer retries, ours: it knows what may be sent again, and within which time."""
        return {
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": ATTEMPT_SECONDS,
            "retry_total": 0,
            "retry_connect": 0,
            "retry_read": 0,
            "retry_status": 0,
            "retry_throttle_total": -1,  # 0 would be taken for "not set", which is 9
            "enable_compact_utf8_item_writes": True,  # an umlaut takes two bytes instead of six
            "enable_endpoint_discovery": urlsplit(self._where.endpoint).scheme == "https",  # emulators know no regions
            "preferred_locations": list(self._where.preferred_regions),
            "user_agent_suffix": "countersign",
        }


def _closed() -> RetryableError:
    return RetryableError("the store is closed; another instance may take over", code="store_closed")


def _succeeded(task: asyncio.Task[ContainerProxy]) -> bool:
    return not task.cancelled() and task.exception() is None
