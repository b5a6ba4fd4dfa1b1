"""The hash chain: what it covers, what breaks it, and what erasure leaves."""

import json
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.record import START, Entry, broken, canonical, check_hashable, erased, next_record
from shared.errors import TerminalError

WHO = {"kind": "person", "id": "alice"}
SALT = "00112233445566778899aabbccddeeff"


def chain_of(count: int) -> list[dict[str, Any]]:
    head, records = START, []
    for number in range(count):
        entry = Entry("decided", WHO, {"run": f"r{number}"}, {"amount_minor": number, "text": "Käse ☕"})
        record, head = next_record(head, entry, at="2026-01-01T00:00:00.000000Z", salt=SALT)
        records.append(record)
    return records


def first_break(records: list[dict[str, Any]]) -> tuple[int, str]:
    head = START
    for number, record in enumerate(records, start=1):
        if problem := broken(record, head):
            return number, problem
        head = head._replace(sequence=record["sequence"], hash=record["hash"])
    return 0, ""


def test_a_chain_verifies_and_each_record_names_its_predecessor():
    records = chain_of(5)
    assert first_break(records) == (0, "")
    assert all(later["previous_hash"] == earlier["hash"] for earlier, later in pairwise(records))


@pytest.mark.parametrize("field", ["sequence", "previous_hash", "at", "what", "payload_hash", "hash"])
def test_changing_any_hashed_field_breaks_the_chain_there(field: str):
    records = chain_of(3)
    records[1][field] = 7 if field == "sequence" else "f" * 64
    assert first_break(records)[0] == 2


def test_changing_who_did_it_or_what_it_was_about_breaks_the_chain():
    for field in ("who", "ids"):
        records = chain_of(3)
        records[2][field] = {"kind": "person", "id": "mallory"}
        assert first_break(records) == (3, "hash_differs")


def test_changing_the_payload_or_its_salt_is_noticed():
    records = chain_of(3)
    records[0]["payload"]["amount_minor"] = 1_000_000
    assert first_break(records) == (1, "payload_differs")
    records = chain_of(3)
    records[0]["salt"] = "ff" * 16
    assert first_break(records) == (1, "payload_differs")


def test_leaving_a_record_out_is_noticed():
    records = chain_of(4)
    del records[1]
    assert first_break(records) == (2, "sequence_gap")


def test_an_erased_record_keeps_the_chain_whole_and_says_so():
    records = chain_of(3)
    records[1] = erased(records[1], at="2026-02-01T00:00:00.000000Z", by="operator")
    assert first_break(records) == (0, "")
    assert "Käse" not in json.dumps(records[1], ensure_ascii=False)


def test_a_payload_removed_without_an_erasure_is_a_break():
    records = chain_of(3)
    records[1] |= {"payload": None, "salt": None}
    assert first_break(records) == (2, "payload_missing")


@pytest.mark.parametrize("value", [1.5, 2**53, {"ä": 1}, {1: 2}, [float("nan")], object()])
def test_what_has_no_unique_canonical_form_is_refused(value: object):
    with pytest.raises(TerminalError):
        check_hashable({"value": value} if not isinstance(value, dict) else value)


hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
    max_leaves=20,
)


@given(hashable)
def test_the_fast_canonical_form_is_the_one_an_outsider_computes(value: Any):
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical(value) == plain
    assert sha256(canonical(json.loads(plain))).digest() == sha256(plain).digest()
