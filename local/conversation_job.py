"""The conversation's part of the main job: two questions, a transfer, a card, two refusals, a signature, one payment.

Every step states what must have happened; the first that did not ends the job with one line.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from local.api_client import ApiClient, segment
from local.job import expect, wait_until
from local.sandbox_bank import DEFAULT_TOKEN
from local.screen import Screen
from local.tenant_job import Tenant
from shared.contracts.currencies import money_text

CONVERSATION = "kitchen-table"
QUESTIONS = ("How much did I spend on groceries in February 2026?", "Will I have enough until the end of the month?")
WISH = "Please transfer 250 euros from acc-current to Anna"
PAID_MINOR = 25_000
DENIED_MINOR = 2_500_000
PAYER, PAYEE = "acc-current", "Anna"
WAIT_SECONDS = 30.0


class Story(NamedTuple):
    """Who takes part, and where the bank is."""

    screen: Screen
    tenant: Tenant
    bank: str


def ask(story: Story) -> None:
    """Two questions, answered from the tenant's own transactions."""
    alice = story.tenant.client("alice", "member")
    for question in QUESTIONS:
        reply = _said(story, alice, question)
        expect(any(letter.isdigit() for letter in reply["text"]), f"figures in the answer, but it is {reply['text']!r}")
        lines = reply["text"].splitlines()
        story.screen.line(f"   countersign ({reply['provenance']['source']}): {lines[0]}", style="cyan")
        for line in lines[1:]:
            story.screen.line(f"     {line}", style="cyan")


def request(story: Story) -> dict[str, Any]:
    """A transfer is asked for; what comes of it is a card, and no money moves."""
    before = _balance(story, PAYER)
    alice = story.tenant.client("alice", "member")
    reply = _said(story, alice, WISH)
    expect(len(reply["approvals"]) == 1, f"a card for the transfer, but the reply is {reply['text']!r}")
    card: dict[str, Any] = alice.get(f"/api/v1/approvals/{segment(reply['approvals'][0])}")
    shown = card["card"]
    story.screen.table(
        ("card", shown["title"]),
        [
            *[tuple(line) for line in shown["what"]],
            ("asked by", shown["asked_by"]),
            ("why", shown["why"]),
            *[("it will", effect) for effect in shown["effects"]],
            ("risk", f"{shown['risk']}: {shown['quorum']} x {shown['role']}"),
            ("until", shown["until"]),
            ("digest", card["digest"][:32]),
        ],
    )
    expect(_balance(story, PAYER) == before, "no money moved before anybody signed")
    return card


def refuse(story: Story, card: dict[str, Any]) -> None:
    """The wrong person, and another amount: neither gets through, and the card stays as it is."""
    approve = {"decision": "approve", "card_digest": card["card_digest"]}
    requester = story.tenant.client("alice", "member", "reviewer")
    _refused(story, "alice signs her own wish", requester, card, approve)
    bob = story.tenant.client("bob", "reviewer")
    much = {**card["arguments"], "amount_minor": DENIED_MINOR}
    what = f"bob makes it {money_text(DENIED_MINOR, 'EUR')}"
    _refused(story, what, bob, card, {**approve, "edited_arguments": much})
    forged = card["card_digest"][::-1]
    _refused(story, "bob signs another card than this one", bob, card, {**approve, "card_digest": forged})
    now = bob.get(_of(card))
    expect(now["state"] == "pending" and now["card_digest"] == card["card_digest"], "the card as it was")


