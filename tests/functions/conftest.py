"""The triggers' own functions over the real composition, in a folder of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import azure.functions as func
import pytest

from functions import BLUEPRINTS, caller, tokens
from shared import bootstrap
from shared.settings import ADDRESSES, KEYS, NAMESPACES
from tests.bench import facts
from tests.doubles.identity import IdentityEndpoint

SETTINGS = (
    "AUTH_MODE", "WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "TENANT_CLAIM", "ROLES_CLAIM", "FIRST_OPERATORS",
    "JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URI", "OUTSIDE_PRODUCERS", "COUNTERSIGN_POLICY",
    "COUNTERSIGN_ACTION_POLICY", "BANK_URL", "BANK_TOKEN", "BANK_ACCOUNTS", "CODE_VERSION",
    *ADDRESSES, *NAMESPACES, *KEYS,
)  # fmt: skip
ALL_ROLES = "member,reviewer,auditor,operator"


class Reply(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]
    kind: str


@cache
def functions() -> dict[str, Any]:
    """The indexed functions, by name."""
    app = func.FunctionApp()
    for blueprint in BLUEPRINTS:
        app.register_functions(blueprint)
    return {function.get_function_name(): function for function in app.get_functions()}


def http_names() -> list[str]:
    return sorted(
        name
        for name, function in functions().items()
        if function.get_trigger().get_dict_repr()["type"] == "httpTrigger"
    )


def dev(name: str = "alice", tenants: str = "home", roles: str = ALL_ROLES) -> dict[str, str]:
    """The header that says who is calling."""
    return {"X-Dev-Caller": f"{name}; tenants={tenants}; roles={roles}"}


class App:
    """Calls functions as the host would."""

    async def call(
        self,
        name: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        as_: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        **route: str,
    ) -> Reply:
        function = functions()[name]
        trigger = function.get_trigger().get_dict_repr()
        method = str(getattr(trigger["methods"][0], "value", trigger["methods"][0]))
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = dict(dev() if as_ is None else as_)
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        request = func.HttpRequest(
            method,
            f"http://localhost/api/{trigger['route']}",
            headers=sent,
            params=params,
            route_params=route,
            body=raw,
        )
        reply = await function.get_user_function()(request)
        content = reply.get_body()
        kind = reply.mimetype or ""
        decoded = json.loads(content) if kind.endswith(("/json", "+json")) and content else content
        return Reply(reply.status_code, decoded, {name.lower(): value for name, value in reply.headers.items()}, kind)

    async def submit(self, *ids: str, **changes: Any) -> Reply:
        """A statement with these transactions."""
        rows = [facts(one, **changes) for one in ids]
        return await self.call("post_transactions", {"transactions": rows})


@cache
def the_policy() -> Any:
    """Read once for all tests: it is frozen, and reading it takes longer than most tests."""
    policy = bootstrap.policy()
    bootstrap.policy.cache_clear()
    return policy


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    await bootstrap.shutdown()
    caller.forget()
    tokens._clients.clear()
    the_policy()
    bootstrap.settings.cache_clear()
    monkeypatch.setattr(bootstrap, "policy", cache(the_policy))
    yield App()
    await bootstrap.shutdown()
    caller.forget()


@pytest.fixture
def settings(app: App, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes settings for the rest of the test; to be used before the first call."""
    del app

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return change


@pytest.fixture
async def identity(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IdentityEndpoint]:
    del app
    endpoint = IdentityEndpoint()
    await endpoint.start()
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    yield endpoint
    await bootstrap.shutdown()
    await endpoint.stop()
