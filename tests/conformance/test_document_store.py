"""What every document store promises (`shared/ports/document_store.py`), held against each adapter."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from shared.contracts.instants import after, text
from shared.errors import ConflictError, InvalidInputError, RetryableError, TerminalError
from shared.ports.document_store import MAX_BYTES, MAX_PAGE, MAX_WRITES, Document, DocumentStore, Schemas
from tests.conformance.adapters import KINDS, Clock, Stores


def run(name: str, body: dict[str, Any] | None = None, *, partition: str = "smith", **more: Any) -> Document:
    return Document(partition, f"run:{name}", "run", body if body is not None else {"name": name}, **more)


def runs(names: str | range, **more: Any) -> list[Document]:
    return [run(str(name), **more) for name in names]


async def fill(store: DocumentStore, documents: list[Document]) -> None:
    for start in range(0, len(documents), MAX_WRITES):
        await store.commit(documents[0].partition, documents[start : start + MAX_WRITES])


async def walk(store: DocumentStore, **query: Any) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    cursor = ""
    while True:
        page = await store.query("smith", "run", cursor=cursor, **query)
        ids += [document.id for document in page.documents]
        cursor = page.cursor
        if not cursor:
            return ids


# one commit


async def test_what_was_committed_is_read_back_whole(store: DocumentStore):
    body = {"text": "Zoë 🧾 \x00 \u2028", "n": -(2**53) + 1, "none": None, "list": [True, {"a": []}], "": ""}
    written = run(
        "é", body, sort="2026", keys={"state": "open", "run": ""}, due_at="2027-01-01", expires_at="2028-01-01"
    )
    etags = await store.commit("smith", [written])
    assert await store.read("smith", written.id) == written._replace(etag=etags[written.id])


async def test_a_document_that_is_not_there_reads_as_none(store: DocumentStore):
    assert await store.read("smith", "run:nobody") is None


async def test_a_commit_with_one_lost_document_writes_nothing_of_the_others(store: DocumentStore):
    await store.commit("smith", [run("taken")])
    with pytest.raises(ConflictError):
        await store.commit("smith", [run("a", sort="1"), run("taken"), run("b", sort="2")])
    assert await store.read_many("smith", ["run:a", "run:b"]) == {}
    assert (await store.query("smith", "run")).documents == []


async def test_a_conflict_names_exactly_the_documents_that_were_lost(store: DocumentStore):
    etags = await store.commit("smith", runs("abcd"))
    await store.commit("smith", [run("b", {"new": 1}, etag=etags["run:b"])])
    writes = [
        run("a"),  # must not exist, but does
        run("b", etag=etags["run:b"]),  # was changed since
        run("c", etag=etags["run:c"]),  # still as it was read
        run("ghost", etag=etags["run:c"]),  # must exist, but does not
        run("new"),
    ]
    with pytest.raises(ConflictError) as caught:
        await store.commit("smith", writes, deletes=[run("d", etag=etags["run:a"])])
    assert sorted(caught.value.lost) == ["run:a", "run:b", "run:d", "run:ghost"]
    assert await store.read("smith", "run:new") is None


@pytest.mark.parametrize("etag", ["*", "0", "1.0", "01", "\N{ARABIC-INDIC DIGIT ONE}", "'; DROP TABLE documents"])
async def test_a_made_up_etag_is_a_lost_race(store: DocumentStore, etag: str):
    await store.commit("smith", [run("a")])
    with pytest.raises(ConflictError):
        await store.commit("smith", [run("a", {"stolen": True}, etag=etag)])
    with pytest.raises(ConflictError):
        await store.commit("smith", [run("b", etag=etag)])


async def test_an_etag_changes_with_every_write_and_is_never_used_twice(store: DocumentStore):
    seen = []
    etag = ""
    for _ in range(3):
        for _ in range(3):
            etag = (await store.commit("smith", [run("a", etag=etag)]))["run:a"]
            seen.append(etag)
        await store.commit("smith", [], deletes=[run("a", etag=etag)])
        etag = ""
    assert len(set(seen)) == 9
    assert "" not in seen


async def test_a_delete_needs_the_etag_it_was_read_with(store: DocumentStore):
    first = (await store.commit("smith", [run("a", sort="1", keys={"state": "open"})]))["run:a"]
    second = (await store.commit("smith", [run("a", sort="1", keys={"state": "open"}, etag=first)]))["run:a"]
    with pytest.raises(ConflictError) as caught:
        await store.commit("smith", [run("b")], deletes=[run("a", etag=first)])
    assert caught.value.lost == ("run:a",)
    assert await store.commit("smith", [run("b")], deletes=[run("a", etag=second)]) != {}
    assert await store.read("smith", "run:a") is None
    assert await walk(store) == []
    assert await walk(store, key=("state", "open")) == []


async def test_a_commit_of_nothing_does_nothing(store: DocumentStore):
    assert await store.commit("smith", []) == {}


async def test_a_commit_takes_a_hundred_documents_and_not_one_more(store: DocumentStore):
    assert len(await store.commit("smith", runs(range(MAX_WRITES)))) == MAX_WRITES
    with pytest.raises(TerminalError, match="at most 100") as caught:
        await store.commit("smith", runs(range(1000, 1000 + MAX_WRITES)), deletes=[run("1", etag="1")])
    assert caught.value.code == "commit_too_large"
    assert await store.read("smith", "run:1000") is None


@pytest.mark.filterwarnings(
    "ignore:Sending a large body directly:ResourceWarning"
)  # the Cosmos DB SDK hands it on whole
async def test_a_commit_takes_two_megabytes_and_not_much_more(store: DocumentStore):
    half = "x" * (MAX_BYTES // 2)
    with pytest.raises(TerminalError) as caught:
        await store.commit("smith", [run("a", {"t": half}), run("b", {"t": half})])
    assert caught.value.code == "commit_too_large"
    assert await store.read_many("smith", ["run:a", "run:b"]) == {}
    await store.commit("smith", [run("a", {"t": half}), run("b", {"t": half[100:]})])
    found = await store.read_many("smith", ["run:a", "run:b"])
    assert found["run:a"].body == {"t": half}


@pytest.mark.parametrize(
    "document",
    [
        run("x", partition="jones"),
        run("x")._replace(id="run"),
        run("x")._replace(id="audit:x"),
        run("x" * 252),
        run("a/b"),
        run("a#b"),
        run("a\nb"),
        run("\ud800"),
        run("x", sort="\ud800"),
        run("x", {"text": "\ud800"}),
        run("x", {"n": 2**64}),
        run("x", {"thing": object()}),
        run("x", {"n": [{"deep": 2**53}]}),
        run("x", {"n": -(2**53)}),
        run("x", keys={"state": "\ud800"}),
        run("x", keys={"colour": "red"}),
        run("x", schema_version=2),
        run("x", schema_version=0),
        run("x")._replace(id="ghost:x", kind="ghost"),
    ],
    ids=lambda document: ascii(document.id)[:20],
)
async def test_a_malformed_document_is_refused_before_anything_is_written(store: DocumentStore, document: Document):
    with pytest.raises(TerminalError) as caught:
        await store.commit("smith", [run("good"), document])
    assert caught.value.code in ("invalid_document", "unknown_lookup", "unknown_kind")
    assert await store.read("smith", "run:good") is None


async def test_one_document_may_not_be_written_twice_in_a_commit(store: DocumentStore):
    for deletes in ([], [run("a", etag="1")]):
        with pytest.raises(TerminalError, match="only once"):
            await store.commit("smith", [run("a"), *([] if deletes else [run("a")])], deletes=deletes)
    with pytest.raises(TerminalError, match="etag"):
        await store.commit("smith", [], deletes=[run("a")])


async def test_partitions_do_not_see_each_other(store: DocumentStore):
    for partition in ("smith", "jones"):
        await store.commit(
            partition, [run("a", {"of": partition}, partition=partition, sort="1", keys={"state": "open"})]
        )
    for partition in ("smith", "jones"):
        found = await store.read(partition, "run:a")
        assert found is not None
        assert found.body == {"of": partition}
        for key in (None, ("state", "open")):
            assert [one.body["of"] for one in (await store.query(partition, "run", key=key)).documents] == [partition]
    assert await store.read("", "run:a") is None


# reads


async def test_read_many_gives_what_is_there_and_leaves_out_the_rest(store: DocumentStore):
    etags = await store.commit("smith", runs("abc"))
    found = await store.read_many("smith", ["run:b", "run:nobody", "run:a", "run:b"])
    assert {name: one.etag for name, one in found.items()} == {name: etags[name] for name in ("run:a", "run:b")}
    assert await store.read_many("smith", []) == {}


async def test_read_many_takes_hundreds_of_ids(store: DocumentStore):
    await fill(store, runs(range(250)))
    assert len(await store.read_many("smith", [f"run:{n}" for n in range(-100, 300)])) == 250


async def test_a_second_store_sees_what_the_first_has_committed(stores: Stores):
    first, second = stores.open(), stores.open()
    for n in range(20):
        etags = await first.commit("smith", [run(str(n))])
        found = await second.read("smith", f"run:{n}")
        assert found is not None
        assert found.etag == etags[f"run:{n}"]


async def test_what_was_committed_is_there_after_reopening(stores: Stores):
    first = stores.open()
    etags = await first.commit("smith", runs("ab", sort="1"))
    await first.close()
    second = stores.open()
    assert (await second.read_many("smith", ["run:a", "run:b"])).keys() == etags.keys()
    newer = await second.commit("smith", [run("a", etag=etags["run:a"])])
    assert newer["run:a"] not in etags.values()


async def test_a_closed_store_says_so(store: DocumentStore):
    await store.commit("smith", [run("a")])
    await store.close()
    with pytest.raises(RetryableError):
        await store.commit("smith", [run("b")])
    with pytest.raises(RetryableError):
        await store.read("smith", "run:a")


async def test_a_healthy_store_answers_a_ping(store: DocumentStore):
    await store.ping()


# query


async def test_a_query_is_in_order_of_sort_then_id(store: DocumentStore):
    names = ["z1", "b2", "a2", "Z2", "é2", "c10", "c9"]
    await store.commit("smith", [run(name, sort=name[1:]) for name in names])
    ascending = ["run:z1", "run:c10", "run:Z2", "run:a2", "run:b2", "run:é2", "run:c9"]
    assert await walk(store) == ascending
    assert await walk(store, descending=True) == ascending[::-1]
    assert await walk(store, limit=2) == ascending
    assert await walk(store, limit=2, descending=True) == ascending[::-1]


async def test_a_query_lists_one_kind_and_only_documents_with_a_sort(store: DocumentStore):
    audit = Document("smith", "audit:1", "audit", {}, sort="1")
    await store.commit("smith", [run("listed", sort="1"), run("by-id-alone"), audit])
    assert await walk(store) == ["run:listed"]


async def test_a_key_finds_its_documents_with_or_without_a_sort(store: DocumentStore):
    await store.commit(
        "smith",
        [
            run("b", sort="2", keys={"state": "open", "subject": "x"}),
            run("a", sort="1", keys={"state": "open"}),
            run("c", sort="3", keys={"state": "closed", "subject": "open"}),
            run("d", keys={"state": "open"}),
        ],
    )
    assert await walk(store, key=("state", "open")) == ["run:d", "run:a", "run:b"]
    assert await walk(store, key=("state", "open"), descending=True, limit=1) == ["run:b", "run:a", "run:d"]
    assert await walk(store, key=("subject", "open")) == ["run:c"]
    assert await walk(store, key=("state", "")) == []


async def test_low_is_included_and_high_is_not(store: DocumentStore):
    await store.commit("smith", [run(f"{n}-{name}", sort=str(n)) for n in range(1, 6) for name in "ab"])
    middle = ["run:2-a", "run:2-b", "run:3-a", "run:3-b"]
    assert await walk(store, low="2", high="4") == middle
    assert await walk(store, low="2", high="4", limit=1) == middle
    assert await walk(store, low="2", high="4", limit=3, descending=True) == middle[::-1]
    assert await walk(store, low="4") == ["run:4-a", "run:4-b", "run:5-a", "run:5-b"]
    assert await walk(store, high="2") == ["run:1-a", "run:1-b"]
    assert await walk(store, low="9") == []
    assert await walk(store, low="4", high="2") == []


async def test_an_order_follows_when_sort_or_keys_are_changed(store: DocumentStore):
    etags = await store.commit("smith", [run("a", sort="1", keys={"state": "open"}), run("b", sort="2")])
    etags |= await store.commit("smith", [run("a", sort="3", keys={"state": "closed"}, etag=etags["run:a"])])
    assert await walk(store) == ["run:b", "run:a"]
    assert await walk(store, key=("state", "open")) == []
    assert await walk(store, key=("state", "closed")) == ["run:a"]
    await store.commit("smith", [run("a", etag=etags["run:a"]), run("b", sort="2", etag=etags["run:b"])])
    assert await walk(store) == ["run:b"]
    assert await walk(store, key=("state", "closed")) == []


@pytest.mark.parametrize("change", [{"sort": "2"}, {"keys": {"state": "closed"}}, {"keys": {"subject": "open"}}])
async def test_one_changed_order_leaves_the_others_as_they_were(store: DocumentStore, change: dict[str, Any]):
    before = run("a", sort="1", keys={"state": "open"})
    etags = await store.commit("smith", [before])
    after_change = before._replace(**change, etag=etags["run:a"])
    await store.commit("smith", [after_change])
    listed = ["run:a"]
    assert await walk(store, low="2") == (listed if after_change.sort == "2" else [])
    assert await walk(store, high="2") == (listed if after_change.sort == "1" else [])
    for pair in (("state", "open"), ("state", "closed"), ("subject", "open")):
        assert await walk(store, key=pair) == (listed if pair in after_change.keys.items() else [])


async def test_the_last_page_has_no_cursor_also_when_it_is_full(store: DocumentStore):
    await store.commit("smith", [run(str(n), sort=str(n)) for n in range(4)])
    first = await store.query("smith", "run", limit=2)
    assert first.cursor
    assert len(first.documents) == 2
    last = await store.query("smith", "run", limit=2, cursor=first.cursor)
    assert len(last.documents) == 2
    assert last.cursor == ""
    assert await store.query("jones", "run") == ([], "")


@pytest.mark.parametrize("descending", [False, True])
async def test_a_cursor_goes_on_where_it_stood_after_writes_in_between(store: DocumentStore, descending: bool):
    etags = await store.commit("smith", [run(f"{n:02}", sort="same") for n in range(0, 20, 2)])
    seen: list[str] = []
    cursor = ""
    for number in range(1, 100, 2):
        page = await store.query("smith", "run", limit=2, cursor=cursor, descending=descending)
        seen += [document.id for document in page.documents]
        cursor = page.cursor
        if not cursor:
            break
        # one more document, and the very one that the cursor stands on goes away
        await store.commit("smith", [run(f"{number:02}", sort="same")], deletes=page.documents[-1:])
    assert len(set(seen)) == len(seen)
    assert set(etags) <= set(seen)
    assert all((one > two) is descending for one, two in pairwise(seen))


async def test_a_cursor_of_another_query_or_of_nobody_is_refused(store: DocumentStore):
    await store.commit("smith", [run(str(n), sort=str(n), keys={"state": "open"}) for n in range(3)])
    cursor = (await store.query("smith", "run", limit=1)).cursor
    for query in ({"descending": True}, {"key": ("state", "open")}, {"low": "1"}):
        with pytest.raises(InvalidInputError):
            await store.query("smith", "run", cursor=cursor, **query)  # type: ignore[arg-type]
    for made_up in ("x", "é", "bnVsbA", "WyJhIiwiYiJd", cursor[:-2]):
        with pytest.raises(InvalidInputError):
            await store.query("smith", "run", cursor=made_up)


async def test_a_page_is_bounded_and_only_listed_keys_are_looked_up(store: DocumentStore):
    await fill(store, [run(str(n), sort=str(n)) for n in range(MAX_PAGE + 1)])
    assert len((await store.query("smith", "run", limit=MAX_PAGE)).documents) == MAX_PAGE
    for limit in (0, -1, MAX_PAGE + 1):
        with pytest.raises(TerminalError):
            await store.query("smith", "run", limit=limit)
    with pytest.raises(TerminalError):
        await store.query("smith", "run", key=("colour", "red"))


# due


async def test_due_crosses_partitions_oldest_first(store: DocumentStore, clock: Clock):
    def outbox(partition: str, name: str, seconds: int) -> Document:
        return Document(partition, f"outbox:{name}", "outbox", {}, due_at=after(clock.now, seconds=seconds))

    await store.commit("smith", [outbox("smith", "late", 1), outbox("smith", "second", -10)])
    await store.commit("jones", [outbox("jones", "first", -20), outbox("jones", "now", 0)])
    await store.commit("jones", [Document("jones", "outbox:never", "outbox", {}), run("a", partition="jones")])
    due = await store.due("outbox", before=text(clock.now), limit=10)
    assert [(one.partition, one.id) for one in due] == [
        ("jones", "outbox:first"),
        ("smith", "outbox:second"),
        ("jones", "outbox:now"),
    ]
    assert await store.due("outbox", before=text(clock.now), limit=2) == due[:2]
    assert await store.due("run", before=text(clock.now), limit=10) == []


async def test_what_was_done_is_no_longer_due(store: DocumentStore, clock: Clock):
    waiting = Document("smith", "outbox:1", "outbox", {}, due_at=text(clock.now))
    etags = await store.commit("smith", [waiting])
    await store.commit("smith", [waiting._replace(due_at="", etag=etags[waiting.id])])
    assert await store.due("outbox", before=text(clock.now), limit=10) == []


# time to live


async def test_an_expired_document_is_gone_for_every_reader(store: DocumentStore, clock: Clock):
    mortal = run("m", sort="1", keys={"state": "open"}, due_at=text(clock.now), expires_at=after(clock.now, seconds=10))
    etags = await store.commit("smith", [mortal, run("stays", sort="2")])
    clock.advance(seconds=9)
    assert await walk(store) == ["run:m", "run:stays"]
    clock.advance(seconds=1)
    assert await store.read("smith", "run:m") is None
    assert await store.read_many("smith", ["run:m", "run:stays"]) != {}
    assert await walk(store) == ["run:stays"]
    assert await walk(store, key=("state", "open")) == []
    assert await store.due("run", before=text(clock.now), limit=10) == []
    with pytest.raises(ConflictError):
        await store.commit("smith", [mortal._replace(etag=etags["run:m"])])
    with pytest.raises(ConflictError):
        await store.commit("smith", [], deletes=[mortal._replace(etag=etags["run:m"])])


async def test_what_is_discarded_is_soon_gone_and_what_was_changed_meanwhile_stays(store: DocumentStore):
    etags = await store.commit("smith", [run("sent"), run("changed")])
    read = await store.read_many("smith", ["run:sent", "run:changed"])
    await store.commit("smith", [run("changed", etag=etags["run:changed"])])
    await store.discard(list(read.values()))
    await store.commit("smith", [run("later")])
    for _ in range(500):
        if await store.read("smith", "run:sent") is None:
            break
        await asyncio.sleep(0.01)
    assert set(await store.read_many("smith", ["run:sent", "run:changed"])) == {"run:changed"}


async def test_discarding_what_is_gone_harms_nobody(store: DocumentStore):
    etags = await store.commit("smith", [run("a")])
    gone = run("a", etag=etags["run:a"])
    await store.discard([gone])
    await store.discard([gone])
    await store.commit("smith", [run("b")])
    assert set(await store.read_many("smith", ["run:a", "run:b"])) == {"run:b"}


async def test_an_expired_id_may_be_created_again(store: DocumentStore, clock: Clock):
    mortal = run("m", {"life": 1}, sort="1", keys={"state": "open"}, expires_at=after(clock.now, seconds=10))
    first = await store.commit("smith", [mortal])
    with pytest.raises(ConflictError):
        await store.commit("smith", [mortal])
    clock.advance(seconds=10)
    second = await store.commit("smith", [run("m", {"life": 2}, sort="2")])
    assert second != first
    assert [one.body for one in (await store.query("smith", "run")).documents] == [{"life": 2}]
    assert await walk(store, key=("state", "open")) == []


# schema versions


async def test_an_older_document_is_lifted_on_every_way_out(stores: Stores, clock: Clock):
    old = stores.open()
    await old.commit("smith", [run("a", {"v": [1]}, sort="1", due_at=text(clock.now))])
    lifts = {
        ("run", 1): lambda body: {"v": [*body["v"], 2]},
        ("run", 2): lambda body: {"v": [*body["v"], 3]},
    }
    new = stores.open(Schemas(KINDS | {"run": 3}, lifts))
    found = [
        await new.read("smith", "run:a"),
        (await new.read_many("smith", ["run:a"]))["run:a"],
        (await new.query("smith", "run")).documents[0],
        (await new.due("run", before=text(clock.now), limit=1))[0],
    ]
    assert [(one.schema_version, one.body) for one in found if one] == [(3, {"v": [1, 2, 3]})] * 4
    before = await old.read("smith", "run:a")
    assert before is not None
    assert before.body == {"v": [1]}  # reading has rewritten nothing


async def test_a_newer_document_than_known_is_to_be_retried_not_misread(stores: Stores):
    new = stores.open(Schemas(KINDS | {"run": 2}))
    etags = await new.commit("smith", [run("a", sort="1", schema_version=2)])
    old = stores.open()
    for read in (old.read("smith", "run:a"), old.read_many("smith", ["run:a"]), old.query("smith", "run")):
        with pytest.raises(RetryableError) as caught:
            await read
        assert caught.value.code == "schema_too_new"
    with pytest.raises(TerminalError):  # nor may it be written down as something older
        await old.commit("smith", [run("a", schema_version=2, etag=etags["run:a"])])


# concurrency


async def test_of_concurrent_creators_of_one_document_exactly_one_wins(stores: Stores):
    first, second = stores.open(), stores.open()
    results = await asyncio.gather(
        *[
            store.commit("smith", [run("a", {"by": n}), run(f"own-{n}")])
            for n, store in enumerate([first, second] * 10)
        ],
        return_exceptions=True,
    )
    won = [n for n, result in enumerate(results) if isinstance(result, dict)]
    assert len(won) == 1
    assert [error.lost for error in results if isinstance(error, ConflictError)] == [("run:a",)] * 19
    found = await first.read_many("smith", ["run:a", *(f"run:own-{n}" for n in range(20))])
    assert found.keys() == {"run:a", f"run:own-{won[0]}"}
    assert found["run:a"].body == {"by": won[0]}


async def test_no_increment_is_lost_between_concurrent_writers(stores: Stores):
    opened = [stores.open(), stores.open()]

    async def increment(store: DocumentStore) -> None:
        while True:
            found = await store.read("smith", "run:n") or run("n", {"n": 0})
            try:
                await store.commit("smith", [found._replace(body={"n": found.body["n"] + 1})])
            except ConflictError as error:
                assert error.lost == ("run:n",)  # noqa: PT017 - it is checked each time it is raised
            else:
                return

    await asyncio.gather(*[increment(store) for store in opened * 10])
    found = await opened[0].read("smith", "run:n")
    assert found is not None
    assert found.body == {"n": 20}


async def test_concurrent_writers_of_different_documents_do_not_disturb_each_other(stores: Stores):
    opened = [stores.open(), stores.open()]
    etags = await asyncio.gather(
        *[store.commit(f"tenant-{n}", [run(str(n), partition=f"tenant-{n}")]) for n, store in enumerate(opened * 20)]
    )
    assert all(len(one) == 1 for one in etags)
    for n in range(40):
        assert await opened[n % 2].read(f"tenant-{n}", f"run:{n}") is not None


async def test_a_caller_that_gives_up_does_not_harm_its_neighbours(store: DocumentStore):
    tasks = [asyncio.create_task(store.commit("smith", [run(str(n))])) for n in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [n for n, result in enumerate(results) if not isinstance(result, dict)] in ([3], [])
    assert len(await store.read_many("smith", [f"run:{n}" for n in range(10)])) >= 9
