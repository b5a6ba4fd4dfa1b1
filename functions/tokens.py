"""Bearer tokens (RFC 7519) for AUTH_MODE=jwt: signature, issuer, audience and times. The key server is asked seldom.

Which algorithm is right follows from the key's type, never from what the token says of itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from shared.errors import RetryableError, UnauthenticatedError
from shared.settings import Settings

if TYPE_CHECKING:
    from jwt import PyJWKClient

MAX_TOKEN = 16_384
LEEWAY_SECONDS = 30
KEYS_LIFESPAN_SECONDS = 300
COOLDOWN_SECONDS = 30
"""How long a key id that nobody knows cannot make us ask the key server again."""
KEY_SERVER_SECONDS = 5
ALGORITHM_OF_KEY = {"RSA": "RS256", "EC": "ES256"}
REQUIRED = ["exp", "iat", "iss", "aud"]

_clients: dict[str, PyJWKClient] = {}


async def verified_claims(token: str, settings: Settings) -> dict[str, Any]:
    """The token's claims. `UnauthenticatedError` says what is wrong with it; `RetryableError` when its key could not
    be fetched: then nobody can say whether the token is good."""
    import jwt

    if len(token) > MAX_TOKEN:
        raise UnauthenticatedError("the token is too long")
    key = await _key_of(token, _client(settings.jwt_jwks_uri))
    algorithm = ALGORITHM_OF_KEY.get(str(key.key_type))
    if algorithm is None:
        raise UnauthenticatedError("the token is signed with a kind of key that is not accepted here")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED},
        )
    except jwt.PyJWTError as failed:
        raise UnauthenticatedError(f"the token is not valid: {failed}"[:200], code=_code(failed)) from failed
    return claims


async def _key_of(token: str, client: PyJWKClient) -> Any:
    """The token's key; the client is synchronous, so it has a thread of its own to wait in."""
    import jwt

    try:
        return await asyncio.to_thread(client.get_signing_key_from_jwt, token)
    except jwt.PyJWKClientConnectionError as failed:
        raise RetryableError("the key server cannot be reached", code="key_server_unavailable") from failed
    except jwt.PyJWKClientError as failed:
        raise UnauthenticatedError("the token names a key that the key server does not know") from failed
    except jwt.PyJWKSetError as failed:
        raise RetryableError("the key server's answer has no usable keys", code="key_server_unavailable") from failed
    except (jwt.PyJWTError, ValueError) as failed:
        raise UnauthenticatedError("the bearer token is not a signed token") from failed


def _client(uri: str) -> PyJWKClient:
    from jwt import PyJWKClient

    if uri not in _clients:
        _clients[uri] = PyJWKClient(
            uri,
            cache_jwk_set=True,
            lifespan=KEYS_LIFESPAN_SECONDS,
            timeout=KEY_SERVER_SECONDS,
            cooldown_duration=COOLDOWN_SECONDS,
        )
    return _clients[uri]


def _code(failed: Exception) -> str:
    from jwt import ExpiredSignatureError

    return "token_expired" if isinstance(failed, ExpiredSignatureError) else "token_invalid"
