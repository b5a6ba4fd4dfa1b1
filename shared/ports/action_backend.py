"""A backend that carries out effects on the world: a bank, a ledger of somebody else's. What every adapter promises.

* **perform** asks for one effect under an idempotency key. The same key with the same arguments is carried out at
  most once by the backend, whoever asks and however often. `Effect` says what the backend answered.
* **find** asks what became of a key: `None` means that the backend has never seen it.
* Errors: `RetryableError("backend_unavailable")` when it is *certain* that nothing was done (no connection, "busy",
  a failed sign-in); `EffectUnknownError` when the request may have arrived and no answer came (a time-out, a dropped
  connection, a 5xx): whoever asked must `find` before anything else. Nothing else escapes.
* Every call ends within its `timeout_seconds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

from shared.errors import RetryableError


class EffectUnknownError(RetryableError):
    """The effect may or may not have happened: ask the backend by key, never repeat blindly."""

    code = "effect_unknown"


class Effect(NamedTuple):
    """What a backend says of one key.

    state: `done`; `refused` (nothing was done and nothing will be: `code` and `detail` say why); `pending` (it is
    working on it: find it again). reference: the backend's own id of what it did. details: small JSON facts.
    """

    state: Literal["done", "refused", "pending"]
    reference: str = ""
    code: str = ""
    detail: str = ""
    details: Mapping[str, Any] = {}


class ActionBackend(Protocol):
    """See the module docstring. `name` is what policy, breaker and metrics call it."""

    name: str

    async def perform(
        self, operation: str, arguments: Mapping[str, Any], *, key: str, timeout_seconds: float
    ) -> Effect: ...

    async def find(self, key: str, *, timeout_seconds: float) -> Effect | None: ...

    async def state_of(self, subject: str, *, timeout_seconds: float) -> Mapping[str, Any]:
        """What an action's precondition looks at (an account: {"balance_minor", "currency", "status"}); {} for none."""
        ...

    async def ping(self, *, timeout_seconds: float) -> None:
        """Prove that the backend answers; `RetryableError` says why not. Has no effect."""
        ...

    async def close(self) -> None: ...
