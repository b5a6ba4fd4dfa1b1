"""What each kind of command asks of Azure, counted: the real functions, over the real adapters and doubles of services.

`python -m benchmarks.cost_counts` prints the counts as one line of JSON. Everything is exact but request units, which
are the double's (`tests/doubles/cosmos_prices.py`, after published figures), and sizes, which vary by a few bytes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.cost_app import TENANT, App, running
from benchmarks.cost_meters import Counted, per
from benchmarks.statements import rows

ROWS = 200
TURNS = 10
QUESTION = "How much did I spend on groceries in February 2026?"
WISH = "Transfer 25 euros from acc-current to Anna"
TIMERS = ("relay_outbox", "age_approvals", "probe_breakers", "continue_erasures", "purge_expired")

type Counts = dict[str, Counted]


async def counts(folder: Path) -> Counts:
    """By kind; each is what one of its kind needs on average."""
    async with running(folder) as app:
        told: Counts = {"first_use": await _first_use(app)}
        told |= await _statement(app)
        told |= await _review(app)
        told |= await _conversation(app)
        told |= await _transfer(app)
        told |= await _standing(app)
        told |= {"stored": _stored(app)}
        return told


async def _first_use(app: App) -> Counted:
    """An instance's first command: one row, with the tenant's registration and what the SDKs ask for once."""
    await app.call("post_transactions", {"transactions": list(islice(rows(ROWS), 1))})
    await app.handle_all()
    await app.react_all()
    return await app.counted()


async def _statement(app: App) -> Counts:
    """A statement of many rows, one row alone, and what becomes of each row."""
    await app.call("post_transactions", {"transactions": list(islice(rows(), ROWS))})
    told = {"accept_row": per(await app.counted(), ROWS)}
    last = app.azure.messages[-1]
    assert await app.handle_all() == ROWS
    told["classify"] = per(await app.counted(), ROWS)
    assert await app.react_all() == ROWS
    told["reaction"] = per(await app.counted(), ROWS)
    await app.handle(last)
    told["redelivery"] = await app.counted()
    await app.call("post_transactions", {"transactions": list(islice(rows(ROWS + 1), 1))})
    told["accept_single"] = await app.counted()
    await app.handle_all()
    await app.react_all()
    await app.counted()
    return told


async def _review(app: App) -> Counts:
    """A person's answer, from looking at the list."""
    page = await app.call("list_transactions", asked={"review_state": "NeedsReview", "limit": str(TURNS)})
    assert len(page["items"]) == TURNS
    told = {"list_page": await app.counted()}
    for one in page["items"]:
        facts, version = one["facts"], one["decision_version"]
        body = {"action": "reclassify", "category": "food.groceries", "decision_version": version}
        await app.call("review_transaction", body, who="bob", id=facts["transaction_id"])
    told["review"] = per(await app.counted(), TURNS)
    await app.react_all()
    await app.counted()
    return told


async def _conversation(app: App) -> Counts:
    """A question: posted, answered by the lane, and its answer read from the stream."""
    told: Counts = {}
    for number in range(TURNS):
        await app.call("post_message", {"message": QUESTION}, id=f"talk-{number}")
    told["message_posted"] = per(await app.counted(), TURNS)
    await app.handle_all()
    told["message_answered"] = per(await app.counted(), TURNS)
    for number in range(TURNS):
        await app.call("stream_conversation", id=f"talk-{number}")
    told["stream_read"] = per(await app.counted(), TURNS)
    return told


async def _transfer(app: App) -> Counts:
    """A wish becomes a card, a person signs it, and the money moves."""
    told: Counts = {}
    for number in range(TURNS):
        await app.call("post_message", {"message": WISH}, id=f"pay-{number}")
    await app.counted()
    await app.handle_all()
    told["wish_to_card"] = per(await app.counted(), TURNS)
    cards = [one["approval_id"] for one in (await app.call("list_approvals", who="bob"))["items"]]
    digests = {card: (await app.call("get_approval", who="bob", id=card))["card_digest"] for card in cards}
    assert len(digests) == TURNS, cards
    told["cards_shown"] = per(await app.counted(), TURNS)
    for card, digest in digests.items():
        await app.call("answer_approval", {"decision": "approve", "card_digest": digest}, who="bob", id=card)
    told["card_answered"] = per(await app.counted(), TURNS)
    await app.handle_all()
    told["effect"] = per(await app.counted(), TURNS)
    states = {(await app.call("get_action", id=card))["state"] for card in cards}
    assert states == {"done"}, states
    await app.counted()
    return told


async def _standing(app: App) -> Counts:
    """What costs without a command: the night, and timers that find nothing to do."""
    await app.fire("start_nightly_sweep")
    told: Counts = {"sweep_started": await app.counted()}
    await app.handle_all()
    told["sweep"] = await app.counted()
    await app.fire("checkpoint_audit_heads")
    told["checkpoint_moved"] = await app.counted()
    await app.fire("checkpoint_audit_heads")
    told["checkpoint_unmoved"] = await app.counted()
    for timer in TIMERS:
        await app.fire(timer)
        told[f"timer_{timer}"] = await app.counted()
    return told


def _stored(app: App) -> Counted:
    """What the tenant's data take, as JSON; the index and the service's own overhead come on top."""
    from tests.doubles.cosmos_prices import size_kb

    items: list[dict[str, Any]] = list(app.azure.served.items.partitions[TENANT].values())
    money = {"transaction", "run", "audit", "receipt", "outbox"}
    kept = [one for one in items if one["kind"] in money and "ttl" not in one]
    decided = sum(one["kind"] == "transaction" for one in items)
    return {
        "documents": len(items),
        "kb": sum(map(size_kb, items)),
        "transactions": decided,
        "kb_kept_for_good": sum(map(size_kb, kept)),
    }


async def main() -> None:
    """Prints the counts."""
    with tempfile.TemporaryDirectory() as folder:
        told = await counts(Path(folder))
    rounded = {kind: {name: round(value, 3) for name, value in one.items()} for kind, one in told.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
