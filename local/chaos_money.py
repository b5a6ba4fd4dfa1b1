"""Where each wish for a transfer stands, and what is wrong: our record held against the bank's own books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from local.chaos_bank import BankProcess, Booked
from local.chaos_files import Documents, documents, left_to_do, reading
from local.chaos_wishes import (
    ACCEPTED,
    ANSWERED,
    EFFECTED,
    FROZEN_AT_TIMES,
    INTENDED,
    PAYEE,
    PAYER,
    REQUESTED,
    SETTLED,
    START_MINOR,
    TENANT,
    UNDER_WAY,
    WAITING,
    Wish,
)
from shared.actions.tally import tally_doc_id
from shared.conversation.stream import conversation_doc_id

BRIEFLY = ("message", "approval", "action")
WHOLE = (*BRIEFLY, "audit", "parked", "run", "metric", "conversation", "stream_event")
ENDED = frozenset({"done", "refused", "cancelled", "denied"})
AT_BANK = ("done", "refused")
"""What the bank has said; its books have the same words."""
EFFECT = ["effect_intent", "effect_outcome"]
WAITED = "action_waiting"
"""For the bank, before or after the intent: people are told of it once, and of the outcome after it."""
TERMINAL = ("Completed", "NeedsReview")
SHOWN = 8


class Seen(NamedTuple):
    """What the files of host and bank say. actions: by conversation; booked: by idempotency key."""

    kinds: Mapping[str, Documents]
    actions: Mapping[str, Mapping[str, Any]]
    booked: Mapping[str, Booked]

    def messages(self, conversation: str) -> list[Mapping[str, Any]]:
        """The messages of one conversation."""
        return [one for one in self.kinds["message"].of(TENANT) if one["conversation_id"] == conversation]

    def card(self, action: Mapping[str, Any]) -> Mapping[str, Any]:
        """The action's card, {} for none."""
        return self.kinds["approval"].found.get((TENANT, f"approval:{action['approval_id']}"), {})

    def records(self, action: Mapping[str, Any]) -> list[str]:
        """What the audit chain says of the action, in order."""
        of = [one for one in self.kinds["audit"].of(TENANT) if one["ids"].get("action") == action["action_id"]]
        return [str(one["what"]) for one in sorted(of, key=lambda one: one.get("sequence", 0))]


def look(data: Path, bank: BankProcess, kinds: Sequence[str] = WHOLE) -> Seen:
    """Our record first, then the bank's books: what is booked meanwhile was intended before."""
    with reading(data / "store.db") as store:
        found = {kind: documents(store, kind) for kind in kinds}
    actions = {body["conversation_id"]: body for body in found["action"].of(TENANT)}
    return Seen(found, actions, {one.key: one for one in bank.booked()})


def step_of(wish: Wish, seen: Seen) -> str:
    """One of `STEPS`, or `action <state>` for a state that no wish should be in."""
    action = seen.actions.get(wish.conversation)
    if action is None:
        return ACCEPTED if seen.messages(wish.conversation) else UNDER_WAY
    state = action["state"]
    if state == "waiting":
        return WAITING if seen.card(action).get("state") in ("pending", "modified") else ANSWERED
    if state == "intended":
        return EFFECTED if action["idempotency_key"] in seen.booked else INTENDED
    if state == "requested":
        return REQUESTED
    return SETTLED if state in ENDED else f"action {state}"


def wrong_now(seen: Seen) -> list[str]:
    """What may not be at any moment: money that moved without an intent on the record, or an intent without its card
    used up."""
    keys = {action["idempotency_key"]: action for action in seen.actions.values() if action["idempotency_key"]}
    found = []
    for key, paid in seen.booked.items():
        what = f"{paid.order['amount_minor']} booked as {paid.transfer_id}"
        if key not in keys:
            found.append(f"{what}: no action intends it")
        elif seen.records(keys[key]).count("effect_intent") != 1:
            found.append(f"{what}: without one intent on the record")
        elif seen.card(keys[key]).get("state") != "consumed":
            found.append(f"{what}: its card is {seen.card(keys[key]).get('state')}")
    return found[:SHOWN]


def broken_promises(wishes: Sequence[Wish], seen: Seen) -> list[str]:
    """What somebody was told that the files do not know of."""
    found = []
    for wish in wishes:
        step = step_of(wish, seen)
        if wish.accepted and step == UNDER_WAY:
            found.append(f"{wish.conversation}: the message was accepted and is nowhere")
        said = {answer["state"] for answers in wish.answers.values() for answer in answers}
        if (step == ACCEPTED and said) or (step == WAITING and said & {"approved", "rejected"}):
            found.append(f"{wish.conversation}: a signer was told {sorted(said)}, and it is at {step!r}")
    return found[:SHOWN]


def wrong_at_end(data: Path, wishes: Sequence[Wish], bank: BankProcess) -> list[str]:
    """One effect or none for each wish, the record tells which, the people were told it, and nothing is left over."""
    seen = look(data, bank)
    left = left_to_do(data)
    found = [f"left over: {left}"] if left else []
    found += [f"parked: {one['reason']}" for one in seen.kinds["parked"].found.values()][:SHOWN]
    stuck = Counter(run["status"] for run in seen.kinds["run"].of(TENANT) if run["status"] not in TERMINAL)
    found += [f"{number} runs are {status}" for status, number in stuck.items()]
    for wish in wishes:
        wrong = [one for one in (*_wrong_with(wish, seen), *_wrong_in_stream(wish, seen)) if one]
        found += [f"{wish.conversation}: {', '.join(map(str, wrong))}"] if wrong else []
    return [*found, *wrong_now(seen), *_wrong_in_sum(wishes, seen, bank.balances())]


