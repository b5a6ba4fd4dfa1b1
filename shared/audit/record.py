"""One record of a hash chain, and the next one. Pure.

A record's hash covers {sequence, previous_hash, at, what, who, ids, payload_hash}, written as RFC 8785 canonical JSON;
`payload_hash` is sha256(salt + canonical payload), so that payload and salt can be erased and the chain still verifies.
Hashed parts hold no float, integers within +-(2^53-1) and ASCII keys: then sorted, compact JSON is RFC 8785.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from shared.errors import TerminalError

GENESIS = "0" * 64
"""What the first record names as its predecessor's hash."""
SAFE_INTEGER = 2**53 - 1
HASHED = ("sequence", "previous_hash", "at", "what", "who", "ids", "payload_hash")


class Head(NamedTuple):
    """The newest record of a chain: (0, GENESIS) before the first."""

    sequence: int
    hash: str


START = Head(0, GENESIS)


class Entry(NamedTuple):
    """What is to be recorded. who: {"kind", "id"}; ids: text to text (run, command, transaction ...)."""

    what: str
    who: dict[str, str]
    ids: dict[str, str]
    payload: dict[str, Any]


def canonical(value: Any) -> bytes:
    """RFC 8785 for values that `check_hashable` accepts."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def check_hashable(value: Any) -> None:
    """`TerminalError("not_hashable")` if the canonical form of `value` is not unique across JSON implementations."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is str or one is None or kind is bool:
            continue
        if kind is int:
            if not -SAFE_INTEGER <= one <= SAFE_INTEGER:
                raise TerminalError("not_hashable", f"{one} is beyond what every JSON reader keeps exact")
        elif kind is dict:
            for key in one:
                if type(key) is not str or not key.isascii():
                    raise TerminalError("not_hashable", f"key {key!r} is not ASCII text")
            waiting.extend(one.values())
        elif kind is list or kind is tuple:
            waiting.extend(one)
        else:
            raise TerminalError("not_hashable", f"{kind.__name__} cannot be hashed: use basis points or text")


def payload_hash(payload: dict[str, Any], salt: str) -> str:
    """sha256 over the salt's ASCII text followed by the canonical payload, as lower-case hex."""
    return sha256(salt.encode() + canonical(payload)).hexdigest()


def record_hash(record: dict[str, Any]) -> str:
    """sha256 over the canonical form of the hashed fields, as lower-case hex."""
    return sha256(canonical({name: record[name] for name in HASHED})).hexdigest()


def next_record(head: Head, entry: Entry, *, at: str, salt: str) -> tuple[dict[str, Any], Head]:
    """The record that follows `head`, as stored, and the new head. `salt`: 32 random hex digits."""
    check_hashable(entry.payload)
    record: dict[str, Any] = {
        "sequence": head.sequence + 1,
        "previous_hash": head.hash,
        "at": at,
        "what": entry.what,
        "who": entry.who,
        "ids": entry.ids,
        "payload_hash": payload_hash(entry.payload, salt),
    }
    record["hash"] = sha256(canonical(record)).hexdigest()
    new_head = Head(record["sequence"], record["hash"])
    record["payload"] = entry.payload
    record["salt"] = salt
    return record, new_head


def erased(record: dict[str, Any], *, at: str, by: str) -> dict[str, Any]:
    """The record without its payload and salt: what is hashed stays as it was."""
    return {**record, "payload": None, "salt": None, "erased_at": at, "erased_by": by}


def broken(record: dict[str, Any], expected: Head) -> str:
    """Why `record` does not follow `expected`, or ""."""
    if record.get("sequence") != expected.sequence + 1:
        return "sequence_gap"
    if record.get("previous_hash") != expected.hash:
        return "previous_hash_differs"
    if any(name not in record for name in HASHED) or record.get("hash") != record_hash(record):
        return "hash_differs"
    if record.get("payload") is None and record.get("salt") is None:
        return "" if record.get("erased_at") else "payload_missing"
    payload: Any = record.get("payload")
    if payload_hash(payload, str(record.get("salt") or "")) != record["payload_hash"]:
        return "payload_differs"
    return ""
