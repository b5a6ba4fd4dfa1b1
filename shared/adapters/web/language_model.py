"""`OpenAILanguageModel`: OpenAI, Azure OpenAI (its v1 endpoint) and compatible endpoints, by the Responses API.

The `openai` package (half a second to import) is loaded on first use, in a thread. Events are taken from it as plain
objects: its typed ones cost another half second at the first answer and a tenth of a millisecond for every word.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.adapters.web.responses import Answer, UnusableError, body_of, code_of
from shared.errors import ConfigurationError
from shared.ports.language_model import ModelReply, ModelRequest, ModelUnavailableError, Said

if TYPE_CHECKING:
    import openai
    from httpx2 import AsyncBaseTransport

OPENAI = "https://api.openai.com/v1"
CONNECT_SECONDS = 5.0
BEGIN_SHARE = 0.5
"""With a fallback, the first model has this part of the time to begin; after that the other one is asked."""
WITHOUT_A_LIST = (404, 405, 501)
ADVICE = {
    400: "refused the request",
    401: "refused our credentials; check OPENAI_API_KEY, or the roles of the identity",
    403: "refused our credentials; check OPENAI_API_KEY, or the roles of the identity",
    404: "is not known at that address; check MODEL and OPENAI_BASE_URL",
    429: "is over its rate limit or quota",
}


class OpenAILanguageModel:
    """name, fallback: models, or on Azure deployments. api_key: a key, or a function that gives a fresh Entra token.

    base_url: "" is OpenAI itself; `https://<resource>.openai.azure.com/openai/v1/` for Azure. Errors and retries are
    never waited for: there is one try, and one of the fallback when nothing has been said yet.
    """

    def __init__(
        self,
        *,
        name: str,
        fallback: str = "",
        api_key: str | Callable[[], Awaitable[str]],
        base_url: str = "",
        transport: AsyncBaseTransport | None = None,
    ) -> None:
        address = urlsplit(base_url or OPENAI)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError("OPENAI_BASE_URL must be an http(s) address, for example https://host/openai/v1/")
        self.name = name
        self._fallback = fallback
        self._api_key = api_key if isinstance(api_key, str) else _safely(api_key)
        self._base_url = base_url or OPENAI
        self._transport = transport
        self._client: openai.AsyncOpenAI | None = None
        self._closed = False

    async def respond(self, request: ModelRequest, *, said: Said) -> ModelReply:
        body = body_of(request, self.name)
        now = asyncio.get_running_loop().time()
        end_by = now + request.timeout_seconds
        begin_by = now + request.timeout_seconds * BEGIN_SHARE if self._fallback else end_by
        first = Answer(request, self.name)
        try:
            return await self._attempt(first, body, said, begin_by, end_by)
        except UnusableError as failed:
            if not self._fallback or first.said or not failed.another:
                raise _unavailable(failed) from None
            why = failed
        second = Answer(request, self._fallback)
        try:
            reply = await self._attempt(second, {**body, "model": self._fallback}, said, end_by, end_by)
        except UnusableError as failed:
            raise _unavailable(why, failed) from None
        return reply._replace(
            input_tokens=reply.input_tokens + why.input_tokens, output_tokens=reply.output_tokens + why.output_tokens
        )

    async def ping(self, *, timeout_seconds: float) -> None:
        """Asks for the list of models, and looks at the status alone; endpoints without such a list are there, too."""
        try:
            client = await self._open()
            from openai import APIStatusError, OpenAIError, Timeout

            try:
                await client.get("/models", cast_to=object, options={"timeout": Timeout(timeout_seconds)})
            except APIStatusError as error:
                if error.status_code not in WITHOUT_A_LIST:
                    raise _unusable(self.name, error) from None
            except OpenAIError as error:
                raise _unusable(self.name, error) from None
        except UnusableError as failed:
            raise _unavailable(failed) from None

    async def close(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _attempt(
        self,
        answer: Answer,
        body: Mapping[str, Any],
        said: Said,
        begin_by: float,
        end_by: float,
    ) -> ModelReply:
        try:
            async with (
                asyncio.timeout_at(begin_by) as limit,
                aclosing(self._events(body, end_by)) as events,
            ):
                async for event in events:
                    if words := answer.feed(event):
                        await said(words)
                    if answer.begun and begin_by != end_by:
                        limit.reschedule(begin_by := end_by)
                reply, unsaid = answer.result()
                if unsaid:
                    await said(unsaid)
                return reply
        except TimeoutError:
            if not limit.expired():  # the caller's own
                raise
            late = "did not finish" if answer.begun else "did not begin to answer"
            raise UnusableError(f"{body['model']} {late} in time") from None

    async def _events(self, body: Mapping[str, Any], end_by: float) -> AsyncGenerator[object]:
        """The stream, event by event; whatever keeps it from us is an `UnusableError`."""
        client = await self._open()
        from openai import AsyncStream, OpenAIError, Timeout

        left = max(end_by - asyncio.get_running_loop().time(), 0.001)
        limits = Timeout(left, connect=min(CONNECT_SECONDS, left))
        try:
            stream = await client.post(
                "/responses",
                body=body,
                cast_to=object,
                options={"timeout": limits},
                stream=True,
                stream_cls=AsyncStream[object],
            )
            async with stream:
                async for event in stream:
                    yield event
        except OpenAIError as error:
            raise _unusable(str(body["model"]), error) from None
        except ValueError:
            raise UnusableError(f"{body['model']} answered what is no stream of JSON events") from None

    async def _open(self) -> openai.AsyncOpenAI:
        if self._client is None:
            await asyncio.to_thread(importlib.import_module, "openai")
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        if self._closed:
            raise UnusableError(f"{self.name} is closed", another=False)
        if self._client is None:
            self._client = AsyncOpenAI(
                api_key=self._api_key or "none",  # an endpoint on one's own machine may want no key; the package does
                base_url=self._base_url,
                http_client=DefaultAsyncHttpxClient(transport=self._transport) if self._transport else None,
                max_retries=0,
            )
        return self._client


def _safely(token: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
    """Whatever a credential raises, what comes of it is that there is no answer."""

    async def fresh() -> str:
        try:
            return await token()
        except Exception as error:
            raise UnusableError(f"no token for the model: {type(error).__name__}", another=False) from error

    return fresh


def _unusable(model: str, error: openai.OpenAIError) -> UnusableError:
    """What happened, without the error's own text: providers quote the request in it."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        status = error.status_code
        what = ADVICE.get(status, "failed" if status >= 500 else ADVICE[400])
        return UnusableError(
            f"{model} {what} ({status}){code_of({'code': error.code})}",
            another=status != 401,
            retry_after_seconds=_seconds(error.response.headers.get("retry-after", "")),
        )
    if isinstance(error, APITimeoutError):
        return UnusableError(f"{model} did not answer in time")
    if isinstance(error, APIConnectionError):
        return UnusableError(f"{model} cannot be reached, or the connection broke")
    return UnusableError(f"{model} failed{code_of({'code': getattr(error, 'code', None)})}")


def _seconds(header: str) -> float | None:
    """`Retry-After` in seconds; its other form, a date, is not believed: clocks differ."""
    return min(float(header), 3600.0) if header.isdecimal() and header.isascii() else None


def _unavailable(*failures: UnusableError) -> ModelUnavailableError:
    waits = [one.retry_after_seconds for one in failures if one.retry_after_seconds is not None]
    return ModelUnavailableError("; ".join(map(str, failures)), retry_after_seconds=max(waits, default=None))
