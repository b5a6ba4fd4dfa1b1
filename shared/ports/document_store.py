"""The document store: what every adapter promises. `tests/conformance/test_document_store.py` holds them to it.

* **One commit** is all or nothing, inside one partition, at most `MAX_WRITES` documents and `MAX_BYTES` of bodies
  (else `TerminalError("commit_too_large")`, nothing written). When `commit` returns, it survives a crash of everything.
* **Preconditions**: a document with `etag == ""` must not exist yet; any other must still have that etag. When any
  fails nothing is written and `ConflictError.lost` names *every* document of the commit whose precondition failed.
* **Etags** change with every write of a document and are never used twice for the same id.
* **Reads** see every commit that returned before they began. `read_many` is one round trip; what is missing is absent.
* **query** is bounded (`limit` <= `MAX_PAGE`), indexed and inside one partition: documents of one kind, in order of
  `sort` then `id`, optionally only those whose `keys[name] == value` (one pair), optionally with `low <= sort < high`;
  `cursor` continues where a page ended, also after writes in between (no repeats of unchanged documents, no gaps).
  By kind alone it lists what has a `sort`; by key, what has the key: a document with neither is found by its id
  alone, and costs no index. A cursor of another query is `InvalidInputError("invalid_cursor")`.
* **due** alone crosses partitions: documents of one kind with `due_at <= before`, oldest first. For timers, which one
  document that cannot be read must not stop: it is left out, and logged.
* **discard** deletes soon, and promises no more: it returns at once, a document that was changed in the meantime
  stays, and a crash or a failure may leave any of them. For what does no harm when it comes back (a sent outbox).
* **TTL**: from `expires_at` on a document is no longer returned, and its id may be created again.
* **schema_version**: older bodies are upcast by `Schemas` on the way out; a newer one than known is `RetryableError`
  ("schema_too_new"): an old instance during a deployment waits, and parks nothing. What is written carries the version
  written today.
* What is malformed is refused before anything is written (`document_limits.py`): `TerminalError` "invalid_document",
  "unknown_kind", "unknown_lookup", "invalid_page_size".
* A store that cannot be reached, is locked or full raises `RetryableError`; nothing else escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from shared.errors import RetryableError, TerminalError

MAX_WRITES = 100
MAX_BYTES = 2_000_000
MAX_PAGE = 200

Body = dict[str, Any]


class Document(NamedTuple):
    """One stored document.

    id: unique in its partition, `<kind>:<key>`, at most 255 characters, none of `/ \\ ? #`.
    body: JSON object (str, int, bool, None, list, dict; no float where it is hashed). Integers lie within ±(2^53 - 1),
    because Cosmos DB keeps doubles: a larger one would come back as another, so every store refuses it.
    sort: the order within its kind. keys: equality look-ups; only names in `LOOKUPS` (each is one index).
    due_at, expires_at: UTC instants as `contracts.instants.text`, so that text order is time order; "" for never.
    etag: "" before the first write.
    """

    partition: str
    id: str
    kind: str
    body: Body
    schema_version: int = 1
    sort: str = ""
    keys: Mapping[str, str] = {}
    due_at: str = ""
    expires_at: str = ""
    etag: str = ""


LOOKUPS = ("state", "run", "amount", "conversation", "subject")
"""The closed list of look-up names. On Azure each is one composite index (kind, keys.<name>, sort)."""


class Page(NamedTuple):
    """`cursor` is "" when there is nothing more."""

    documents: list[Document]
    cursor: str


class Merge(NamedTuple):
    """Documents that a commit makes from the newest version of others, without deciding on them: a counter, the place
    of an event in its stream. When a commit loses only such documents (or the chain's head) to somebody else, they are
    read again and made anew; what was decided stays.

    ids: what `made` looks at, at most 10. made: the documents to write, from those of `ids` that exist; pure, called
    again for each try. It raises `ConflictError` when what it finds speaks against the decision itself.
    """

    ids: tuple[str, ...]
    made: Callable[[Mapping[str, Document]], Sequence[Document]]


class Schemas:
    """Which schema version of each kind this code knows, and how to lift an older body by one version."""

    def __init__(
        self, current: Mapping[str, int], upcasters: Mapping[tuple[str, int], Callable[[Body], Body]] | None = None
    ) -> None:
        self.current = dict(current)
        self.upcasters = dict(upcasters or {})

    def known(self, kind: str) -> int:
        """The version written today; `TerminalError("unknown_kind")` for a kind that is not listed."""
        if kind not in self.current:
            raise TerminalError("unknown_kind", f"document kind {kind!r} is not listed in contracts/kinds.py")
        return self.current[kind]

    def upcast(self, document: Document) -> Document:
        """The document as today's code knows it. Pure."""
        known, version, body = self.known(document.kind), document.schema_version, document.body
        if version == known:
            return document
        if version > known:
            raise RetryableError(
                f"{document.id} has schema version {version}, this code knows {known}: a newer instance wrote it",
                code="schema_too_new",
            )
        while version < known:
            body = self.upcasters[document.kind, version](body)
            version += 1
        return document._replace(body=body, schema_version=version)


class DocumentStore(Protocol):
    """See the module docstring for the promises."""

    async def read(self, partition: str, document_id: str) -> Document | None: ...

    async def read_many(self, partition: str, ids: Sequence[str]) -> dict[str, Document]: ...

    async def query(
        self,
        partition: str,
        kind: str,
        *,
        key: tuple[str, str] | None = None,
        low: str = "",
        high: str = "",
        descending: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> Page: ...

    async def due(self, kind: str, *, before: str, limit: int) -> list[Document]: ...

    async def commit(
        self, partition: str, writes: Sequence[Document], *, deletes: Sequence[Document] = ()
    ) -> dict[str, str]:
        """All or nothing; returns the new etag of each written id. `deletes` carry the etag they were read with."""
        ...

    async def discard(self, documents: Sequence[Document]) -> None:
        """Delete these (as they were read, with their etags) without anybody waiting for the disk. Never raises."""
        ...

    async def purge(self, limit: int = 500) -> int:
        """Free the space of up to `limit` expired documents; how many they were. 0 from a store that does it itself."""
        ...

    async def ping(self) -> None:
        """Prove that a commit could be made now; `RetryableError` says why not. Bounded to about a second."""
        ...

    async def close(self) -> None: ...
