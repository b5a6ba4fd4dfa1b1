"""Reading the `reply` member of a JSON object while the object is still arriving, in pieces cut anywhere.

Only what is needed to find that member is understood here; whether the whole is JSON, and of the right schema, is
judged when it is complete (`responses.py`).
"""

from __future__ import annotations

import json
import re

_HIGH, _LOW = r"[dD][89abAB][0-9a-fA-F]{2}", r"[dD][c-fC-F][0-9a-fA-F]{2}"
_CHARACTERS = re.compile(rf'(?:[^"\\]|\\[^u]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{{4}}|\\u{_HIGH}\\u{_LOW})*')
"""Whole characters inside a JSON string: an escape or a pair of surrogates is taken only when all of it is there."""
_LONGEST_ESCAPE = len(r"\ud83d\ude00")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATES = re.compile("[\ud800-\udfff]")


class ReplyReader:
    """`feed` it the pieces; it gives back what is newly readable of the top-level member `reply`. `text`: all of it.

    `ValueError` for a string that is not one: a broken escape, half a surrogate pair.
    """

    def __init__(self) -> None:
        self.text = ""
        self._rest = ""  # what has come and cannot be read yet
        self._half = ""  # the first half of a character that a piece ended in
        self._depth = 0
        self._key = ""
        self._at_key = False
        self._in_reply = False
        self._done = False

    def feed(self, piece: str) -> str:
        if self._done:
            return ""
        self._rest += self._whole(piece)
        while not self._in_reply and self._next_token():
            if self._done:
                return ""
        new = self._characters() if self._in_reply else ""
        self.text += new
        return new

    def _whole(self, piece: str) -> str:
        """A sender that counts in UTF-16 may cut a character in two."""
        piece = self._half + piece
        self._half = piece[-1] if piece and "\ud800" <= piece[-1] <= "\udbff" else ""
        piece = piece.removesuffix(self._half)
        return piece.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATES.search(piece) else piece

    def _next_token(self) -> bool:
        """Read one token outside the reply; False when more must arrive first."""
        self._rest = self._rest.lstrip()
        if not self._rest:
            return False
        if self._rest[0] == '"':
            return self._string()
        mark, self._rest = self._rest[0], self._rest[1:]
        if mark in "{[":
            self._depth += 1
            self._at_key = mark == "{"
        elif mark in "}]":
            self._depth -= 1
            self._done = self._depth <= 0
        elif mark == ",":
            self._at_key = True  # looked at only at the top, which is an object
        elif mark == ":":
            self._at_key = False
        return True

    def _string(self) -> bool:
        if self._depth == 1 and self._key == "reply" and not self._at_key:
            self._rest = self._rest[1:]
            self._in_reply = True
            return True
        whole = _STRING.match(self._rest)
        if whole is None:
            return False
        self._rest = self._rest[whole.end() :]
        if self._depth == 1 and self._at_key:
            self._key = json.loads(whole.group())
        return True

    def _characters(self) -> str:
        end = _CHARACTERS.match(self._rest).end()  # type: ignore[union-attr]  # it matches the empty string at least
        readable, self._rest = self._rest[:end], self._rest[end:]
        if self._rest.startswith('"'):
            self._done = True
        elif len(self._rest) >= _LONGEST_ESCAPE:
            raise ValueError("a broken escape")
        return str(json.loads(f'"{readable}"')) if readable else ""
