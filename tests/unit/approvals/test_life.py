"""The life of a card as a state machine: whatever people, time and the dispatcher do in whatever order, nothing
happens twice, nothing happens unsigned, and what happens is what was signed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.approvals.card import ENDED, OPEN, TRANSITIONS, Card, consumed, due_at_of, superseded, valid_for
from shared.approvals.life_cycle import Edit, Signer, aged, check, edited, moment_due, rejected, signed
from shared.contracts.instants import text
from shared.errors import ForbiddenError, StateConflictError
from shared.guard.approvers import FIRST, NEVER, Terms, stricter
from shared.ports.document_store import Document
from tests.unit.approvals.test_card import NOW, TENANT, pending

PEOPLE = ("alice", "rita", "ralf", "rosa", "max")
ROLES = {"max": ["member"]}
REFUSED = (StateConflictError, ForbiddenError)
people = st.sampled_from(PEOPLE)
seldom = st.sampled_from([False, False, False, False, True])


def signer(person: str) -> Signer:
    return Signer(person, person.title(), ROLES.get(person, ["reviewer"]))


class CardLife(RuleBasedStateMachine):
    """`shown`: what each person last looked at; `effects`: the arguments that were carried out."""

    @initialize(amount=st.sampled_from([5_000, 200_000]), requester_may_sign=st.sampled_from([NEVER, FIRST]))
    def ask(self, amount: int, requester_may_sign: str) -> None:
        self.card, self.action = pending(amount)
        self.now = NOW
        self.effects: list[tuple[dict[str, Any], list[str]]] = []
        self.answered: dict[str, list[str]] = {}
        self.states = ["pending"]
        self.shown = dict.fromkeys(PEOPLE, self.card.body["card_digest"])
        if requester_may_sign == FIRST:
            self._edit_terms(requester_may_sign)

    def _edit_terms(self, requester_may_sign: str) -> None:
        """As policy would have made it."""
        from shared.approvals.card import card_digest_of

        body = self.card.body
        shown = {**body["card"], "requester_may_sign": requester_may_sign}
        changes = {"card": shown, "requester_may_sign": requester_may_sign}
        body = {**body, **changes, "card_digest": card_digest_of(shown, body["digest"])}
        self.card = self.card._replace(body=body)
        self.shown = dict.fromkeys(PEOPLE, body["card_digest"])

    @property
    def at(self) -> str:
        return text(self.now)

    def _becomes(self, card: Document) -> None:
        before, after = self.card.body, card.body
        assert after["state"] in TRANSITIONS[before["state"]]
        assert after["version"] == before["version"] + 1
        self.card = card
        self.states.append(after["state"])

    @rule(person=people, looks=st.booleans())
    def approve(self, person: str, looks: bool) -> None:
        if looks:
            self.shown[person] = self.card.body["card_digest"]
        try:
            check(self.card.body, signer(person), decision="approve", card_digest=self.shown[person], at=self.at)
        except REFUSED:
            return
        assert self.shown[person] == self.card.body["card_digest"], "signed unseen"
        self._becomes(signed(self.card, signer(person), rationale="", at=self.at))
        self.answered.setdefault(self.card.body["digest"], []).append(person)

    @rule(person=people, really=seldom)
    def say_no(self, person: str, really: bool) -> None:
        if not really:
            return
        try:
            check(self.card.body, signer(person), decision="reject", card_digest=self.shown[person], at=self.at)
        except REFUSED:
            return
        self._becomes(rejected(self.card, signer(person), rationale="", at=self.at))

    @rule(person=people, amount=st.sampled_from([1, 100_000, 100_001, 300_000]))
    def edit(self, person: str, amount: int) -> None:
        self.shown[person] = self.card.body["card_digest"]
        body = self.card.body
        arguments = {**body["arguments"], "amount_minor": amount}
        asked = Terms("reviewer", 2 if amount > 100_000 else 1, body["requester_may_sign"], "alice")
        terms = stricter(Terms(body["role"], body["quorum"], body["requester_may_sign"], "alice"), asked)
        change = Edit(arguments, 1, body["policy_version"], "high", terms, Card(f"Transfer {amount}", (), "said so"))
        try:
            check(body, signer(person), decision="approve", card_digest=self.shown[person], at=self.at)
            card = edited(self.card, change, signer(person), rationale="", at=self.at)
        except REFUSED:
            return
        self._becomes(card)
        changes = {"arguments": arguments, "digest": card.body["digest"]}
        self.action = self.action._replace(body={**self.action.body, **changes})
        self.answered = {card.body["digest"]: [person]}  # whoever signed before has signed something else

    @rule(minutes=st.sampled_from([1, 30, 100, 300]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def timer(self) -> None:
        moment = moment_due(self.card.body, at=self.at)
        due = bool(self.card.due_at) and self.card.due_at <= self.at
        assert bool(moment) == due, "the store's due date and the card's own clock tell one story"
        if moment:
            self._becomes(aged(self.card, moment, at=self.at))

    @rule(person=people, other=people)
    def approve_together(self, person: str, other: str) -> None:
        self.approve(person, looks=True)
        self.approve(other, looks=True)

    @rule()
    def carry_out(self) -> None:
        if valid_for(self.card.body, self.action.body, tenant=TENANT, now=self.now):
            return
        assert self.at < self.card.body["expires_at"]
        people_now = [one["person"] for one in self.card.body["signatures"]]
        self.effects.append((self.action.body["arguments"], people_now))
        self._becomes(consumed(self.card, run_id="r-9", at=self.at))

    @precondition(lambda self: self.card.body["state"] not in ENDED)
    @rule(really=seldom)
    def make_way(self, really: bool) -> None:
        if really:
            self._becomes(superseded(self.card, why="newer_message", by="k-2", at=self.at))

    @invariant()
    def there_is_at_most_one_effect(self) -> None:
        if hasattr(self, "card"):
            assert len(self.effects) == self.states.count("consumed") <= 1

    @invariant()
    def what_was_done_was_signed_by_enough_others_exactly_as_it_was_done(self) -> None:
        for arguments, signers in getattr(self, "effects", []):
            assert arguments == self.card.body["arguments"]
            assert sorted(signers) == sorted(self.answered[self.card.body["digest"]])
            assert len(set(signers)) == len(signers) >= (2 if arguments["amount_minor"] > 100_000 else 1)
            assert signers[-1] != "alice", "whoever asks never has the last word"
            assert "alice" not in signers or self.card.body["requester_may_sign"] == FIRST
            assert "max" not in signers

    @invariant()
    def every_signature_is_on_the_card_as_it_is(self) -> None:
        if hasattr(self, "card"):
            body = self.card.body
            signed_for = {(one["digest"], one["card_digest"]) for one in body["signatures"]}
            assert signed_for <= {(body["digest"], body["card_digest"])}

    @invariant()
    def an_end_is_an_end(self) -> None:
        if hasattr(self, "card"):
            body = self.card.body
            assert not set(self.states[:-1]) & ENDED
            assert self.card.due_at == due_at_of(body)
            assert self.card.keys["state"] == ("open" if body["state"] in OPEN else body["state"])
            assert body["state"] != "expired" or (body["rejected_by"] == "" and body["expired_at"])


CardLife.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestCardLife = CardLife.TestCase
