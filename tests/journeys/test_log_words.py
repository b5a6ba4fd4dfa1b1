"""The log of a whole run, at its most talkative, holds no word of a statement or a person, and no account number."""

from __future__ import annotations

import json

import pytest

from tests.bench import facts
from tests.journeys.hosts import LocalHost, dev, wait_for

IBAN = "DE89370400440532013000"
BOB = dev("bob", roles="reviewer")
WORDS = ("curie", "orchid", IBAN.lower(), "anna", "acc-current", "alice", "bob", "quagga")
"""Merchants, messages, a reason, accounts, a payee, people."""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    with LocalHost(tmp_path_factory.mktemp("words") / "data", COUNTERSIGN_LOG_LEVEL="DEBUG") as host:
        known = facts("t-1", descriptor="MARIE CURIE SURGERY", account=IBAN)
        unknown = facts("t-2", descriptor="ORCHID HOUSE 81", account=IBAN, mcc="")
        assert host.upload({"transactions": [known, unknown]}).status == 202
        host.settled(2)
        assert host.upload({"transactions": [{**known, "descriptor": ["MARIE CURIE"]}]}).status == 400
        talk = "/api/v1/agent/conversations/c-1"
        assert (
            host.call("POST", f"{talk}/messages", {"message": "What did I spend at the Curie surgery?"}).status == 202
        )
        wish = {"message": "Transfer 250 euros from acc-current to Anna"}
        assert host.call("POST", f"{talk}/messages", wish).status == 202
        (card_id,) = wait_for(lambda: host.get(talk)["open_approvals"], "the card")
        card = host.get(f"/api/v1/approvals/{card_id}", as_=BOB)
        signed = {"decision": "approve", "card_digest": card["card_digest"], "rationale": "quagga says yes"}
        assert host.call("POST", f"/api/v1/approvals/{card_id}/answer", signed, as_=BOB).status == 200
        wait_for(lambda: host.get(f"/api/v1/actions/{card_id}")["state"] == "done", "the money")
        assert host.call("POST", "/admin/functions/start_nightly_sweep", {}).status == 202
        wait_for(lambda: "handled SweepTenant" in host.log.read_text(encoding="utf-8"), "the sweep")
        host.stop()
        return host.log.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("word", WORDS)
def test_no_line_holds(lines: list[str], word: str):
    assert [line for line in lines if word in line.lower()] == []


def test_every_line_about_a_command_is_json_with_its_correlation_id(lines: list[str]):
    handled = [json.loads(line) for line in lines if "handled " in line]
    assert {one["fields"]["name"] for one in handled} >= {
        "ClassifyTransaction", "AgentMessagePosted", "AnswerApproval", "RequestAction", "PerformAction", "SweepTenant",
    }  # fmt: skip
    for one in handled:
        assert one["correlation_id"]
        assert {"tenant", "command_id", "run_id", "status", "correlation_id"} <= one["fields"].keys()
