"""A transfer over the real host and a bank in a process of its own: signed by a crowd; and carried out by a bank that
is slow, breaks, hangs up after the work, and is left alone for a while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from local.chaos_bank import BankProcess
from local.chaos_transfers import BREAKER, impatient_policy
from local.chaos_wishes import ACCOUNTS, PAYEE, PAYER, START_MINOR, TIMEOUT_MS
from local.sandbox_trouble import Trouble
from tests.journeys.hosts import LocalHost, Reply, dev, wait_for

ALICE, BOB, RITA = dev("alice", roles="member"), dev("bob", roles="reviewer"), dev("rita", roles="reviewer")
AUDITOR = dev("carol", roles="auditor")
TALKS = "/api/v1/agent/conversations"
AMOUNTS = count(1_000)
"""Each transfer has an amount of its own."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BankProcess]:
    with BankProcess(tmp_path_factory.mktemp("bank"), ACCOUNTS) as running:
        yield running


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, bank: BankProcess) -> Iterator[LocalHost]:
    folder = tmp_path_factory.mktemp("host")
    settings = bank.environment(f"household={PAYER}") | {"COUNTERSIGN_ACTION_POLICY": str(impatient_policy(folder))}
    with LocalHost(folder / "data", **settings) as running:
        yield running


@pytest.fixture(autouse=True)
def books_that_balance(bank: BankProcess) -> Iterator[None]:
    yield
    bank.meets(Trouble())
    paid = sum(one.order["amount_minor"] for one in bank.booked() if one.state == "done")
    balances = bank.balances()
    assert (balances[PAYER], balances[PAYEE]) == (START_MINOR - paid, paid)


class Transfer:
    """What alice wishes for in a conversation of its own, as far as its card."""

    def __init__(self, host: LocalHost, bank: BankProcess) -> None:
        self.host, self.bank, self.amount_minor = host, bank, next(AMOUNTS)
        self.talk = f"{TALKS}/talk-{self.amount_minor}"
        wish = f"transfer {self.amount_minor / 100:.2f} EUR from {PAYER} to {PAYEE}"
        assert host.call("POST", f"{self.talk}/messages", {"message": wish}, as_=ALICE).status == 202
        reply = wait_for(lambda: [one for one in self.messages() if one["role"] == "assistant"], "the reply")[0]
        self.card = host.get(f"/api/v1/approvals/{reply['approvals'][0]}", as_=BOB)

    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.host.get(self.talk, as_=ALICE)["messages"]
        return messages

    def notices(self) -> list[str]:
        return [one["text"] for one in self.messages() if one["role"] == "notice"]

    def answered(self, as_: dict[str, str], key: str) -> Reply:
        body = {"decision": "approve", "card_digest": self.card["card_digest"]}
        path = f"/api/v1/approvals/{self.card['approval_id']}/answer"
        return self.host.call("POST", path, body, {"Idempotency-Key": key}, as_=as_)

    def signed(self) -> None:
        assert self.answered(BOB, "bob").status == 200

    def action(self) -> dict[str, Any]:
        action: dict[str, Any] = self.host.get(f"/api/v1/actions/{self.card['action_id']}", as_=ALICE)
        return action

    def breaker(self) -> str:
        """Of the bank, as whoever waits for this transfer sees it; "" once nobody does."""
        waits_for = self.action()["waits_for"]
        return waits_for["breaker"] if waits_for else ""

    def records(self) -> list[str]:
        """What the audit chain says of it."""
        found: list[str] = []
        after = -1
        while after:
            page = self.host.get(f"/api/v1/audit?limit=200&after={max(after, 0)}", as_=AUDITOR)
            found += [one["what"] for one in page["items"] if one["ids"].get("action") == self.card["action_id"]]
            after = page["next_after"]
        return found

    def is_done_once(self) -> None:
        """By the bank's books, the action, the record and what alice reads."""
        wait_for(lambda: self.action()["finished_at"], f"the end of {self.amount_minor}")
        (paid,) = [one for one in self.bank.booked() if one.order["amount_minor"] == self.amount_minor]
        action = self.action()
        assert (action["state"], action["reference"]) == ("done", paid.transfer_id), action
        assert action["idempotency_key"] == paid.key
        records = self.records()
        once = ("approval_answered", "approval_consumed", "effect_intent", "effect_outcome")
        assert [what for what in records if what in once] == list(once), records
        told = self.notices()
        assert [paid.transfer_id in one for one in told] == [False] * (len(told) - 1) + [True]
        assert len(told) <= 2, "that it waits is told once"


