"""One commit as a transactional batch: its operations, and what became of it when the batch was refused.

A batch names only the first operation that failed, and a batch that is sent again after its answer was lost fails by
its own doing. So whoever is refused reads what stands there now and lets `Batch.outcome` judge: every item written
carries the id of its commit, and a batch is all or nothing, so one item of ours proves that all were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.adapters.azure.cosmos_items import COMMIT, Item, etag_of, is_alive, marker, their_etag, to_item
from shared.contracts.instants import text
from shared.errors import ConflictError
from shared.ports.document_limits import check_size
from shared.ports.document_store import MAX_WRITES, Document

OVERWRITTEN = "overwritten"
"""The etag of a document that somebody else has changed since our commit: no document has it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A commit that can be sent again and again: it takes effect once.

    items: what to write, by id. etags: ours, of all writes and deletes, "" for what must not exist. over: Cosmos DB's
    etags of expired items that a new document takes the place of.
    """

    partition: str
    commit_id: str
    items: Mapping[str, Item]
    etags: Mapping[str, str]
    over: Mapping[str, str] = field(default_factory=dict)

    def has_lost(self, now: datetime) -> bool:
        """Whether an etag alone shows that the batch need not be sent."""
        at = text(now)
        return any(etag and not their_etag(etag, at) for etag in self.etags.values())

    def operations(self) -> list[tuple[Any, ...]]:
        """As `execute_item_batch` takes them."""
        return [self._operation(document_id) for document_id in self.etags] + [
            ("create", (item,)) for item in self._markers()
        ]

    def etags_in(self, results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """The new etags in what the batch gave, which is in the order of its operations."""
        given = zip(self.etags, results, strict=False)
        return {
            document_id: etag_of({**item, "_etag": result.get("eTag") or result["resourceBody"]["_etag"]})
            for document_id, result in given
            if (item := self.items.get(document_id)) is not None
        }

    def looked_at(self) -> list[str]:
        """The ids whose items `outcome` needs."""
        return [*self.etags, *(item["id"] for item in self._markers())]

    def outcome(self, found: Mapping[str, Mapping[str, Any]], now: datetime) -> dict[str, str] | Batch:
        """The new etags when it was applied after all, or the batch to send now.

        found: what stands there now, by id. `ConflictError` names every document that is lost.
        """
        if any(item.get(COMMIT) == self.commit_id for item in found.values()):
            return {document_id: self._etag_in(found, document_id) for document_id in self.items}
        at = text(now)
        alive = {document_id: item for document_id, item in found.items() if is_alive(item, at)}
        lost = [document_id for document_id, etag in self.etags.items() if not _holds(etag, alive.get(document_id), at)]
        if lost:
            raise ConflictError(lost)
        return replace(self, over={id_: item["_etag"] for id_, item in found.items() if id_ not in alive})

    def _operation(self, document_id: str) -> tuple[Any, ...]:
        etag = self.over.get(document_id) or self.etags[document_id].rpartition("|")[0]
        item = self.items.get(document_id)
        if item is None:
            return ("delete", (document_id,), {"if_match_etag": etag})
        if etag:
            return ("replace", (document_id, item), {"if_match_etag": etag})
        return ("create", (item,))

    def _markers(self) -> list[Item]:
        """What is only replaced may be replaced again, and what is deleted proves nothing, before we look."""
        proves = any(not self.etags[document_id] for document_id in self.items)
        return [] if proves or len(self.etags) == MAX_WRITES else [marker(self.partition, self.commit_id)]

    def _etag_in(self, found: Mapping[str, Mapping[str, Any]], document_id: str) -> str:
        item = found.get(document_id, {})
        return etag_of(item) if item.get(COMMIT) == self.commit_id else OVERWRITTEN


def batch_of(
    partition: str, writes: Sequence[Document], deletes: Sequence[Document], *, commit_id: str, now: datetime
) -> Batch:
    """`TerminalError` "invalid_document" or "commit_too_large"."""
    made = [to_item(document, commit_id=commit_id, now=now) for document in writes]
    check_size(sum(size for _, size in made))
    return Batch(
        partition,
        commit_id,
        items={item["id"]: item for item, _ in made},
        etags={document.id: document.etag for document in (*writes, *deletes)},
    )


def _holds(etag: str, item: Mapping[str, Any] | None, at: str) -> bool:
    """Whether a precondition holds for what stands there."""
    if not etag or item is None:
        return not etag and item is None
    return bool(item["_etag"] == their_etag(etag, at))
