"""`EventGridEventPublisher`: CloudEvents in batches to an Event Grid custom topic.

A batch is one request of at most 1 MB, which the topic takes as a whole or not at all. What failed for the moment is
tried again within `BUDGET_SECONDS`; after that the outbox keeps it. Sign-in: a key, or an Entra token (role "EventGrid
Data Sender"). Source: learn.microsoft.com/azure/event-grid, "Publish events to custom topics" and "CloudEvents schema".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.eventgrid.aio import EventGridPublisherClient

from shared.adapters.azure.credentials import NOT_SIGNED_IN, Credential
from shared.errors import RetryableError, TerminalError
from shared.ports.event_publisher import CloudEvent

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

MAX_BATCH_BYTES = 1_048_576
BUDGET_SECONDS = 8.0
"""For one batch with its repetitions; shorter than the timer's patience with an outbox document."""
PAUSES_SECONDS = (0.1, 0.4, 1.6)
CALL_SECONDS = 4.0
CONNECT_SECONDS = 2.0
PING_SECONDS = 1.0
SCOPE = "https://eventgrid.azure.net/.default"
PASSING = frozenset({408, 429, 500, 502, 503, 504})
NOT_SET_UP = {
    401: "the topic does not accept our sign-in",
    403: "our identity may not publish (role EventGrid Data Sender), or the network is closed to us",
    404: "there is no such topic: look at EVENTGRID_TOPIC_ENDPOINT",
}


class EventGridEventPublisher:
    """endpoint: of the topic, `https://<topic>.<region>-1.eventgrid.azure.net/api/events`. ca_file: whom to trust
    beside the usual authorities, for a topic behind a private one."""

    def __init__(self, *, endpoint: str, credential: Credential, ca_file: str = "") -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._ca_file = ca_file
        self._client: EventGridPublisherClient | None = None
        self._refused = ""  # why the topic would not take the newest batch, for whoever asks how we are
        self._closed = False

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Checked first, all of them: of a batch with a wrong event nothing is sent."""
        for batch in _batches([(event, _size(event)) for event in events]):
            try:
                async with asyncio.timeout(BUDGET_SECONDS):
                    await self._send(batch)
            except TimeoutError as late:
                raise _unavailable(f"no answer from Event Grid within {BUDGET_SECONDS:g} s") from late

    async def ping(self) -> None:
        """Proves sign-in and connection, and repeats what the topic has last refused: there is no harmless request
        that would prove the right to publish."""
        self._open()
        if self._refused:
            raise _unavailable(self._refused)
        try:
            async with asyncio.timeout(PING_SECONDS):
                if not isinstance(self._credential, str):
                    await self._credential().get_token(SCOPE)
                await _connect(self._endpoint)
        except TimeoutError as late:
            raise _unavailable(f"Event Grid cannot be reached within {PING_SECONDS:g} s") from late
        except (AzureError, OSError) as failed:
            raise _unavailable(_brief(failed)) from failed

    async def close(self) -> None:
        """Close the client; the credential is its owner's."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _open(self) -> EventGridPublisherClient:
        if self._closed:
            raise _unavailable("the event publisher is closed")
        if self._client is None:
            key_or_token: AzureKeyCredential | AsyncTokenCredential = (
                AzureKeyCredential(self._credential) if isinstance(self._credential, str) else self._credential()
            )
            self._client = EventGridPublisherClient(
                self._endpoint,
                key_or_token,
                retry_total=0,  # repeated here, within one budget
                connection_timeout=CONNECT_SECONDS,
                read_timeout=CALL_SECONDS,
                connection_verify=self._ca_file or True,
            )
        return self._client

    async def _send(self, batch: list[CloudEvent]) -> None:
        for pause in (*PAUSES_SECONDS, None):
            try:
                await self._open().send(batch)
            except (ServiceRequestError, ServiceResponseError) as failed:  # no connection, or one that broke
                failure, wish = _unavailable(_brief(failed)), None
            except ClientAuthenticationError as failed:
                raise self._refusal(failed.status_code or 401, _brief(failed)) from failed
            except ResourceNotFoundError as failed:  # the SDK leaves its status out
                raise self._refusal(404, "") from failed
            except HttpResponseError as failed:
                failure, wish = self._failure(failed)
            else:
                self._refused = ""
                return
            if pause is None or (wish or 0.0) > pause:  # it asks for more time than we have: the outbox waits
                raise failure
            await asyncio.sleep(pause)

    def _failure(self, failed: HttpResponseError) -> tuple[RetryableError, float | None]:
        """What to raise once the budget is used up, and the topic's wish for a pause; raises what no repeat mends."""
        status = failed.status_code or 0
        if status in PASSING:
            wish = _retry_after(failed)
            return _unavailable(f"Event Grid answered {status}", wish), wish
        if status in NOT_SET_UP:
            raise self._refusal(status, "") from failed
        if status == 413:
            raise TerminalError("event_too_large", "Event Grid finds the events too large") from failed
        raise TerminalError("invalid_event", f"Event Grid refused the events with {status}") from failed

    def _refusal(self, status: int, why: str) -> RetryableError:
        self._refused = f"Event Grid answered {status}: {NOT_SET_UP.get(status, why)}"
        return _unavailable(self._refused)


def _size(event: CloudEvent) -> int:
    """Bytes of the event as the SDK writes it; `TerminalError` for what is no event or too large."""
    if missing := [name for name in ("specversion", "id", "source", "type") if not event.get(name)]:
        raise TerminalError("invalid_event", f"a CloudEvent needs {', '.join(missing)}")
    try:
        size = len(json.dumps(event, allow_nan=False)) + 2  # and a comma with its blank, or the brackets
    except (TypeError, ValueError) as error:
        raise TerminalError("invalid_event", f"an event is JSON: {error}") from error
    if size > MAX_BATCH_BYTES:
        raise TerminalError("event_too_large", f"an event may take {MAX_BATCH_BYTES} bytes, not {size}")
    return size


def _batches(sized: Sequence[tuple[CloudEvent, int]]) -> Iterator[list[CloudEvent]]:
    batch: list[CloudEvent] = []
    room = MAX_BATCH_BYTES
    for event, size in sized:
        if batch and size > room:
            yield batch
            batch, room = [], MAX_BATCH_BYTES
        batch.append(event)
        room -= size
    if batch:
        yield batch


async def _connect(endpoint: str) -> None:
    where = urlsplit(endpoint)
    port = where.port or (443 if where.scheme == "https" else 80)
    _, writer = await asyncio.open_connection(where.hostname, port)
    writer.close()


def _retry_after(failed: HttpResponseError) -> float | None:
    headers: Mapping[str, str] = getattr(failed.response, "headers", {})
    told = headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else None


def _brief(failed: BaseException) -> str:
    """The first line: libraries put whole pages into an error, but never a token or key there."""
    if isinstance(failed, ClientAuthenticationError):
        return NOT_SIGNED_IN
    return (str(failed).splitlines() or [type(failed).__name__])[0][:200]


def _unavailable(message: str, retry_after_seconds: float | None = None) -> RetryableError:
    return RetryableError(message, retry_after_seconds=retry_after_seconds, code="publisher_unavailable")
