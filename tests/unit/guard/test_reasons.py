"""Every reason code is listed once, explained, and documented as it is."""

from __future__ import annotations

from pathlib import Path

from shared.guard.reasons import APPLIED, DEFERRED, NEEDS_REVIEW, NOTE, REASONS, REJECTED, as_markdown, strictest_first

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "reason-codes.md"


def test_the_document_is_what_the_table_says() -> None:
    assert DOCUMENT.read_text() == as_markdown(), "run: python -m shared.guard.reasons > docs/reason-codes.md"


def test_every_reason_is_short_explained_and_of_a_known_kind() -> None:
    for code, reason in REASONS.items():
        assert code.replace("_", "").isalnum(), code
        assert code == code.lower(), code
        assert len(code) <= 120
        assert reason.severity in {"Info", "Warning", "Error", "Critical"}, code
        assert reason.leads_to in {APPLIED, DEFERRED, NEEDS_REVIEW, NOTE, REJECTED}, code
        assert reason.explanation.endswith("."), code
        assert len(reason.explanation) <= 200, code


def test_the_strictest_comes_first_whatever_the_order() -> None:
    codes = dict.fromkeys(["mcc_rule", "deterministic_accepted", "no_proposal", "external_action_denied"])
    assert strictest_first(codes) == ("external_action_denied", "no_proposal", "deterministic_accepted", "mcc_rule")
