"""Circuit breakers as all instances share them: one document per backend, in the system partition.

A call costs one read. Only failures, the first success after them and probes are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from shared.actions.breaker import BreakerRule, Probe, Refused, admitted, after_failure, after_success
from shared.contracts.kinds import SYSTEM_PARTITION
from shared.errors import ConflictError, RetryableError
from shared.ports.action_backend import ActionBackend
from shared.ports.document_store import Body, Document, DocumentStore

TURNS = 8
"""How often a lost race is read and decided again."""
LOST_RACE_SECONDS = 1.0


class Admission(NamedTuple):
    """A call that may be made now. document: the breaker as read, or as written when the call `is_probe`."""

    backend: str
    document: Document | None
    is_probe: bool


async def admit(backend: str, *, store: DocumentStore, rule: BreakerRule, now: datetime) -> Admission:
    """Ask before each call; tell `record` after it. Not admitted: `RetryableError("breaker_open")`, nothing done."""
    for _ in range(TURNS):
        document = await store.read(SYSTEM_PARTITION, _id(backend))
        verdict = admitted(document.body if document else None, rule=rule, now=now)
        if isinstance(verdict, Refused):
            raise _open(backend, verdict.retry_after_seconds)
        if not isinstance(verdict, Probe):
            return Admission(backend, document, is_probe=False)
        try:
            return Admission(backend, await _write(store, backend, verdict.body, document), is_probe=True)
        except ConflictError:
            continue  # somebody else probes; or it has just closed
    raise _open(backend, LOST_RACE_SECONDS)


async def record(
    admission: Admission, *, store: DocumentStore, rule: BreakerRule, succeeded: bool, now: datetime
) -> bool:
    """Tell how the call ended. succeeded: the backend answered, be it with a refusal.

    False when it could not be written: the breaker learns later, and what was done at the backend stays done.
    """
    backend, document, _ = admission
    try:
        for _ in range(TURNS):
            body = document.body if document else None
            changed = (
                after_success(body, now=now)
                if succeeded
                else after_failure(body, backend=backend, rule=rule, now=now)
            )  # fmt: skip
            if changed is None:
                return True
            try:
                await _write(store, backend, changed, document)
            except ConflictError:
                document = await store.read(SYSTEM_PARTITION, _id(backend))
            else:
                return True
    except RetryableError:
        return False
    return False


async def standing(backends: Collection[str], *, store: DocumentStore) -> dict[str, dict[str, str]]:
    """How the breaker of each backend stands: {"backend", "breaker", "retry_at"}; retry_at: of an open one."""
    found = await store.read_many(SYSTEM_PARTITION, [_id(name) for name in sorted(backends)])

    def told(name: str) -> dict[str, str]:
        document = found.get(_id(name))
        state = document.body["state"] if document else "closed"
        retry_at = document.body["retry_at"] if document and state == "open" else ""
        return {"backend": name, "breaker": state, "retry_at": retry_at}

    return {name: told(name) for name in backends}


async def probe_breakers(
    *,
    store: DocumentStore,
    backends: Mapping[str, ActionBackend],
    rules: Mapping[str, BreakerRule],
    now: Callable[[], datetime],
    timeout_seconds: float = 5.0,
) -> dict[str, Literal["closed", "open"]]:
    """For a timer: ping each backend whose open breaker is due, so that no waiting action has to be the one that tries.

    Returns what became of those that were probed. `RetryableError` when the store cannot be read.
    """
    found = await store.read_many(SYSTEM_PARTITION, [_id(name) for name in backends])
    at = now()
    due = [
        name
        for name in backends
        if (document := found.get(_id(name))) and isinstance(admitted(document.body, rule=rules[name], now=at), Probe)
    ]

    async def probe(name: str) -> Literal["closed", "open"] | None:
        try:
            admission = await admit(name, store=store, rule=rules[name], now=now())
        except RetryableError:
            return None  # another instance is at it
        try:
            await backends[name].ping(timeout_seconds=timeout_seconds)
        except RetryableError:
            await record(admission, store=store, rule=rules[name], succeeded=False, now=now())
            return "open"
        await record(admission, store=store, rule=rules[name], succeeded=True, now=now())
        return "closed"

    became = await asyncio.gather(*(probe(name) for name in due))
    return {name: state for name, state in zip(due, became, strict=True) if state is not None}


async def _write(store: DocumentStore, backend: str, body: Body, read: Document | None) -> Document:
    """`body` over what was `read`; the document with its new etag."""
    document = Document(SYSTEM_PARTITION, _id(backend), "breaker", body, sort=backend, etag=read.etag if read else "")
    etags = await store.commit(SYSTEM_PARTITION, [document])
    return document._replace(etag=etags[document.id])


def _id(backend: str) -> str:
    return f"breaker:{backend}"


def _open(backend: str, retry_after_seconds: float) -> RetryableError:
    return RetryableError(
        f"{backend} has failed too often: it is left alone for {retry_after_seconds:.0f} s",
        code="breaker_open",
        retry_after_seconds=retry_after_seconds,
    )
