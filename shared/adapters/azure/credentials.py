"""The one Entra credential of a process: every Azure client asks it for tokens, and it keeps them until they expire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

type Credential = str | Callable[[], AsyncTokenCredential]
"""How an adapter signs in: with a key (for emulators), or with whatever the callable gives, asked on first use."""

NOT_SIGNED_IN = "the app's identity got no token: look at AZURE_CLIENT_ID"
"""What a `ClientAuthenticationError` means here; the library's own words differ from service to service."""


class EntraCredential:
    """A `Credential`. Made on first use; whoever made this closes it after the clients that were given it.

    client_id: of a user-assigned identity (AZURE_CLIENT_ID); without one, in_azure takes the system-assigned identity,
    and anywhere else whoever has signed in on this machine (`az login`, an editor, environment variables).
    """

    def __init__(self, *, client_id: str = "", in_azure: bool = False) -> None:
        self._client_id = client_id
        self._in_azure = in_azure
        self._made: AsyncTokenCredential | None = None

    def __call__(self) -> AsyncTokenCredential:
        if self._made is None:
            self._made = self._make()
        return self._made

    def tokens(self, scope: str) -> Callable[[], Awaitable[str]]:
        """A function that gives a token for `scope`: the same until it is about to expire, then a fresh one. For
        clients that know nothing of credentials; it raises what signing in raises."""
        give: Callable[[], Awaitable[str]] | None = None

        async def token() -> str:
            nonlocal give
            if give is None:
                from azure.identity.aio import get_bearer_token_provider

                give = get_bearer_token_provider(self(), scope)
            return await give()

        return token

    async def close(self) -> None:
        """Close what was made; the next use makes it anew."""
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    def _make(self) -> AsyncTokenCredential:
        from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

        if self._client_id:
            return ManagedIdentityCredential(client_id=self._client_id)
        return ManagedIdentityCredential() if self._in_azure else DefaultAzureCredential()