def _wrong_with(wish: Wish, seen: Seen) -> Iterator[str | bool]:
    """Each false when all is well."""
    yield from wish.refused
    yield set(wish.answers) != set(wish.signers) and f"only {sorted(wish.answers)} were told of their signatures"
    for name, answers in wish.answers.items():
        yield any(one != answers[0] for one in answers) and f"{name} was told different things: {answers}"
    paid = [one for one in seen.booked.values() if one.order["amount_minor"] == wish.amount_minor]
    action = seen.actions.get(wish.conversation)
    if action is None:
        yield f"no action, {len(paid)} transfers"
        return
    state = action["state"]
    yield state not in wish.ends and f"the action is {state} ({action['code']})"
    booked = [one.state for one in paid]
    yield booked != [state] * (state in AT_BANK) and f"the action is {state}, and the bank has {booked}"
    reference = paid[0].transfer_id if paid else ""
    yield action["reference"] != reference and f"the reference is {action['reference']}, the bank's is {reference}"
    ways = [(one.order["from_account"], one.order["to_account"]) for one in paid]
    yield ways != [(PAYER, wish.payee)] * len(paid) and f"the money went {ways}"
    yield from _wrong_on_record(wish, action, seen)


def _wrong_on_record(wish: Wish, action: Mapping[str, Any], seen: Seen) -> Iterator[str | bool]:
    """The card, the audit chain, and what alice was told."""
    was_tried = action["state"] in AT_BANK
    unused = "rejected" if wish.decision == "reject" else "superseded"
    card = seen.card(action).get("state")
    yield card != ("consumed" if was_tried else unused) and f"the card is {card}"
    told = seen.records(action)
    signed = told.count("approval_answered")
    yield signed != len(wish.signers) and f"{signed} signatures on the record"
    steps = [what for what in told if what in (*EFFECT, WAITED)]
    waited = steps.count(WAITED)
    in_order = [what for what in steps if what != WAITED] == EFFECT * was_tried
    yield (waited > 1 or not in_order or (was_tried and steps[-1] == WAITED)) and f"on the record is {steps}"
    roles = sorted(one["role"] for one in seen.messages(wish.conversation))
    yield roles != ["assistant", *["notice"] * (1 + waited), "user"] and f"the conversation has {roles}, {steps}"


def _wrong_in_stream(wish: Wish, seen: Seen) -> Iterator[str | bool]:
    """What a reader of the conversation's stream is told, and whether anything in it still waits."""
    of = [one for one in seen.kinds["stream_event"].of(TENANT) if one["conversation_id"] == wish.conversation]
    batches = sorted(of, key=lambda one: int(one["first"]))
    ends = [0, *(one["last"] for one in batches)]
    yield any(one["first"] != end + 1 for one, end in zip(batches, ends, strict=False)) and "the stream has gaps"
    events = [event for batch in batches for event in batch["events"]]
    types = Counter(event["type"] for event in events)
    yield (
        types["RUN_STARTED"] != types["RUN_FINISHED"] + types["RUN_ERROR"] and f"the stream's runs do not end: {types}"
    )
    told = [event["value"]["state"] for event in events if event.get("name") == "countersign.action"]
    ended = [state for state in told if state in ENDED]
    wanted = [] if wish.decision == "reject" else [_state(wish, seen)]  # a rejection is told as the card's
    yield ended != wanted and f"the stream tells of {ended}"
    talk = seen.kinds["conversation"].found.get((TENANT, conversation_doc_id(wish.conversation)), {})
    left = (talk.get("queue"), talk.get("open_approvals"), talk.get("last_sequence"))
    yield left != ([], [], ends[-1]) and f"left in the conversation is {left}, its stream ends at {ends[-1]}"


def _wrong_in_sum(wishes: Sequence[Wish], seen: Seen, balances: Mapping[str, int]) -> Iterator[str]:
    """The balances, and how the actions were counted. What people reject is no action's end, and is not counted."""
    done = {wish.amount_minor: wish for wish in wishes if _state(wish, seen) == "done"}
    for account in (PAYEE, FROZEN_AT_TIMES):
        paid = sum(amount for amount, wish in done.items() if wish.payee == account)
        if balances[account] != paid:
            yield f"{account} has {balances[account]}, and {paid} should have come"
    if START_MINOR - balances[PAYER] != sum(done):
        yield f"{START_MINOR - balances[PAYER]} left {PAYER}, and it should be {sum(done)}"
    wanted = Counter(_state(wish, seen) for wish in wishes if wish.decision == "approve")
    counts = Counter[str]()
    for (_, id_), body in seen.kinds["metric"].found.items():
        for name, number in body["counts"].items() if id_.startswith(tally_doc_id("")) else ():
            counts[name.rpartition("|")[2]] += number
    if counts != wanted:
        yield f"counted as {dict(counts)}, and there were {dict(wanted)}"


def _state(wish: Wish, seen: Seen) -> str:
    return str(seen.actions.get(wish.conversation, {}).get("state"))
