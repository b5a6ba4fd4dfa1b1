"""A web server on this machine that a double answers from, and the faults that a test plans for its next requests."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[web.Request], Awaitable[web.Response]]


class WebServer:
    """Serves `answer` on a free port of 127.0.0.1. Each entry of `faults` is used up by one request: an integer or
    (integer, headers) is answered instead of doing the work; "drop" closes the connection before it, "lose" after it;
    None is no fault. `connections`: those that requests came over, by their other end.
    """

    def __init__(self, answer: Answer, *, certificate: Path | None = None) -> None:
        self._answer = answer
        self._certificate = certificate
        self._runner: web.AppRunner | None = None
        self.faults: list[int | tuple[int, dict[str, str]] | str | None] = []
        self.requests = 0
        self.connections: set[object] = set()
        self.url = ""

    async def start(self) -> None:
        app = web.Application(client_max_size=8_000_000)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        context = None
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return await self._answer(request)
        if fault in ("drop", "lose"):
            if fault == "lose":
                await self._answer(request)
            request.transport.abort()
            return web.Response()
        status, headers = fault if isinstance(fault, tuple) else (fault, {})
        await request.read()
        assert isinstance(status, int)
        return web.Response(status=status, headers=headers)


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key in one PEM file: what a server shows, and what a client may trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
