"""The address that App Service gives an app for tokens of its identity (`IDENTITY_ENDPOINT`), on this machine."""

from __future__ import annotations

import time
from typing import NamedTuple

from aiohttp import web

from tests.doubles.web_server import WebServer

SECRET = "header-of-this-app"  # noqa: S105  it opens nothing but this double


class Asked(NamedTuple):
    """For what, and for which identity, somebody wanted a token."""

    resource: str
    client_id: str


class IdentityEndpoint:
    """Gives `token-1`, `token-2`, ... to who knows SECRET. `lives_seconds`: of the next tokens, the last of all."""

    def __init__(self, *lives_seconds: float) -> None:
        self.lives_seconds = list(lives_seconds) or [3600.0]
        self.asked: list[Asked] = []
        self.knows = ""
        """When set: the one client id that there is an identity for."""
        self._server = WebServer(self._answer)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": f"{self._server.url}/msi/token", "IDENTITY_HEADER": SECRET}

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != SECRET:
            return web.json_response({"message": "who is asking?"}, status=403)
        asked = Asked(request.query["resource"], request.query.get("client_id", ""))
        self.asked.append(asked)
        if self.knows and asked.client_id != self.knows:
            return web.json_response({"statusCode": 400, "message": "No User Assigned identity found"}, status=400)
        lives = self.lives_seconds[0] if len(self.lives_seconds) == 1 else self.lives_seconds.pop(0)
        return web.json_response(
            {
                "access_token": f"token-{len(self.asked)}",
                "expires_on": str(int(time.time() + lives)),
                "resource": asked.resource,
                "token_type": "Bearer",
                "client_id": asked.client_id,
            }
        )
