"""What nobody should send: bodies for HTTP and messages for a lane, made the same way every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice
from random import Random
from typing import Any, NamedTuple

from shared.contracts.commands import envelope
from tests.bench import START, facts

JSON_TYPE = "application/json"
CSV_HEADER = "transaction_id,account,booked_on,amount,currency,descriptor"
DEEP = 100_000
NOT_TEXT: tuple[Any, ...] = (None, 7, 1.5, True, [], {}, ["x"], {"x": 1}, "", "\ud800", "a\x00b", "x" * 5_000, " ")
WRONG: dict[str, tuple[Any, ...]] = {
    "transaction_id": (*NOT_TEXT, "ä", "a b", "a/b", "../x", "a\n", "%00", "x" * 65),
    "account": (*NOT_TEXT, "konto 1", "\u202egpj.exe"),
    "booked_on": (*NOT_TEXT, "2026-02-30", "2026-2-3", "20260203", "2026-02-03T00:00:00Z", "0000-00-00"),
    "amount_minor": (
        None, "1443", 1443.0, 1.5, 1e400, -1e400, float("nan"), True, [], {}, 2**53, -(2**53), 10**400, "",
    ),
    "currency": (*NOT_TEXT, "eur", "EURO", "€", "EU"),
    "descriptor": (None, 7, True, [], {}, "", "   ", "a\x00b", "a\nb", "\x7f", "x" * 201, "\ud83d", "a\udfffb"),
    "mcc": (None, 5411, "541", "54111", "ABCD", "\ud800", []),
    "group": (None, 7, [], {}, "x" * 61, "\udc00"),
}  # fmt: skip
"""Nothing in here is a valid value of its field."""


class Body(NamedTuple):
    raw: bytes
    kind: str = JSON_TYPE
    path: str = "/api/v1/transactions"
    method: str = "POST"


def as_bytes(value: Any) -> bytes:
    """JSON as Python writes it: with NaN, Infinity and escaped lone surrogates."""
    return json.dumps(value).encode()


def wrong_facts() -> Iterator[dict[str, Any]]:
    """Facts with one thing wrong."""
    for name, values in WRONG.items():
        for number, value in enumerate(values):
            id_ = {} if name == "transaction_id" else {"transaction_id": f"bad-{name}-{number}"}
            yield facts(**id_, **{name: value})
    for name in ("transaction_id", "account", "booked_on", "amount_minor", "currency", "descriptor"):
        whole = facts("bad-missing")
        del whole[name]
        yield whole
    yield facts("bad-unknown", tenant="other")
    yield facts("bad-unknown", __class__="x")
    yield facts("bad-unknown", category="income")


def not_even_json() -> list[bytes]:
    good = as_bytes({"transactions": [facts("bad-raw")]})
    return [
        b"", b" ", b"null", b"[]", b"{}", b"0", b'"x"', b"true", b"{", b"}", b"\x00", b"\xff\xfe\x00", good[:-1],
        good + b"x", good + good, good.replace(b"REWE", b"\xc3\x28"), good.replace(b"REWE", b"\xed\xa0\x80"),
        good.replace(b"-4320", b"NaN"), good.replace(b"-4320", b"Infinity"), good.replace(b"-4320", b"-4320.0"),
        good.replace(b"-4320", b"-43e2"), good.replace(b"-4320", b"0x10"), good.replace(b"-4320", b"-04320"),
        good.replace(b"-4320", b"9" * 5_000), good.replace(b"-4320", b"1e99999"), good.replace(b'"', b"'"),
        b"\xef\xbb\xbf\xef\xbb\xbf" + good, good.decode().encode("utf-16"), good.decode().encode("utf-32"),
        b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"transactions":' * 5_000, b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"transactions":' + b"[" * 60 + b"]" * 60 + b"}", b'{"transactions":[],"transactions":[]}',
        b'{"transactions":null}', b'{"transactions":{}}', b'{"transactions":[]}', b'{"transactions":[null]}',
        b'{"transactions":"x"}', good.replace(b'"mcc"', b'"currency"'), b"A" * 300_000, b"\n" * 10_000,
        b'{"transactions":[' + b"{}," * 5_000 + b"{}]}",
        as_bytes({"transactions": [facts("bad-x")], "tenant": "other"}),
        as_bytes({"transactions": [facts(f"bad-{n}") for n in range(5_001)]}),
    ]  # fmt: skip


def bad_csv() -> list[bytes]:
    row = "bad-csv,acc,2026-01-01,-1.00,EUR,SHOP"
    texts = [
        "", "\n", CSV_HEADER, f"{CSV_HEADER}\n", f"a,b\n{row}", f"{CSV_HEADER},{CSV_HEADER}\n{row},{row}", row,
        f"{CSV_HEADER}\n{row},more", f"{CSV_HEADER}\nbad-csv", f'{CSV_HEADER}\n"{row}', f"{CSV_HEADER};x\n{row}",
        f"{CSV_HEADER}\n{row}\x00", f'{CSV_HEADER}\nbad-csv,acc,2026-01-01,-1.00,EUR,"{"x" * 200_000}"',
        *(f"{CSV_HEADER}\n{row.replace('-1.00', amount)}" for amount in
          ("", "x", "1,00", "1.005", "NaN", "inf", "1e3", "--1", "\uff11", "0x1", "1_0", " ", "9" * 16, "1.0000000")),
        *(f"{CSV_HEADER}\n{row.replace('EUR', currency)}" for currency in ("", "eur", "XXXX", "???", "ZZZ")),
        *(f"{CSV_HEADER}\n{row.replace('2026-01-01', day)}" for day in ("", "01.01.2026", "2026-13-01", "today")),
        *(f"{CSV_HEADER}\n{row.replace('bad-csv', id_)}" for id_ in ("", "a b", "=1+1", "x" * 65)),
    ]  # fmt: skip
    raw = [text.encode() for text in texts]
    return [*raw, b"\xff\xfe" + texts[2].encode("utf-16-le"), f"{CSV_HEADER}\n{row}".encode().replace(b"SHOP", b"\xfc")]


def other_endpoints() -> Iterator[Body]:
    """The same rubbish for everything else that takes a body."""
    paths = {
        ("POST", "/api/v1/transactions/good-0/review"): {"action": "approve", "decision_version": 1},
        ("POST", "/api/v1/parked/none/replay"): {"note": "x"},
        ("POST", "/api/v1/audit/verify"): {"from": 0},
        ("PUT", "/api/v1/profile"): {"chart": [], "base_currency": "EUR", "time_zone": "UTC", "accounts": []},
        ("PUT", "/api/v1/members"): {"principal": "dev:bob", "roles": ["member"]},
        ("POST", "/api/v1/erasures"): {"account": "none", "confirm": "household"},
        ("POST", "/api/v1/history"): {"rows": []},
        ("POST", "/api/v1/findings/none/close"): {"note": "x"},
    }
    rubbish = (b"", b"null", b"[]", b"{", b"[" * DEEP, b"\xff", b'{"x":NaN}', b'{"a":1,"a":2}', b'{"unknown":1}')
    for (method, path), valid in paths.items():
        for raw in rubbish[path.endswith("verify") :]:  # a verification may do without a body
            yield Body(raw, JSON_TYPE, path, method)
        for name in valid:
            for value in (None, 1.5, "\ud800", [[]], {"x": {}}, -1, 10**30):
                yield Body(as_bytes({**valid, name: value}), JSON_TYPE, path, method)
        yield Body(as_bytes(valid), "text/plain", path, method)
        yield Body(as_bytes({**valid, "tenant": "other"}), JSON_TYPE, path, method)


def bodies(number: int) -> list[Body]:
    """`number` malformed bodies, no two alike."""
    good = as_bytes({"transactions": [facts("bad-kind")]})
    kinds = ("text/plain", "", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "a" * 500, "ä")
    made = [
        *(Body(as_bytes({"transactions": [one]})) for one in wrong_facts()),
        *(Body(as_bytes({"transactions": [facts("bad-beside"), one]})) for one in wrong_facts()),
        *(Body(raw) for raw in not_even_json()),
        *(Body(raw, "text/csv") for raw in bad_csv()),
        *(Body(good, kind) for kind in kinds),
        Body(b"x" * (5 * 1024 * 1024 + 1)),
        Body(b"x" * (11 * 1024 * 1024)),
        *other_endpoints(),
    ]
    assert len(made) >= number, len(made)
    return Random(1).sample(made, number)


def command(number: int, **changes: Any) -> dict[str, Any]:
    """A message that `pipeline`, which is listed, could send; with a transaction of its own."""
    made = envelope(
        "ClassifyTransaction", {"transaction": facts(f"bad-lane-{number}")}, command_id=f"lane-{number}",
        tenant="household", source="hostile", issued_at=START,
    )  # fmt: skip
    return {**made, "producer": "pipeline", **changes}


def wrong_envelopes() -> Iterator[dict[str, Any]]:
    """Messages with one thing wrong. `NaN` and lone surrogates are written as Python does."""
    numbers = iter(range(10_000))
    for name, values in {
        "schema_version": (None, "1", 0, -1, [], 10**40),
        "command_id": (*NOT_TEXT, "x" * 65, "a b", "../x"),
        "command_type": (*NOT_TEXT, "ReviewTransaction", "ResolveParked", "classifytransaction", "SweepTenants"),
        "tenant": (*NOT_TEXT, "other", "system", "HOUSEHOLD", "house hold", "x" * 41, "household\n", "../household"),
        "correlation_id": (None, 7, [], {}, "", "x" * 201, "\ud800"),
        "causation_id": (None, 7, [], "x" * 65),
        "issued_at": (*NOT_TEXT, "2026-03-01", "2026-03-01T12:00:00+01:00", "yesterday"),
        "producer": (*NOT_TEXT, "countersign", "stranger", "Pipeline", "pipeline "),
        "traceparent": (None, 7, "00-x", "00-" + "0" * 52),
        "attempt": (None, "1", 0, -1, 1.0, 1_001, 10**30, True),
        "payload": (None, 7, "x", [], {}, {"transaction": None}, {"transaction": {}}, {"transaction": []}),
        "unknown": (1, None, {"deep": [1]}),
    }.items():
        for value in values:
            yield command(next(numbers), **{name: value})
    for one in wrong_facts():
        yield command(next(numbers), payload={"transaction": one})
    for one in ({"transaction": facts(), "more": 1}, {"transactions": [facts()]}, {"day": "2026-03-01"}):
        yield command(next(numbers), payload=one)
        yield command(next(numbers), payload=one, command_type="IngestionCompleted")
    for one in wrong_facts():
        batch = {"batch_id": "b", "source": "s", "transactions": [facts("bad-batch"), one]}
        yield command(next(numbers), command_type="IngestionCompleted", payload=batch)


def messages(number: int) -> list[bytes]:
    """`number` messages that must be parked, no two alike."""
    good = as_bytes(command(99_999))
    deep = b'{"payload":' * 2_000 + b"1" + b"}" * 2_000
    raw = [one for one in not_even_json() if len(one) < 200_000]
    raw += [
        deep,
        b"[" * 200_000,
        good[:-1],
        good + b"}",
        good.replace(b"household", b"\xc3\x28"),
        good.replace(b"{", b"["),
    ]
    made = [*raw, *(as_bytes(one) for one in wrong_envelopes())]
    assert len(made) >= number - 100, len(made)
    chance = Random(2)
    return list(islice(made, number)) + [_cut(good, chance) for _ in range(max(0, number - len(made)))]


def _cut(good: bytes, chance: Random) -> bytes:
    """The good message with one byte overwritten such that it is no JSON."""
    at = chance.randrange(len(good))
    return good[:at] + bytes([chance.choice((0, 1, 0xFF, 0xC0))]) + good[at + 1 :]


def newer(number: int) -> list[bytes]:
    """Messages of a newer program: they wait, because it may be a deployment."""
    versions = cycle((2, 3, 99))
    return [as_bytes(command(50_000 + n, schema_version=next(versions), new_field={"n": n})) for n in range(number)]
