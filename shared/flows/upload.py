"""How far an upload has come: the `ingestion` document, written in the commit of each chunk.

It makes an upload resumable (an equal resend goes on where an earlier one stopped) and answerable (the same answer
every time), and it keeps one idempotency key to one body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.contracts.identity import deterministic_id
from shared.contracts.instants import after, text
from shared.contracts.kinds import KINDS
from shared.delivery.handling import Delivery
from shared.errors import IdempotencyMismatchError
from shared.ports.document_store import Body, Document

TRIES = 8
"""How often a chunk that lost a race with another upload is looked at again."""
MAX_LISTED = 100
"""Refused rows named in the answer; the counts are always complete."""


def upload_id(partition: str, purpose: str, *, caller: str, key: str) -> str:
    """The id of a caller's upload under an idempotency key. `purpose`: what kind of upload it is."""
    return deterministic_id(partition, purpose, f"{caller}\x1f{key}")


async def upload_state(
    delivery: Delivery, partition: str, ingestion_id: str, fingerprint: str, *, total: int, caller: str
) -> Document:
    """The `ingestion` document as stored, or a new one that is not stored yet."""
    now = delivery.now()
    stored = await delivery.store.read(partition, f"ingestion:{ingestion_id}")
    if stored is not None:
        if stored.body["fingerprint"] != fingerprint:
            raise IdempotencyMismatchError("this idempotency key was used with another body; take a new key")
        return stored
    body: Body = {
        "ingestion_id": ingestion_id,
        "fingerprint": fingerprint,
        "caller": caller,
        "created_at": text(now),
        "rows": total,
        "rows_done": 0,
        "accepted": 0,
        "duplicate": 0,
        "refused": 0,
        "refused_ids": [],
    }
    expires_at = after(now, days=KINDS["ingestion"].days_to_live)
    return Document(
        partition, f"ingestion:{ingestion_id}", "ingestion", body, sort=body["created_at"], expires_at=expires_at
    )


def advanced(body: Body, progress: Mapping[str, Sequence[str]], rows: int) -> Body:
    """The document's body after `rows` more. progress: ids of these rows as `accepted`, `duplicate` and `refused`."""
    return {
        **body,
        "rows_done": body["rows_done"] + rows,
        "accepted": body["accepted"] + len(progress["accepted"]),
        "duplicate": body["duplicate"] + len(progress["duplicate"]),
        "refused": body["refused"] + len(progress["refused"]),
        "refused_ids": [*body["refused_ids"], *progress["refused"]][:MAX_LISTED],
    }


def answer(body: Body) -> dict[str, Any]:
    """What the caller is told, the first time and every time after."""
    names = ("ingestion_id", "rows", "accepted", "duplicate", "refused", "refused_ids", "created_at")
    return {name: body[name] for name in names}
