"""Every call to Cosmos DB goes through here: time-out, retries within a budget, and what it was charged."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.adapters.azure.cosmos_charges import Charges, charge
from shared.adapters.azure.cosmos_container import ATTEMPT_SECONDS, CosmosContainer
from shared.adapters.azure.credentials import NOT_SIGNED_IN
from shared.errors import RetryableError, TerminalError

BUDGET_SECONDS = 12.0
"""What one call may take with its retries. Whoever waits over HTTP is still there, and no message lock has expired."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 2.0
NOT_FOUND, TIMED_OUT, CONFLICT, GONE, CHANGED, TOO_LARGE, THROTTLED, RETRY_WITH = 404, 408, 409, 410, 412, 413, 429, 449
ADVICE = {
    401: ": look at the app's identity (AZURE_CLIENT_ID; an emulator's COSMOS_KEY)",
    403: ": look at the role of the app's identity on the database, and at the account's network rules",
}
_WORTH_ANOTHER_TRY = {TIMED_OUT, GONE, THROTTLED, RETRY_WITH, 500, 502, 503, 504}

type Work[T] = Callable[[ContainerProxy, dict[str, Any]], Awaitable[T]]
"""What to ask the container, with the options that every request of ours takes."""


class Failure(NamedTuple):
    """What is to be made of an error. seconds: the wait that the server asks for; None when it does not say."""

    status: int
    again: bool
    seconds: float | None


class CosmosCalls:
    """Calls of one container. `charges`: what all of them were charged so far."""

    def __init__(self, container: CosmosContainer) -> None:
        self._container = container
        self.charges = Charges()

    async def call[T](
        self, operation: str, work: Work[T], *, budget_seconds: float = BUDGET_SECONDS, or_on: tuple[int, ...] = ()
    ) -> T:
        """What `work` gives. It may run several times, also after one that took effect unseen.

        or_on: statuses that the caller wants to see: they are raised as they are. Everything else is
        `RetryableError("store_unavailable")`, or `TerminalError("commit_too_large")`.
        """
        end, pause = time.monotonic() + budget_seconds, FIRST_PAUSE_SECONDS
        told: Exception | None = None
        while True:
            try:
                async with asyncio.timeout(min(ATTEMPT_SECONDS, max(0.001, end - time.monotonic()))):
                    container = await self._container.opened()
                    return await work(container, {"raw_response_hook": self._hook(operation)})
            except (AzureError, TimeoutError) as error:
                # with no time left for an answer, the one before says more; so does why nothing could be opened
                told = (told or self._container.trouble or error) if isinstance(error, TimeoutError) else error
                failure = judged(error)
                if failure.status in or_on:
                    raise
                if failure.status == TOO_LARGE:
                    raise TerminalError("commit_too_large", "Cosmos DB takes 2 MB in one commit: split it") from error
                wait = failure.seconds if failure.seconds is not None else pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
                if not failure.again or time.monotonic() + wait >= end:
                    raise _unavailable(operation, told) from error
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _hook(self, operation: str) -> Callable[[Any], None]:
        def answered(response: Any) -> None:
            units = float(response.http_response.headers.get("x-ms-request-charge", 0))
            self.charges.add(operation, units)
            charge(operation, units)

        return answered


def judged(error: Exception) -> Failure:
    """What an error of the SDK means. In a batch the operation that failed speaks for all."""
    if isinstance(error, CosmosBatchOperationError):
        told = error.operation_responses[error.error_index]
        status = int(told["statusCode"])
        return Failure(status, status in _WORTH_ANOTHER_TRY, _seconds(told.get("retryAfterMilliseconds")))
    if isinstance(error, CosmosHttpResponseError):
        status = int(error.status_code or 0)
        if status == NOT_FOUND and error.sub_status:  # the container or the session, not the document
            return Failure(0, error.sub_status == 1002, None)
        return Failure(status, status in _WORTH_ANOTHER_TRY, _seconds(error.headers.get("x-ms-retry-after-ms")))
    signed_in = not isinstance(error, ClientAuthenticationError)
    return Failure(0, again=signed_in, seconds=None)  # no answer: time-outs, lost connections


def _seconds(milliseconds: object) -> float | None:
    return None if milliseconds is None else max(0.0, float(str(milliseconds)) / 1000)


def _unavailable(operation: str, error: Exception) -> RetryableError:
    """Says what failed in a few words: the SDK's own message may be pages."""
    if isinstance(error, RetryableError):
        return error
    failure = judged(error)
    what = f"status {failure.status}{ADVICE.get(failure.status, '')}" if failure.status else _without_answer(error)
    return RetryableError(
        f"Cosmos DB did not answer {operation}: {what}", retry_after_seconds=failure.seconds, code="store_unavailable"
    )


def _without_answer(error: Exception) -> str:
    if isinstance(error, ClientAuthenticationError):
        return NOT_SIGNED_IN
    hint = ": look at COSMOS_ENDPOINT" if isinstance(error, ServiceRequestError) else ""
    return f"{type(error).__name__}{hint}"