def sign(story: Story, card: dict[str, Any]) -> None:
    """Bob signs what he was shown; the bank moves the money once, however often he presses the button."""
    before = {account: _balance(story, account) for account in (PAYER, PAYEE)}
    bob = story.tenant.client("bob", "reviewer")
    body = {"decision": "approve", "card_digest": card["card_digest"], "rationale": "Anna's share of the rent"}
    answers = [bob.post(f"{_of(card)}/answer", body, key="bob-signs") for _ in range(3)]
    expect(all(answer == answers[0] for answer in answers), "the same answer to the same signature")

    def done() -> dict[str, Any] | None:
        story.tenant.host.check_alive()
        action: dict[str, Any] = bob.get(f"/api/v1/actions/{segment(card['action_id'])}")
        return action if action["finished_at"] else None

    action = wait_until(done, seconds=WAIT_SECONDS, deadline=story.tenant.deadline, what="the transfer to be done")
    expect(action["state"] == "done", f"a transfer that is done, but it is {action['state']} ({action['code']})")
    moved = {account: _balance(story, account) - before[account] for account in before}
    expect(moved == {PAYER: -PAID_MINOR, PAYEE: PAID_MINOR}, f"the money moved once, but it moved {moved}")
    for account, amount in moved.items():
        story.screen.line(
            f"   {account}: {money_text(before[account], 'EUR')} {money_text(amount, 'EUR')}"
            f" -> {money_text(before[account] + amount, 'EUR')}",
            style="green",
        )


def record(story: Story, card: dict[str, Any]) -> None:
    """Everything that was asked, refused, signed and done, in order, from the audit chain."""
    carol = story.tenant.client("carol", "auditor")
    told: list[dict[str, Any]] = []
    after = 0
    while page := carol.get("/api/v1/audit", after=after, limit=200)["items"]:
        told += [
            one
            for one in page
            if card["action_id"] in one["ids"].values() or card["approval_id"] in one["ids"].values()
        ]
        after = page[-1]["sequence"]
    story.screen.table(
        ("record", "what", "who", "hash"),
        [(str(one["sequence"]), one["what"], one["who"]["id"], one["hash"][:16]) for one in told],
        numbers=("record",),
    )
    order = [one["what"] for one in told]
    expect("effect_intent" in order and "effect_outcome" in order, f"intent and outcome on record, but it has {order}")
    expect(order.index("effect_intent") < order.index("effect_outcome"), "the intent recorded before the effect")
    expect(order.count("approval_refused") == 3, f"the three refusals on record, but it has {order}")
    signed = next(one["who"]["id"] for one in told if one["what"] == "approval_answered")
    expect("bob" in signed, f"bob on record as the signer, not {signed}")


def _said(story: Story, who: ApiClient, message: str) -> dict[str, Any]:
    """The reply to a message, once it is there."""
    story.screen.line(f"   alice: {message}")
    path = f"/api/v1/agent/conversations/{CONVERSATION}"
    turn = who.post(f"{path}/messages", {"message": message}, key=message)["turn"]

    def reply() -> dict[str, Any] | None:
        story.tenant.host.check_alive()
        told = who.get(path, limit=200)["messages"]
        return next((one for one in told if one["turn"] == turn and one["role"] == "assistant"), None)

    return wait_until(reply, seconds=WAIT_SECONDS, deadline=story.tenant.deadline, what="an answer")


def _refused(story: Story, what: str, who: ApiClient, card: dict[str, Any], body: dict[str, Any]) -> None:
    reply = who.attempt("POST", f"{_of(card)}/answer", body, headers={"Idempotency-Key": what})
    expect(400 <= reply.status < 500, f"a refusal when {what}, but it answered {reply.status}")
    code = str(reply.body["type"]).rpartition(":")[2]
    story.screen.line(f"   {what}: {reply.status} {code}: {reply.body['detail']}", style="yellow")


def _of(card: dict[str, Any]) -> str:
    return f"/api/v1/approvals/{segment(card['approval_id'])}"


def _balance(story: Story, account: str) -> int:
    """As the bank itself has it, in minor units."""
    asked = Request(f"{story.bank}/v1/accounts/{account}", headers={"Authorization": f"Bearer {DEFAULT_TOKEN}"})  # noqa: S310  our own bank
    with urlopen(asked, timeout=story.tenant.deadline.left()) as answer:  # noqa: S310
        return int(json.load(answer)["balance_minor"])
