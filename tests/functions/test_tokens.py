"""Bearer tokens: signature, issuer, audience, times; and a key server that is slow, down or asked for nonsense."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.functions.conftest import App, Reply

ISSUER, AUDIENCE = "https://issuer.example", "api://countersign"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(kind: Any, key: Any, kid: str) -> dict[str, Any]:
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


class KeyServer:
    """Serves keys on a port of its own and counts who asks."""

    def __init__(self) -> None:
        self.asked, self.down = 0, False
        keys = [
            jwk(jwt.algorithms.RSAAlgorithm, RSA_KEY, "rsa-1"),
            jwk(jwt.algorithms.ECAlgorithm, EC_KEY, "ec-1"),
            {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "oct-1", "use": "sig"},
        ]
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                body = json.dumps({"keys": keys}).encode()
                self.send_response(500 if server.down else 200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.http.server_port}/keys"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.close()


@pytest.fixture
def with_tokens(app: App, settings: Callable[..., None], keys: KeyServer) -> App:
    settings(AUTH_MODE="jwt", JWT_ISSUER=ISSUER, JWT_AUDIENCE=AUDIENCE, JWT_JWKS_URI=keys.uri)
    return app


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {
        "iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "nbf": now - 5, "iat": now - 5,
        "tid": "tid-1", "oid": "oid-1", "sub": "sub-1", "scp": "x", "tenants": ["home:reviewer"],
    } | changes  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def token(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa-1", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def signed_with_secret(secret: bytes) -> str:
    """The classic confusion: the public key taken for a shared secret. The library refuses to make such a token."""
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa-1"}), json.dumps(claims())]
    signed = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts)
    mac = hmac.digest(secret, signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


async def ask(app: App, bearer: str) -> Reply:
    return await app.call("list_transactions", as_={"Authorization": f"Bearer {bearer}"})


async def test_good_tokens_of_both_kinds_of_key_are_let_in(with_tokens: App, keys: KeyServer):
    assert (await ask(with_tokens, token())).status == 200
    assert (await ask(with_tokens, token(EC_KEY, "ES256", "ec-1"))).status == 200
    assert (await ask(with_tokens, token(tid=None, oid=None))).status == 200
    assert (await ask(with_tokens, token(tenants={"home": ["auditor"], "desk": "member"}))).status == 400  # which one?
    assert (await ask(with_tokens, token(tenants={"home": ["auditor"]}))).status == 200
    assert (await ask(with_tokens, token(tenants={"home": ["operator"]}))).status == 403
    assert (await ask(with_tokens, token(tenants=None))).status == 403
    assert keys.asked == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": int(time.time()) - 3600}, "token_expired"),
        ({"nbf": int(time.time()) + 3600}, "token_invalid"),
        ({"iat": int(time.time()) + 3600}, "token_invalid"),
        ({"iss": "https://evil.example"}, "token_invalid"),
        ({"aud": "api://other"}, "token_invalid"),
        ({"exp": None}, "token_invalid"),
        ({"iat": None}, "token_invalid"),
        ({"aud": None}, "token_invalid"),
        ({"sub": None, "oid": None}, "unauthenticated"),
    ],
)
async def test_claims_are_checked(with_tokens: App, changes: dict[str, Any], code: str):
    reply = await ask(with_tokens, token(**changes))
    assert (reply.status, reply.body["type"]) == (401, f"urn:countersign:problem:{code}")


async def test_signatures_are_checked_by_the_keys_own_algorithm(with_tokens: App):
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = b"secretsecretsecretsecretsecret" + b"secret"
    wrong = [
        token(OTHER_KEY),
        token(EC_KEY, "ES256", "rsa-1"),
        token(RSA_KEY, "PS256"),
        token(RSA_KEY, "RS512"),
        signed_with_secret(public),
        token(secret, "HS256", "oct-1"),
        jwt.encode(claims(), None, algorithm="none", headers={"kid": "rsa-1"}),
        token(kid=None),
        token()[:-4] + "AAAA",
        "a.b.c",
        "x" * 20_000,
        "é.é.é",
    ]
    assert [(await ask(with_tokens, one)).status for one in wrong] == [401] * len(wrong)


async def test_an_unknown_key_does_not_make_us_hammer_the_key_server(with_tokens: App, keys: KeyServer):
    for number in range(20):
        assert (await ask(with_tokens, token(kid=f"unknown-{number}"))).status == 401
    assert keys.asked <= 2


async def test_without_the_key_server_nobody_can_say_and_known_keys_still_work(with_tokens: App, keys: KeyServer):
    keys.down = True
    reply = await ask(with_tokens, token())
    assert (reply.status, reply.body["type"]) == (503, "urn:countersign:problem:key_server_unavailable")
    assert "retry-after" in reply.headers
    keys.down = False
    assert (await ask(with_tokens, token())).status == 200
    keys.down = True
    assert (await ask(with_tokens, token())).status == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b"])
async def test_no_token_is_nobody(with_tokens: App, header: str):
    reply = await with_tokens.call("list_transactions", as_={"Authorization": header})
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
