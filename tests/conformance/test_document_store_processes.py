"""Stores that several processes share: nobody's commit is lost, and a kill in mid-write leaves whole commits."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.adapters.embedded.sqlite_writer import Executor
from shared.ports.document_store import Schemas
from tests.conformance.adapters import KINDS, Clock

ROOT = Path(__file__).parents[2]
PRELUDE = """
import asyncio, sys
from pathlib import Path
from shared.adapters.embedded.document_store import SqliteDocumentStore
from shared.errors import ConflictError
from shared.ports.document_store import Document, Schemas
from tests.conformance.adapters import KINDS, Clock

folder, name, executor = sys.argv[1:]

def run(key, body, **more):
    return Document("smith", f"run:{key}", "run", body, **more)

def opened():
    return SqliteDocumentStore(Path(folder) / "store.db", schemas=Schemas(KINDS), now=Clock(), executor=executor)
"""
INCREMENT = """
async def main():
    store = opened()
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(30):
        while True:
            counter = await store.read("smith", "run:counter") or run("counter", {"n": 0})
            try:
                writes = [counter._replace(body={"n": counter.body["n"] + 1}), run(f"{name}-{n}", {}, sort=f"{n:03}")]
                await store.commit("smith", writes)
            except ConflictError as error:
                assert error.lost == ("run:counter",)
            else:
                break
    await store.close()
asyncio.run(main())
"""
WRITE_FOREVER = """
async def endlessly(store, lane):
    for n in range(1_000_000):
        parts = [run(f"{lane}-{n}-{part}", {"pad": "x" * 900}, sort=f"{lane}-{n:06}-{part}") for part in range(4)]
        await store.commit("smith", parts)
        print(f"{lane}-{n}", flush=True)

async def main():
    store = opened()
    await asyncio.gather(*[endlessly(store, lane) for lane in range(4)])
asyncio.run(main())
"""


def start(program: str, folder: Path, name: str, executor: Executor) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, str(folder), name, executor],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def opened(folder: Path) -> SqliteDocumentStore:
    return SqliteDocumentStore(folder / "store.db", schemas=Schemas(KINDS), now=Clock())


@pytest.mark.parametrize("executor", ["thread", "inline"])
async def test_no_commit_is_lost_between_processes(tmp_path: Path, executor: Executor):
    children = [start(INCREMENT, tmp_path, f"child{n}", executor) for n in range(3)]  # all create the file at once
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.communicate("go\n", timeout=20)
        assert child.returncode == 0
    store = opened(tmp_path)
    counter = await store.read("smith", "run:counter")
    assert counter is not None
    assert counter.body == {"n": 90}
    assert len((await store.query("smith", "run", limit=200)).documents) == 90
    await store.close()


async def test_after_a_kill_what_was_confirmed_is_there_and_every_commit_is_whole(tmp_path: Path):
    child = start(WRITE_FOREVER, tmp_path, "child", "thread")
    assert child.stdout is not None
    confirmed = [child.stdout.readline().strip() for _ in range(200)]
    child.send_signal(signal.SIGKILL)
    confirmed += child.stdout.read().split()  # communicate() would lose what has been read ahead
    child.communicate(timeout=10)
    store = opened(tmp_path)
    stored: set[str] = set()
    cursor = ""
    while True:
        page = await store.query("smith", "run", limit=200, cursor=cursor)
        stored |= {document.id for document in page.documents}
        cursor = page.cursor
        if not cursor:
            break
    commits = {name.rpartition("-")[0] for name in stored}
    assert {f"run:{name}" for name in confirmed} <= commits
    assert len(stored) == 4 * len(commits)
    assert len(commits) - len(confirmed) <= 4  # one in flight for each of the four writers
    found = await store.read_many("smith", sorted(stored))
    assert found.keys() == stored
    assert await store.commit("smith", [found["run:0-0-0"]]) != {}  # and the store goes on
    await store.close()
