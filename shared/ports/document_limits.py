"""What every document store refuses before it touches its storage: pure, so that all adapters refuse the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.errors import TerminalError
from shared.ports.document_store import LOOKUPS, MAX_BYTES, MAX_PAGE, MAX_WRITES, Document, Schemas

_ID = re.compile(r"[^/\\?#\x00-\x1f]{1,255}")


def check_commit(partition: str, writes: Sequence[Document], deletes: Sequence[Document], schemas: Schemas) -> None:
    """`TerminalError` "commit_too_large" or "invalid_document" (which says of which document, and why)."""
    if len(writes) + len(deletes) > MAX_WRITES:
        raise TerminalError(
            "commit_too_large", f"{len(writes) + len(deletes)} documents in one commit; at most {MAX_WRITES}: split it"
        )
    ids = {document.id for document in writes}
    ids.update([document.id for document in deletes])
    if len(ids) != len(writes) + len(deletes):
        raise TerminalError("invalid_document", "a document may be written or deleted only once in a commit")
    for document in writes:
        _check_write(partition, document, schemas)
    for document in deletes:
        if document.partition != partition or not document.etag:
            raise _invalid(document, "a delete needs the document as it was read from this partition, with its etag")


def check_size(total_bytes: int) -> None:
    """`TerminalError("commit_too_large")` when the bodies of one commit are more than `MAX_BYTES` as JSON."""
    if total_bytes > MAX_BYTES:
        raise TerminalError("commit_too_large", f"{total_bytes} bytes in one commit; at most {MAX_BYTES}: split it")


def check_query(limit: int, key: tuple[str, str] | None) -> None:
    """`TerminalError` for a page that is not bounded or a look-up that no index serves."""
    if not 1 <= limit <= MAX_PAGE:
        raise TerminalError("invalid_page_size", f"a page of {limit}; from 1 to {MAX_PAGE}: use the cursor")
    if key is not None:
        _check_lookup(key[0])


def _check_write(partition: str, document: Document, schemas: Schemas) -> None:
    where, document_id, kind, _, version, sort, keys, due_at, expires_at, _ = document
    if where != partition:
        raise _invalid(document, f"it belongs to another partition than the commit ({where!r})")
    if not _ID.fullmatch(document_id) or not document_id.startswith(kind + ":"):
        raise _invalid(document, "an id is `<kind>:<key>`, 1 to 255 characters without / \\ ? # and control characters")
    known = schemas.known(kind)
    if version != known:
        raise _invalid(document, f"schema version {version}; {known} is what is written today")
    indexed = f"{document_id}{sort}{due_at}{expires_at}"
    if keys:
        indexed += "".join(keys.values())
        for name in keys:
            _check_lookup(name)
    if "\0" in indexed or not (indexed.isascii() or _is_unicode(indexed)):
        raise _invalid(document, "sort, keys and instants are Unicode text without NUL or lone surrogates")


def _check_lookup(name: str) -> None:
    if name not in LOOKUPS:
        raise TerminalError("unknown_lookup", f"{name!r} is not in LOOKUPS {LOOKUPS}")


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(document: Document, why: str) -> TerminalError:
    return TerminalError("invalid_document", f"{document.id[:255]!a}: {why}")
