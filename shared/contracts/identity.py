"""Deterministic ids: a retry must make the same one (RFC 9562, version 5)."""

from __future__ import annotations

import uuid
from functools import lru_cache

NAMESPACE = uuid.UUID("6f2d7b0e-53a4-5c5e-9d3b-0c6f4a1b8e77")


@lru_cache(maxsize=4096)
def deterministic_id(partition: str, purpose: str, key: str) -> str:
    """The id of `purpose` and `key` in `partition`: the same three always give the same one."""
    return str(uuid.uuid5(NAMESPACE, f"{partition}\x1f{purpose}\x1f{key}"))


def run_id_of(partition: str, command_id: str) -> str:
    """A redelivery of one command is the same run."""
    return deterministic_id(partition, "run", command_id)


def partition_of(tenant: str) -> str:
    """Where a tenant's documents are stored, and within which a commit is atomic. The only place that decides it."""
    return tenant
