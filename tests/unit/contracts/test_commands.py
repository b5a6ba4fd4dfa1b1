"""The envelope: closed, strict, and clear about what is wrong."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts.commands import envelope, parse_envelope
from shared.contracts.instants import parse, text
from shared.errors import InvalidInputError, RetryableError

FACTS = {
    "transaction_id": "t-1",
    "account": "acc",
    "booked_on": "2026-01-31",
    "amount_minor": -1443,
    "currency": "EUR",
    "descriptor": "REWE 0815",
}


def classify(**changes: Any) -> dict[str, Any]:
    return envelope(
        "ClassifyTransaction",
        {"transaction": {**FACTS, **changes}},
        command_id="c-1",
        tenant="household",
        source="statement",
        issued_at=datetime(2026, 1, 31, tzinfo=UTC),
    )


def test_our_own_envelope_is_read_back_as_it_was_made():
    command = parse_envelope(json.dumps(classify()).encode())
    assert command.correlation_id == "agent:household:statement:c-1"
    assert command.payload.transaction.amount_minor == -1443
    assert command.payload.transaction.mcc == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_minor", 1443.0),
        ("amount_minor", "1443"),
        ("amount_minor", True),
        ("amount_minor", 2**53),
        ("booked_on", "2026-02-30"),
        ("booked_on", "31.01.2026"),
        ("currency", "eur"),
        ("descriptor", ""),
        ("descriptor", "   "),
        ("descriptor", "a\x00b"),
        ("descriptor", "x" * 201),
        ("mcc", "54"),
        ("transaction_id", "a/b"),
        ("surprise", 1),
    ],
)
def test_wrong_facts_are_refused_with_the_place_and_without_the_value(field: str, value: object):
    with pytest.raises(InvalidInputError) as refused:
        parse_envelope(json.dumps(classify(**{field: value})).encode())
    assert any(field in error["pointer"] for error in refused.value.errors)
    assert "1443.0" not in str(refused.value.errors)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"command_type": "DropTables"}', b"[" * 10_000, b'{"a": NaN}'],
)
def test_what_is_no_envelope_is_refused(body: bytes):
    with pytest.raises(InvalidInputError):
        parse_envelope(body)


@pytest.mark.parametrize("command_type", ["ReviewTransaction", "ResolveParked"])
def test_commands_of_a_person_are_never_read_from_a_lane(command_type: str):
    forged = classify() | {"command_type": command_type, "payload": {}}
    with pytest.raises(InvalidInputError):
        parse_envelope(json.dumps(forged).encode())


def test_a_newer_envelope_waits_for_the_deployment_and_is_not_parked():
    newer = classify() | {"schema_version": 2, "something": "new"}
    with pytest.raises(RetryableError) as wait:
        parse_envelope(json.dumps(newer).encode())
    assert wait.value.code == "schema_too_new"


def test_instants_sort_as_text_and_need_a_zone():
    early = text(datetime(2026, 1, 1, tzinfo=UTC))
    late = text(datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC))
    assert early < late
    assert len(early) == len(late)
    assert text(parse(late)) == late
    with pytest.raises(ValueError, match="time zone"):
        text(datetime(2026, 1, 1))  # noqa: DTZ001  that is the point
