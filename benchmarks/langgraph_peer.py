"""The peer: the same unit with LangGraph and its SQLite checkpointer, each step durable before the next begins.

The graph: three specialists side by side -> guard -> decide, which writes the eight rows in one SQLite transaction.
Runs on an interpreter that has LangGraph (`LANGGRAPH_PYTHON=/path/to/python`), so nothing else is imported here.

    $LANGGRAPH_PYTHON -m benchmarks.langgraph_peer IN_FLIGHT UNITS
"""

from __future__ import annotations

import json
import operator
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

from benchmarks import workload
from benchmarks.measure import Measured, Meter, closed_loop_in_threads, data_folder, finish

WARM_UP = 10
DURABILITY = "sync"


class State(TypedDict, total=False):
    """What flows through the graph."""

    asked: dict[str, Any]
    proposals: Annotated[list[dict[str, Any]], operator.add]
    decision: dict[str, Any]


class Ledger:
    """Where the decide node writes: one connection, one transaction per unit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._turn = threading.Lock()
        for pragma in workload.PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        for statement in workload.DDL:
            self._connection.execute(statement)

    def keep(self, state: State) -> None:
        """All rows or none."""
        asked, decision = state["asked"], state["decision"]
        proposals = sorted(state["proposals"], key=operator.itemgetter("specialist"))
        run = workload.run_of(asked, proposals, decision)
        run_id = run["run_id"]
        stages = [value for one in proposals for value in (run_id, one["specialist"], json.dumps(one))]
        transaction_id = asked["transaction"]["transaction_id"]
        with self._turn:
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            execute(workload.INSERT_IDEMPOTENCY, (asked["idempotency_key"], run_id))
            execute(workload.INSERT_RUN, (run_id, "Completed", 2, json.dumps(run)))
            execute(workload.INSERT_STAGES, stages)
            execute(workload.INSERT_DECISION, (run_id, json.dumps(decision)))
            execute(workload.INSERT_STATE, (transaction_id, decision["outcome"], run_id))
            execute(workload.INSERT_OUTBOX, (json.dumps(workload.announcement(run)),))
            execute("COMMIT")

    def count(self) -> int:
        """Decisions kept."""
        return int(self._connection.execute("SELECT count(*) FROM decisions").fetchone()[0])


def specialist_node(name: str) -> Callable[[State], State]:
    """A node that asks one specialist."""
    return lambda state: {"proposals": [workload.proposal(name, state["asked"])]}


def guard_node(state: State) -> State:
    """The node that judges."""
    return {"decision": workload.judged(state["asked"], state["proposals"])}


def graph_over(saver: Any, ledger: Ledger) -> Any:
    """The compiled graph."""
    from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found, unused-ignore]

    def decide(state: State) -> State:
        ledger.keep(state)
        return {}

    graph = StateGraph(State)
    graph.add_node("guard", guard_node)
    graph.add_node("decide", decide)
    for name in workload.SPECIALISTS:
        graph.add_node(name, specialist_node(name))
        graph.add_edge(START, name)
        graph.add_edge(name, "guard")
    graph.add_edge("guard", "decide")
    graph.add_edge("decide", END)
    return graph.compile(checkpointer=saver)


def measured(in_flight: int, units: int, folder: Path) -> Measured:
    """One run in an empty folder."""
    from langgraph.checkpoint.sqlite import SqliteSaver  # type: ignore[import-not-found, unused-ignore]

    ledger = Ledger(folder / "ledger.db")
    connection = sqlite3.connect(folder / "checkpoints.db", check_same_thread=False)
    graph = graph_over(SqliteSaver(connection), ledger)

    def unit(number: int) -> None:
        asked = workload.command(number)
        thread = {"configurable": {"thread_id": asked["idempotency_key"]}}
        graph.invoke({"asked": asked, "proposals": []}, thread, durability=DURABILITY)

    for number in range(WARM_UP):
        unit(10**8 + number)
    meter = Meter()
    result = meter.read(closed_loop_in_threads(unit, units, in_flight))
    assert ledger.count() == units + WARM_UP
    return result


def main() -> None:
    """Measure what the command line names; with no argument, only tell the versions."""
    if len(sys.argv) == 1:
        from importlib.metadata import version

        names = ("langgraph", "langgraph-checkpoint-sqlite")
        finish({"versions": ", ".join(f"{name} {version(name)}" for name in names)})
    in_flight, units = int(sys.argv[1]), int(sys.argv[2])
    with data_folder() as folder:
        result = measured(in_flight, units, folder)
    finish(result)


if __name__ == "__main__":
    main()
