"""Asking a backend, through its breaker: what became of a key, what the world is like, and for one effect.

Every call is admitted before and told of after, so that all instances learn from each other's failures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from shared.actions.action import Action, Permit
from shared.actions.breaker import BreakerRule
from shared.actions.breaker_store import admit, record
from shared.errors import RetryableError, TerminalError
from shared.ports.action_backend import ActionBackend, Effect, EffectUnknownError
from shared.ports.document_store import DocumentStore


class Line(NamedTuple):
    """How to reach one backend. now: of the command; a breaker's pauses are longer than a command."""

    backend: ActionBackend
    rule: BreakerRule
    timeout_seconds: float
    store: DocumentStore
    now: datetime


async def found(line: Line, key: str) -> Effect | None:
    """What became of `key`; None when the backend has never seen it. `RetryableError` when it cannot say now."""
    return await _asked(line, lambda: line.backend.find(key, timeout_seconds=line.timeout_seconds))


async def states_of(line: Line, subjects: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """What the backend says of each subject; {} for one that it does not know."""
    distinct = list(dict.fromkeys(subjects))
    seconds = line.timeout_seconds

    async def asked() -> list[Mapping[str, Any]]:
        return await asyncio.gather(*(line.backend.state_of(one, timeout_seconds=seconds) for one in distinct))

    return dict(zip(distinct, await _asked(line, asked), strict=True))


async def carried_out(line: Line, permit: Permit, action: Action) -> Effect:
    """Ask for the effect, once. When no answer comes the backend is asked at once what became of it.

    `EffectUnknownError`: still nobody knows; the next attempt asks first. `RetryableError`: nothing was done by this
    call.
    """
    if action.order is None:
        raise TerminalError("no_backend", f"{action.name} is not a backend's to do")
    order, seconds = action.order(permit), line.timeout_seconds
    try:
        return await _asked(
            line,
            lambda: line.backend.perform(action.name, order, key=permit.idempotency_key, timeout_seconds=seconds),
        )
    except EffectUnknownError as unknown:
        effect = await found(line, permit.idempotency_key)
        if effect is None:
            raise EffectUnknownError(str(unknown)) from unknown
        return effect


async def _asked[Answer](line: Line, call: Callable[[], Awaitable[Answer]]) -> Answer:
    admission = await admit(line.backend.name, store=line.store, rule=line.rule, now=line.now)
    try:
        answer = await call()
    except RetryableError:
        await record(admission, store=line.store, rule=line.rule, succeeded=False, now=line.now)
        raise
    await record(admission, store=line.store, rule=line.rule, succeeded=True, now=line.now)
    return answer
