"""AMQP 1.0 as bytes: the sections of a message and the simple values in them (OASIS AMQP 1.0, parts 1.6 and 3.2).

Pure. What comes from outside is read here and nowhere else: nothing nested is followed, every length is checked, and
what does not fit is `MalformedError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID

MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, FOOTER = 0x72, 0x73, 0x74, 0x75, 0x78
SECTIONS = range(0x70, 0x79)

type Value = bool | int | float | str | bytes | UUID | None


class MalformedError(ValueError):
    """The bytes are no such thing."""


class Timestamp(int):
    """Milliseconds since 1970, UTC."""


_EMPTY: dict[int, Value] = {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0}
_FIXED = {
    code: struct.Struct(">" + layout)
    for code, layout in {
        0x50: "B", 0x51: "b", 0x52: "B", 0x53: "B", 0x54: "b", 0x55: "b", 0x56: "?", 0x60: "H", 0x61: "h",
        0x70: "I", 0x71: "i", 0x72: "f", 0x80: "Q", 0x81: "q", 0x82: "d", 0x83: "q",
    }.items()
}  # fmt: skip
_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_UINT = struct.Struct(">I")


def sections(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """(descriptor, start, end) of each section's value in an encoded message."""
    at = 0
    while at < len(raw):
        if raw[at] != 0:
            raise MalformedError("a section begins with a descriptor")
        descriptor, start = value_at(raw, at + 1)
        if descriptor not in SECTIONS or isinstance(descriptor, bool):
            raise MalformedError(f"{descriptor!r} is no section of a message")
        at = _end(raw, start)
        yield int(descriptor), start, at  # type: ignore[arg-type]


def value_at(raw: bytes, at: int) -> tuple[Value, int]:
    """The simple value that begins at `at`, and where the next one begins."""
    end = _end(raw, at)
    code = raw[at]
    if code in _EMPTY:
        return _EMPTY[code], end
    if (fixed := _FIXED.get(code)) is not None:
        value = fixed.unpack_from(raw, at + 1)[0]
        return (Timestamp(value) if code == 0x83 else value), end
    content = raw[at + (2 if code & 0xF0 == 0xA0 else 5) : end]
    if code in (0xA0, 0xB0):
        return content, end
    if code in (0xA1, 0xB1, 0xA3, 0xB3):
        return _text(content), end
    if code == 0x98:
        return UUID(bytes=raw[at + 1 : end]), end
    raise MalformedError(f"type 0x{code:02x} is not understood here")


def list_at(raw: bytes, at: int, *, at_most: int) -> list[Value]:
    """The first `at_most` members of a list of simple values; one that is not simple is read as None."""
    if raw[at : at + 1] == b"\x45":
        return []
    found: list[Value] = []
    count, at, end = _compound(raw, at, "list", 0xC0, 0xD0)
    for _ in range(min(count, at_most)):
        if at >= end:
            raise MalformedError("a list is shorter than it says")
        value, at = _or_none(raw, at)
        found.append(value)
    return found


def map_at(raw: bytes, at: int) -> dict[str, Value]:
    """A map of texts to simple values; what is not simple is left out."""
    count, at, end = _compound(raw, at, "map", 0xC1, 0xD1)
    found: dict[str, Value] = {}
    for _ in range(count // 2):
        if at >= end:
            raise MalformedError("a map is shorter than it says")
        key, at = value_at(raw, at)
        simple = _is_simple(raw, at)
        value, at = _or_none(raw, at)
        if not isinstance(key, str):
            raise MalformedError("the keys of a map must be texts")
        if simple:
            found[key] = value
    return found


def _compound(raw: bytes, at: int, name: str, narrow: int, wide: int) -> tuple[int, int, int]:
    """(members, where the first begins, where the last ends)."""
    end = _end(raw, at)
    if raw[at] == narrow and end >= at + 3:
        return raw[at + 2], at + 3, end
    if raw[at] == wide and end >= at + 9:
        return int(_UINT.unpack_from(raw, at + 5)[0]), at + 9, end
    raise MalformedError(f"this should be a {name}")


def _or_none(raw: bytes, at: int) -> tuple[Value, int]:
    return value_at(raw, at) if _is_simple(raw, at) else (None, _end(raw, at))


def _is_simple(raw: bytes, at: int) -> bool:
    return at < len(raw) and raw[at] != 0 and raw[at] < 0xC0


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a text is not UTF-8") from error


def _end(raw: bytes, at: int) -> int:
    """Where the value that begins at `at` ends, whatever it holds."""
    try:
        described = 0
        while raw[at] == 0:  # a descriptor, then what it describes
            described += 1
            if described > 4:
                raise MalformedError("descriptors within descriptors")
            at = _end_of_plain(raw, at + 1)
        end = _end_of_plain(raw, at)
    except (IndexError, struct.error) as error:
        raise MalformedError("the bytes end in the middle of a value") from error
    if end > len(raw):
        raise MalformedError("a value is longer than what is there")
    return end


def _end_of_plain(raw: bytes, at: int) -> int:
    kind = raw[at] >> 4
    if kind in _WIDTHS:
        return at + 1 + _WIDTHS[kind]
    if kind in (0xA, 0xC, 0xE):
        return at + 2 + raw[at + 1]
    if kind in (0xB, 0xD, 0xF):
        return at + 5 + int(_UINT.unpack_from(raw, at + 1)[0])
    raise MalformedError(f"0x{raw[at]:02x} begins no value")
