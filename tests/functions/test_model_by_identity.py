"""A model on Azure is asked with the app's identity: the real credential, the real client, both over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shared import bootstrap, connections
from shared.adapters.embedded.language_model import Says, Turn
from shared.ports.language_model import LanguageModel, Line, ModelRequest, ModelUnavailableError
from tests.doubles.identity import Asked, IdentityEndpoint
from tests.journeys.model_server import ModelServer

REQUEST = ModelRequest(
    lines=(Line("user", "hello"),),
    tools=(),
    reply_schema={
        "type": "object",
        "properties": {"reply": {"type": "string"}},
        "required": ["reply"],
        "additionalProperties": False,
    },
    timeout_seconds=10,
    max_output_tokens=50,
)
Settings = Callable[..., None]


async def asked(server: ModelServer, settings: Settings, *, key: str = "", times: int = 1) -> list[str]:
    """What the endpoint was shown when the model was asked so many times, a second and a bit apart."""
    settings(MODEL="gpt", OPENAI_BASE_URL=server.url, OPENAI_API_KEY=key, AZURE_CLIENT_ID="the-app")
    model = the_model()
    for time in range(times):
        await asyncio.sleep(1.2 if time else 0)
        reply = await model.respond(REQUEST, said=nobody)
        assert reply.output == {"reply": "Hello."}
    return [one.headers["authorization"] for one in server.received]


def the_model() -> LanguageModel:
    model = bootstrap.model()
    assert model is not None
    return model


async def nobody(words: str) -> None:
    del words


@pytest.fixture
def on_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine stands for a host of Azure's."""
    monkeypatch.setattr(connections, "AZURE_OPENAI_HOSTS", ("127.0.0.1",))


@pytest.fixture
def server() -> ModelServer:
    return ModelServer([Turn("hello", Says({"reply": "Hello."}))])


@pytest.mark.usefixtures("on_azure")
async def test_a_token_is_kept_while_it_is_good_and_then_fetched_anew(
    identity: IdentityEndpoint, server: ModelServer, settings: Settings
):
    identity.lives_seconds = [1, 3600]
    with server:
        assert await asked(server, settings, times=3) == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert identity.asked == [Asked("https://cognitiveservices.azure.com", "the-app")] * 2


@pytest.mark.usefixtures("on_azure")
async def test_a_key_that_is_set_is_what_is_used(identity: IdentityEndpoint, server: ModelServer, settings: Settings):
    with server:
        assert await asked(server, settings, key="a-key") == ["Bearer a-key"]
    assert identity.asked == []


async def test_nobody_elsewhere_is_shown_a_token(identity: IdentityEndpoint, server: ModelServer, settings: Settings):
    with server:
        assert await asked(server, settings) == ["Bearer none"]
    assert identity.asked == []


@pytest.mark.parametrize(
    ("address", "by_identity"),
    [
        ("https://ai-1.openai.azure.com/openai/v1/", True),
        ("https://ai-1.services.ai.azure.com/openai/v1/", True),
        ("https://ai-1.OpenAI.Azure.com/openai/v1/", True),
        ("https://openai.azure.com.example/openai/v1/", False),
        ("https://example/openai/v1/?host=.openai.azure.com", False),
        ("https://user:.openai.azure.com@example/v1", False),
        ("", False),
    ],
)
async def test_only_hosts_of_azure_are_signed_in_to(
    identity: IdentityEndpoint, settings: Settings, address: str, by_identity: bool
):
    settings(MODEL="gpt", OPENAI_BASE_URL=address or "https://api.openai.com/v1", AZURE_CLIENT_ID="the-app")
    assert callable(the_model()._api_key) is by_identity  # type: ignore[attr-defined]


@pytest.mark.usefixtures("on_azure")
async def test_without_an_identity_there_is_no_answer_and_nobody_is_asked(
    identity: IdentityEndpoint, server: ModelServer, settings: Settings
):
    identity.knows = "another-app"
    with server:
        settings(MODEL="gpt", OPENAI_BASE_URL=server.url, AZURE_CLIENT_ID="the-app")
        with pytest.raises(ModelUnavailableError, match="no token for the model"):
            await the_model().respond(REQUEST, said=nobody)
    assert list(server.received) == []
