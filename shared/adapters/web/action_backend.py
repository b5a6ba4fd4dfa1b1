"""`HttpActionBackend`: effects carried out by a bank over HTTP; the port states the promises.

The bank's side: `POST {base}/v1/transfers` with `Idempotency-Key`, `GET {base}/v1/transfers/by-key/{key}`,
`GET {base}/v1/accounts/{id}`, `GET {base}/v1/health`; bearer token; errors are RFC 9457 problems with a `code`.

What an answer proves is the heart of it (`_effect`):

* nothing was done, for certain: no connection; 401 and 403 (ours to mend); 408, 425, 429; a 503 with
  `"nothing_done": true`; any 4xx that is not in the bank's own words (a gateway's 404 says nothing of a transfer).
* refused: a 4xx in the bank's own words.
* unknown: everything else. A 503 without that word comes from gateways too, after the bank has done its work.

Certain means: of *this* request. An earlier one under the same key may still be on its way.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from shared.contracts.shape import SAFE_INTEGER
from shared.errors import ConfigurationError, RetryableError
from shared.ports.action_backend import Effect, EffectUnknownError

if TYPE_CHECKING:
    import httpx2

Token = str | Callable[[], Awaitable[str]]
"""A bearer token, or who gives one (and keeps it while it is good); `RetryableError` when there is none to be had."""

MAX_ANSWER_BYTES = 65_536
MAX_CONNECTIONS = 20
LONGEST_RETRY_AFTER_SECONDS = 3600.0
_PATHS = {"transfer_funds": "/v1/transfers"}
_FACTS = ("from_account", "to_account", "amount_minor", "currency", "made_at")
_STATE = ("balance_minor", "currency", "status", "owner_name")
_UNDONE = frozenset({401, 403, 407, 408, 425, 429})
_IN_PROGRESS = frozenset({"request_in_progress", "idempotency_key_in_use"})
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")


class _Answer(NamedTuple):
    status: int
    media_type: str
    retry_after: str
    body: Mapping[str, Any] | None  # None: not a JSON object, or too large


class HttpActionBackend:
    """See the module docstring. base_url: https, or http to this machine. client: for tests; its owner closes it."""

    def __init__(self, *, name: str, base_url: str, token: Token, client: httpx2.AsyncClient | None = None) -> None:
        where = urlsplit(base_url)
        if where.scheme != "https" and (where.scheme, where.hostname) not in (
            ("http", "127.0.0.1"),
            ("http", "localhost"),
        ):
            raise ConfigurationError(f"the address of {name} must be https: a token travels with every call")
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._client = client
        self._owned = client is None
        self._closed = False

    async def perform(
        self, operation: str, arguments: Mapping[str, Any], *, key: str, timeout_seconds: float
    ) -> Effect:
        """Ask for one effect; arguments that cannot even be sent are refused here."""
        if operation not in _PATHS:
            return Effect("refused", code="operation_unknown", detail=f"{self.name} has no {operation}")
        try:
            content = json.dumps(arguments, allow_nan=False).encode()
        except (TypeError, ValueError) as wrong:
            return Effect("refused", code="invalid_arguments", detail=str(wrong)[:300])
        if not _is_name(key) or not _VISIBLE.fullmatch(key):
            return Effect("refused", code="invalid_arguments", detail="an idempotency key is visible ASCII")
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = await self._call("POST", _PATHS[operation], timeout_seconds, headers, content)
        return self._effect(answer, key)

    async def find(self, key: str, *, timeout_seconds: float) -> Effect | None:
        """What became of `key`. Only the bank's own word for it means "never seen": a gateway's 404 does not."""
        if not _is_name(key):
            return None
        answer = await self._read(f"/v1/transfers/by-key/{quote(key, safe='')}", timeout_seconds)
        if answer.status == 404 and _code(answer) == "transfer_unknown":
            return None
        if answer.status == 200 and (effect := _told(answer, key)) is not None:
            return effect
        raise self._unavailable(answer)

    async def state_of(self, subject: str, *, timeout_seconds: float) -> Mapping[str, Any]:
        """{"balance_minor", "currency", "status", "owner_name"} of an account; {} when the bank knows none such."""
        if not _is_name(subject):
            return {}
        answer = await self._read(f"/v1/accounts/{quote(subject, safe='')}", timeout_seconds)
        if answer.status == 404 and _code(answer) == "account_unknown":
            return {}
        if answer.status == 200 and answer.body is not None:
            state = _facts(answer.body, _STATE)
            if isinstance(state.get("balance_minor"), int) and len(state) == len(_STATE):
                return state
        raise self._unavailable(answer)

    async def ping(self, *, timeout_seconds: float) -> None:
        """`GET /v1/health`, with the token: a bank that no longer knows us is not available."""
        answer = await self._read("/v1/health", timeout_seconds)
        if answer.status != 200:
            raise self._unavailable(answer)

    async def close(self) -> None:
        """Close the connections; calls after this are refused as unavailable."""
        self._closed = True
        if self._owned and self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _read(self, path: str, timeout_seconds: float) -> _Answer:
        """A call without an effect: when no answer came, nothing was done either."""
        try:
            return await self._call("GET", path, timeout_seconds, {})
        except EffectUnknownError as lost:
            raise RetryableError(str(lost), code="backend_unavailable") from lost

    async def _call(
        self, method: str, path: str, timeout_seconds: float, headers: dict[str, str], content: bytes | None = None
    ) -> _Answer:
        """One exchange. Until the request is handed over any failure is certain; after that `_sent_nothing` decides."""
        import httpx2

        handed_over = False
        try:
            async with asyncio.timeout(timeout_seconds):
                headers |= {"Authorization": f"Bearer {await self._bearer()}", "Accept-Encoding": "identity"}
                client = self._opened()
                request = client.build_request(
                    method, self._base_url + path, headers=headers, content=content, timeout=_phases(timeout_seconds)
                )
                handed_over = True
                return await _exchange(client, request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise self._not_reached(error) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, RuntimeError, ValueError, OSError) as error:
            if not handed_over:
                raise self._not_reached(error) from error
            what = f"{self.name}: the request may have arrived and no answer came ({type(error).__name__})"
            raise EffectUnknownError(what) from error

    async def _bearer(self) -> str:
        token = self._token if isinstance(self._token, str) else await self._token()
        if not _VISIBLE.fullmatch(token):
            raise RetryableError(f"{self.name}: the token is no token", code="backend_unavailable")
        return token

    def _opened(self) -> httpx2.AsyncClient:
        import httpx2

        if self._closed:
            raise RetryableError(f"{self.name}: the backend was closed", code="backend_unavailable")
        if self._client is None:
            limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
            # No redirects, and no proxy that an environment variable names: the token goes to this address alone.
            self._client = httpx2.AsyncClient(limits=limits, follow_redirects=False, trust_env=False)
        return self._client

    def _effect(self, answer: _Answer, key: str) -> Effect:
        status, code = answer.status, _code(answer)
        if status in (200, 201, 202):
            if (effect := _told(answer, key)) is not None:
                return effect
        elif status == 409 and code in _IN_PROGRESS:
            return Effect("pending", code=code)
        elif status in _UNDONE or (400 <= status < 500 and not code):
            raise self._unavailable(answer)
        elif 400 <= status < 500:
            return Effect("refused", _text(answer, "transfer_id"), code, _text(answer, "detail"))
        elif status == 503 and answer.body is not None and answer.body.get("nothing_done") is True:
            raise self._unavailable(answer)
        raise EffectUnknownError(f"{self.name} answered {status}, which does not say what was done")

    def _unavailable(self, answer: _Answer) -> RetryableError:
        wish = float(answer.retry_after) if re.fullmatch(r"\d{1,9}", answer.retry_after, re.ASCII) else None
        return RetryableError(
            f"{self.name} answered {answer.status} {_code(answer)}".rstrip(),
            code="backend_unavailable",
            retry_after_seconds=None if wish is None else min(wish, LONGEST_RETRY_AFTER_SECONDS),
        )

    def _not_reached(self, error: Exception) -> RetryableError:
        return RetryableError(f"{self.name} was not reached ({type(error).__name__})", code="backend_unavailable")


async def _exchange(client: httpx2.AsyncClient, request: httpx2.Request) -> _Answer:
    response = await client.send(request, stream=True)
    packed = "Content-Encoding" in response.headers  # never asked for, and never unpacked: a small bomb is a large one
    content = bytearray()
    try:
        if not packed:
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    break
    finally:
        await response.aclose()
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    body = _object(bytes(content)) if len(content) <= MAX_ANSWER_BYTES else None
    return _Answer(response.status_code, media_type, response.headers.get("Retry-After", ""), body)


def _phases(timeout_seconds: float) -> httpx2.Timeout:
    """Waiting for a connection, connecting and TLS get a quarter each: what is too slow before anything is sent ends
    as such, and never as the time-out of the whole, which proves nothing."""
    import httpx2

    return httpx2.Timeout(timeout_seconds, connect=timeout_seconds / 4, pool=timeout_seconds / 4)


def _is_name(value: str) -> bool:
    """Whether it can stand in a path: neither empty nor a dot segment."""
    return 1 <= len(value) <= 255 and bool(value.strip("."))


def _object(content: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _code(answer: _Answer) -> str:
    """The bank's word for what is wrong; "" when it is not the bank that speaks."""
    if answer.body is None:
        return ""
    if _CODE.fullmatch(code := str(answer.body.get("code", ""))):
        return code
    if answer.media_type != "application/problem+json":
        return ""
    return "idempotency_key_reused" if answer.status == 422 else f"http_{answer.status}"


def _told(answer: _Answer, key: str) -> Effect | None:
    """The state of `key` as the bank tells it; None when it does not."""
    body = answer.body
    if body is None or body.get("idempotency_key") != key or not (reference := _text(answer, "transfer_id")):
        return None
    state: Literal["done", "refused", "pending"]
    match body.get("state"):
        case "done" | "refused" | "pending" as state:
            return Effect(state, reference, _text(answer, "code"), _text(answer, "detail"), _facts(body, _FACTS))
    return None


def _text(answer: _Answer, name: str) -> str:
    """A member's text, at most 300 printable characters; "" when it is none."""
    value = None if answer.body is None else answer.body.get(name)
    return "".join(c for c in value[:300] if c.isprintable()) if isinstance(value, str) else ""


def _facts(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, int | str]:
    """Those of the members that are short texts or exact integers."""
    found = {name: body.get(name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if (isinstance(value, str) and len(value) <= 100)
        or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= SAFE_INTEGER)
    }