def test_fifty_answers_of_ten_clients_at_once_with_one_key_are_one_signature_and_one_effect(
    host: LocalHost, bank: BankProcess
):
    transfer = Transfer(host, bank)
    with ThreadPoolExecutor(10) as clients:
        replies = list(clients.map(lambda _: transfer.answered(BOB, "bob-signs"), range(50)))
    assert Counter(reply.status for reply in replies) == {200: 50}
    assert all(reply.body == replies[0].body for reply in replies)
    transfer.is_done_once()


def test_fifty_answers_of_ten_clients_and_two_people_at_once_are_one_signature_and_one_effect(
    host: LocalHost, bank: BankProcess
):
    transfer = Transfer(host, bank)

    def client(number: int) -> list[Reply]:
        return [transfer.answered((BOB, RITA)[number % 2], f"client-{number}") for _ in range(5)]

    with ThreadPoolExecutor(10) as clients:
        replies = list(clients.map(client, range(10)))
    (taken,) = [one for one in replies if one[0].status == 200]
    assert [reply.body for reply in taken] == [taken[0].body] * 5
    refused = [reply for one in replies if one is not taken for reply in one]
    assert {reply.status for reply in refused} == {409}
    assert {reply.body["type"].rpartition(":")[2] for reply in refused} == {"already_signed", "approval_closed"}
    transfer.is_done_once()


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(drop="after"),
        Trouble(fail_status=500, stage="after"),
        Trouble(latency_ms=2 * TIMEOUT_MS, stage="after"),
    ],
    ids=["hangs up after the work", "500 after the work", "slow beyond the time-out"],
)
def test_a_bank_that_does_its_work_and_does_not_say_so_is_asked_and_not_told_again(
    host: LocalHost, bank: BankProcess, trouble: Trouble
):
    transfer = Transfer(host, bank)
    bank.count()
    before = bank.orders
    bank.meets(trouble)
    transfer.signed()
    transfer.is_done_once()
    bank.count()
    assert bank.orders == before + 1
    assert len(transfer.notices()) == 1, "nobody had to wait for a second attempt"


def test_a_bank_killed_after_the_work_is_asked_what_became_of_it_when_it_is_back(host: LocalHost, bank: BankProcess):
    transfer = Transfer(host, bank)
    bank.meets(Trouble(latency_ms=TIMEOUT_MS - 100, stage="after"))
    transfer.signed()
    wait_for(lambda: transfer.amount_minor in [one.order["amount_minor"] for one in bank.booked()], "the work")
    bank.kill()
    wait_for(transfer.notices, "a word to alice")
    bank.start()
    transfer.is_done_once()
    assert "POST /v1/transfers" not in bank.calls(), "it was only asked"


def test_the_breaker_opens_and_closes_again_and_whoever_waits_sees_it(host: LocalHost, bank: BankProcess):
    transfers = [Transfer(host, bank) for _ in range(BREAKER["failures"])]
    first = transfers[0]
    bank.meets(Trouble(fail_status=500, calls="all", times=0))
    for transfer in transfers:
        transfer.signed()
    wait_for(lambda: first.breaker() == "open", "an open breaker")
    assert first.action()["waits_for"]["retry_at"]
    asked = bank.calls()
    for transfer in transfers:
        (told,) = wait_for(transfer.notices, "a word to alice")
        assert "this waits, because the bank" in told
    bank.meets(Trouble(latency_ms=TIMEOUT_MS // 2, calls="all", times=0))
    assert bank.calls() == asked, "while it is open the bank is left alone"
    wait_for(lambda: _probed(host) and first.breaker() == "half_open", "one probe on its way")
    wait_for(lambda: first.breaker() in ("closed", ""), "a closed breaker")
    bank.meets(Trouble())
    for transfer in transfers:
        transfer.is_done_once()
        assert len(transfer.notices()) == 2
        assert transfer.breaker() == ""
    host.verified(as_=AUDITOR)


def _probed(host: LocalHost) -> bool:
    """The timer, sooner than it would be."""
    return host.call("POST", "/admin/functions/probe_breakers", {}).status == 202
