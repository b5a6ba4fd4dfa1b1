"""What the files of a host say, opened read-only by somebody else: where each transaction stands, and what is left.

Published events are recorded by a trigger that chaos puts into the lanes' file: in the same transaction as the event
itself, because the topic forgets an event once it is delivered.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from shared.ledger.transactions import classify_command_id

STEPS = (
    "upload under way",
    "in the outbox",
    "command sent, not marked",
    "on the lane",
    "committed, event not sent",
    "event sent, not marked",
    "reaction outstanding",
    "done",
)
LOST = "LOST"
_TABLE = "CREATE TABLE IF NOT EXISTS chaos_published (number INTEGER PRIMARY KEY, body TEXT NOT NULL)"
_TRIGGER = (
    "CREATE TRIGGER IF NOT EXISTS chaos_records AFTER INSERT ON event"
    " BEGIN INSERT INTO chaos_published (body) VALUES (NEW.body); END"
)


class Documents(NamedTuple):
    """Bodies of one kind by (partition, id)."""

    found: dict[tuple[str, str], dict[str, Any]]

    def of(self, partition: str) -> Iterator[dict[str, Any]]:
        """The bodies in one partition."""
        return (body for (where, _), body in self.found.items() if where == partition)


_UNSENT = "documents WHERE kind = 'outbox' AND due_at <> ''"


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        yield connection


def record_events(data: Path) -> None:
    """From now on every published event is kept."""
    with closing(sqlite3.connect(data / "lanes.db", timeout=10, isolation_level=None)) as connection:
        for statement in (_TABLE, _TRIGGER):
            connection.execute(statement)


def published_so_far(lanes: sqlite3.Connection) -> int:
    """How many events there were: a cheap measure of how far the host has come."""
    return int(lanes.execute("SELECT coalesce(max(number), 0) FROM chaos_published").fetchone()[0])


def published(data: Path) -> list[dict[str, Any]]:
    """All events ever published, with repeats, in order."""
    with reading(data / "lanes.db") as lanes:
        return [json.loads(body) for (body,) in lanes.execute("SELECT body FROM chaos_published ORDER BY number")]


def documents(store: sqlite3.Connection, kind: str) -> Documents:
    """All documents of a kind."""
    rows = store.execute("SELECT partition, id, body FROM documents WHERE kind = ?", (kind,))
    return Documents({(partition, id_): json.loads(body) for partition, id_, body in rows})


def left_to_do(data: Path) -> dict[str, int]:
    """What is not finished; empty when everything is."""
    with reading(data / "store.db") as store, reading(data / "lanes.db") as lanes:
        found = {
            "undecided": _count(
                store, "lookups WHERE kind = 'transaction' AND name = 'state' AND value = 'Unclassified'"
            ),
            "unsent": _count(store, _UNSENT),
            "messages": _count(lanes, "message"),
            "events": _count(lanes, "event"),
        }
    return {name: number for name, number in found.items() if number}


def _count(connection: sqlite3.Connection, what: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])  # noqa: S608  constants above


def standing(data: Path, wanted: Mapping[str, Set[str]]) -> dict[tuple[str, str], str]:
    """The step at which each wanted transaction stands, by (tenant, id). For a dead host: nothing may move."""
    with reading(data / "store.db") as store, reading(data / "lanes.db") as lanes:
        stored = documents(store, "transaction").found
        outbox = documents(store, "outbox").found.values()
        on_lane = {json.loads(body)["command_id"] for (body,) in lanes.execute("SELECT body FROM message")}
        open_events = {json.loads(body)["id"] for (body,) in lanes.execute("SELECT body FROM event")}
    unsent_commands = {command["command_id"] for body in outbox for command in body["commands"]}
    unsent_events = {_subject(event): event["id"] for body in outbox for event in body["events"]}
    told = published(data)
    sent = {event["id"] for event in told}
    last = {_subject(event): event["id"] for event in told}
    steps = {}
    for tenant, ids in wanted.items():
        for id_ in ids:
            body, where = stored.get((tenant, f"transaction:{id_}")), (tenant, id_)
            if body is None:
                steps[where] = "upload under way"
            elif body["decision_version"] == 0:
                command = classify_command_id(tenant, id_)
                steps[where] = _undecided(command in unsent_commands, command in on_lane)
            elif where in unsent_events:
                is_sent = unsent_events[where] in sent
                steps[where] = "event sent, not marked" if is_sent else "committed, event not sent"
            elif body["counted"] == body["review_state"]:
                steps[where] = "done"
            else:
                steps[where] = "reaction outstanding" if last.get(where) in open_events else LOST
    return steps


def _undecided(in_outbox: bool, on_lane: bool) -> str:
    if on_lane:
        return "command sent, not marked" if in_outbox else "on the lane"
    return "in the outbox" if in_outbox else LOST


def _subject(event: Mapping[str, Any]) -> tuple[str, str]:
    return event["data"]["tenant"], event["data"]["transaction_id"]


def redelivered(data: Path) -> int:
    """Messages on the lane whose command was handled already: they will come a second time."""
    with reading(data / "store.db") as store, reading(data / "lanes.db") as lanes:
        receipts = set(documents(store, "receipt").found)
        found = [json.loads(body) for (body,) in lanes.execute("SELECT body FROM message")]
    return sum((one["tenant"], f"receipt:{one['command_id']}") in receipts for one in found)


def unsent(data: Path) -> int:
    """Commits whose commands and events are not known to be sent."""
    with reading(data / "store.db") as store:
        return _count(store, _UNSENT)


def tally(steps: Mapping[tuple[str, str], str]) -> Counter[str]:
    """How many transactions stand at each step."""
    return Counter(steps.values())
