"""A double of Cosmos DB's REST protocol, over a real socket: what azure-cosmos says to it, it must say right.

Written from the documented protocol and from what azure-cosmos 4.17.1 sends; strict where emulators are lax: signatures
are checked, a batch is all or nothing, each operation's `ifMatch` counts, limits are enforced, an order needs its
composite index. What it does not know it refuses loudly. `Served.trouble` makes it fail as the service does. What it
charges is `cosmos_prices.py`'s. Partitions are not split and replicas do not lag.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import threading
import urllib.parse
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from shared.adapters.azure.cosmos_index import DEFAULT_TIME_TO_LIVE, indexing_policy
from tests.doubles.cosmos_items import MAX_REQUEST_BYTES, Container, Item, RefusalError
from tests.doubles.cosmos_requests import Request, answered, check_signature, refused
from tests.doubles.cosmos_served import Served

_OWNER_MISSING = 1003


@functools.cache
def running() -> CosmosDouble:
    """One account for the whole test run; each test takes a database of its own."""
    return CosmosDouble()


class CosmosDouble:
    """An account on 127.0.0.1, served from a thread of its own, so that any event loop may ask."""

    def __init__(self, *, consistency: str = "Strong", certificate: Path | None = None) -> None:
        self.consistency = consistency
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.account_requests = 0
        self._containers: dict[str, Served] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="cosmos double")
        self._thread.start()
        self._runner, self.endpoint = self._wait(self._start())

    def container(self, database: str, name: str = "documents") -> Served:
        """The container, made with our index policy on first use."""
        link = f"dbs/{database}/colls/{name}"
        if link not in self._containers:
            self._containers[link] = Served(Container(indexing_policy(), DEFAULT_TIME_TO_LIVE))
        return self._containers[link]

    def close(self) -> None:
        """Stop serving."""
        self._wait(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> tuple[web.AppRunner, str]:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES * 4)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        host, port = runner.addresses[0][:2]
        return runner, f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        parts = [urllib.parse.unquote(part) for part in request.rel_url.raw_path.strip("/").split("/")]
        try:
            check_signature(request, parts)
            if parts == [""]:
                self.account_requests += 1
                return answered(200, self._account(), {})
            return await Request(request, self._owner(parts), parts, self.consistency).served()
        except RefusalError as refusal:
            return refused(refusal)

    def _owner(self, parts: list[str]) -> Served:
        served = self._containers.get("/".join(parts[:4]))
        if served is None:
            raise RefusalError(404, "Owner resource does not exist", sub_status=_OWNER_MISSING)
        return served

    def _account(self) -> Item:
        here = [{"name": "North", "databaseAccountEndpoint": self.endpoint}]
        return {
            "id": "double", "_rid": "double", "_self": "", "_dbs": "//dbs/", "media": "//media/",
            "addresses": "//addresses/", "writableLocations": here, "readableLocations": here,
            "enableMultipleWriteLocations": False,
            "userConsistencyPolicy": {"defaultConsistencyLevel": self.consistency},
            "userReplicationPolicy": {"minReplicaSetSize": 3, "maxReplicasetSize": 4},
            "queryEngineConfiguration": "{}",
        }  # fmt: skip
