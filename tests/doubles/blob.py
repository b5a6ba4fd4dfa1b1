"""A blob container with a locked retention policy, over HTTP: only what a checkpoint log may do, and strictly.

Put Blob (block blobs, new ones only), List Blobs (prefix, page size, marker, metadata), Get Blob. Whatever would change
or delete a blob is 409 BlobImmutableDueToPolicy. Requests are signed with the account's key (Shared Key) or carry the
double's token. Source: Azure Storage REST reference ("Put Blob", "List Blobs", "Authorize with Shared Key") and
"Container-level WORM policies" on learn.microsoft.com.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from tests.doubles.credentials import TOKEN
from tests.doubles.web_server import WebServer

ACCOUNT, CONTAINER = "devaccount", "checkpoints"
KEY = base64.b64encode(b"the key of the double, and of nothing else").decode()
SCOPE = "https://storage.azure.com/.default"
SIGNED = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


class Blob(NamedTuple):
    body: bytes
    content_type: str
    metadata: dict[str, str]


class BlobContainer:
    """`blobs` by name; a test may look at them and put what it likes there."""

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.server = WebServer(self._answer, certificate=certificate)
        self.blobs: dict[str, Blob] = {}
        self.listed = 0

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    @property
    def url(self) -> str:
        return f"{self.server.url}/{ACCOUNT}/{CONTAINER}"

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Authorization") not in (
            f"Bearer {TOKEN}",
            f"SharedKey {ACCOUNT}:{_signature(request)}",
        ):
            return _error(403, "AuthenticationFailed")
        if not request.headers.get("x-ms-version"):
            return _error(400, "MissingRequiredHeader")
        _, account, container, *name = request.path.split("/", 3)
        if (account, container) != (ACCOUNT, CONTAINER):
            return _error(404, "ContainerNotFound")
        if not name:
            return self._listed(request)
        if request.method == "PUT":
            return self._put(request, name[0], body)
        if request.method == "GET":
            blob = self.blobs.get(name[0])
            return web.Response(body=blob.body) if blob else _error(404, "BlobNotFound")
        return _error(409, "BlobImmutableDueToPolicy")

    def _put(self, request: web.Request, name: str, body: bytes) -> web.Response:
        told = request.headers
        if request.query:
            return _error(409, "BlobImmutableDueToPolicy")  # metadata, properties, tiers, blocks
        if told.get("x-ms-blob-type") != "BlockBlob" or len(name) > 1024:
            return _error(400, "InvalidHeaderValue")
        if name in self.blobs:
            return _error(409, "BlobAlreadyExists" if told.get("If-None-Match") == "*" else "BlobImmutableDueToPolicy")
        prefix = "x-ms-meta-"
        metadata = {key[len(prefix) :]: told[key] for key in told if key.lower().startswith(prefix)}
        if not all(key.isidentifier() and value.isascii() for key, value in metadata.items()):
            return _error(400, "InvalidMetadata")
        self.blobs[name] = Blob(body, told.get("x-ms-blob-content-type", ""), metadata)
        return web.Response(status=201, headers={"ETag": f'"{len(self.blobs)}"', "Last-Modified": DAY})

    def _listed(self, request: web.Request) -> web.Response:
        query = request.query
        if request.method != "GET" or (query.get("restype"), query.get("comp")) != ("container", "list"):
            return _error(409, "BlobImmutableDueToPolicy")
        size = int(query.get("maxresults", "5000"))
        if not 1 <= size <= 5000:
            return _error(400, "OutOfRangeQueryParameterValue")
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        names = sorted(name for name in self.blobs if name.startswith(prefix) and name >= marker)
        self.listed += 1
        told = "".join(self._entry(name, with_metadata="metadata" in query.get("include", "")) for name in names[:size])
        following = f"<NextMarker>{escape(names[size])}</NextMarker>" if len(names) > size else "<NextMarker />"
        xml = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName={quoteattr(self.url)}>'
            f"<Prefix>{escape(prefix)}</Prefix><MaxResults>{size}</MaxResults><Blobs>{told}</Blobs>{following}"
            "</EnumerationResults>"
        )
        return web.Response(body=xml.encode(), content_type="application/xml")

    def _entry(self, name: str, *, with_metadata: bool) -> str:
        blob = self.blobs[name]
        told = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{DAY}</Last-Modified><Etag>1</Etag>"
            f"<Content-Length>{len(blob.body)}</Content-Length><BlobType>BlockBlob</BlobType></Properties>"
            f"{f'<Metadata>{told}</Metadata>' if with_metadata else ''}</Blob>"
        )


DAY = "Sun, 01 Mar 2026 12:00:00 GMT"


def _error(status: int, code: str) -> web.Response:
    xml = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return web.Response(
        status=status, body=xml.encode(), content_type="application/xml", headers={"x-ms-error-code": code}
    )


def _signature(request: web.Request) -> str:
    """As the service computes it: verb, standard headers, x-ms- headers, resource with its query."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    lines = [request.method, *(headers.get(name, "") for name in SIGNED)]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
    lines.append(f"/{ACCOUNT}{request.raw_path.partition('?')[0]}")
    lines += [f"{name.lower()}:{value}" for name, value in sorted(request.query.items())]
    mac = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()
