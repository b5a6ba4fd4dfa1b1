"""The SASL handshake that opens an AMQP connection (OASIS AMQP 1.0, part 5.3). Pure: bytes in, bytes out.

Whoever connects is let in under any name and key, as in the official emulator: a message proves nothing anyway, and
what it may do is decided when it is handled. `MSSBCBS` is what the .NET client says instead of ANONYMOUS.
"""

from __future__ import annotations

from local.amqp_values import MalformedError, list_at, value_at

AMQP_HEADER, SASL_HEADER = b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"
MECHANISMS = ("ANONYMOUS", "PLAIN", "MSSBCBS")
MAX_FRAME_BYTES = 4096
_INIT = 0x41


class Handshake:
    """Give `receive` what arrives until `done`; send what it returns; `rest` then belongs to the connection."""

    def __init__(self) -> None:
        self.done = False
        self.failed = False
        self.rest = b""
        self._greeted = False

    def receive(self, data: bytes) -> bytes:
        """What is to be sent. After `failed` the connection is to be closed."""
        self.rest += data
        answer = b""
        if not self._greeted:
            if len(self.rest) < len(SASL_HEADER):
                return b""
            if self.rest.startswith(AMQP_HEADER):
                self.done = True
                return b""
            if not self.rest.startswith(SASL_HEADER):
                self.failed = True
                return SASL_HEADER  # "this is what I speak", as the standard has it
            self.rest = self.rest[len(SASL_HEADER) :]
            self._greeted = True
            answer = SASL_HEADER + _mechanisms()
        return answer + self._init()

    def _init(self) -> bytes:
        size = int.from_bytes(self.rest[:4])
        if len(self.rest) >= 4 and not 8 <= size <= MAX_FRAME_BYTES:
            self.failed = True
            return b""
        if len(self.rest) < 8 or len(self.rest) < size:
            return b""
        frame, self.rest = self.rest[:size], self.rest[size:]
        self.done = _chosen(frame) in MECHANISMS
        self.failed = not self.done
        return _frame(b"\x00\x53\x44\xc0\x03\x01\x50" + (b"\x00" if self.done else b"\x01"))


def _chosen(frame: bytes) -> str:
    try:
        body = frame[4] * 4
        descriptor, start = value_at(frame, body + 1)
        chosen = list_at(frame, start, at_most=1) if descriptor == _INIT else []
    except (MalformedError, IndexError):
        return ""
    return str(chosen[0]) if chosen else ""


def _mechanisms() -> bytes:
    names = b"".join(bytes([len(name)]) + name.encode() for name in MECHANISMS)
    array = b"\xe0" + bytes([len(names) + 2, len(MECHANISMS)]) + b"\xa3" + names
    return _frame(b"\x00\x53\x40\xc0" + bytes([len(array) + 1, 1]) + array)


def _frame(body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4) + b"\x02\x01\x00\x00" + body
