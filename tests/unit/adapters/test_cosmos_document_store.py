"""What the Cosmos DB store asks of the service, what it pays for it, and how its documents lie there."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from shared.adapters.azure.cosmos_charges import counted
from shared.adapters.azure.cosmos_index import ORDERS, indexing_policy
from shared.contracts.instants import after
from shared.errors import ConflictError, TerminalError
from shared.ports.document_store import LOOKUPS, Document
from tests.doubles.cosmos import CosmosDouble
from tests.doubles.credentials import Signer
from tests.doubles.web_server import self_signed
from tests.unit.adapters.cosmos_bench import CosmosBench, run


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CosmosBench]:
    made = CosmosBench(tmp_path)
    yield made
    await made.close()


# what is asked


async def test_a_commit_is_one_request_and_so_is_reading_many(bench: CosmosBench):
    await bench.store.commit("smith", [run(str(n)) for n in range(40)])
    await bench.store.read_many("smith", [f"run:{n}" for n in range(60)])
    assert bench.served.count() == {"container": 1, "batch": 1, "query": 1}


async def test_one_document_is_a_point_read_however_it_is_asked_for(bench: CosmosBench):
    await bench.store.commit("smith", [run("a")])
    await bench.store.read("smith", "run:a")
    assert set(await bench.store.read_many("smith", ["run:a", "run:a"])) == {"run:a"}
    assert await bench.store.read_many("smith", ["run:b"]) == {}
    assert (bench.served.count()["read"], bench.served.count()["query"]) == (3, 0)


async def test_an_id_that_nothing_can_have_is_not_asked_for(bench: CosmosBench):
    for odd in ("run:a/b", "run:../x", "run:a?b", "run:a#b", "x" * 300, ""):
        assert await bench.store.read("smith", odd) is None
    assert bench.served.asked == []


async def test_a_page_is_one_request_also_the_second(bench: CosmosBench):
    await bench.store.commit("smith", [run(str(n), sort=str(n), keys={"state": "open"}) for n in range(9)])
    page = await bench.store.query("smith", "run", key=("state", "open"), limit=4)
    page = await bench.store.query("smith", "run", key=("state", "open"), limit=4, cursor=page.cursor)
    assert [one.sort for one in page.documents] == ["4", "5", "6", "7"]
    assert bench.served.count()["query"] == 2


async def test_a_page_whose_documents_do_not_fit_into_one_answer_is_whole(bench: CosmosBench):
    for n in range(5):
        await bench.store.commit("smith", [run(str(n), {"t": "x" * 900_000}, sort=str(n))])
    assert len((await bench.store.query("smith", "run", limit=5)).documents) == 5
    assert bench.served.count()["query"] == 2
    assert len(await bench.store.read_many("smith", [f"run:{n}" for n in range(5)])) == 5


async def test_what_expired_unseen_by_the_server_does_not_shorten_a_page(bench: CosmosBench):
    soon = after(bench.clock.now, seconds=5)
    await bench.store.commit("smith", [run(str(n), sort=str(n), expires_at=soon if n < 3 else "") for n in range(6)])
    bench.clock.advance(seconds=5)
    page = await bench.store.query("smith", "run", limit=3)
    assert ([one.sort for one in page.documents], page.cursor) == (["3", "4", "5"], "")


async def test_due_documents_of_all_physical_partitions_are_merged_in_order(bench: CosmosBench):
    for n in range(12):
        partition = f"tenant-{n}"
        await bench.store.commit(partition, [Document(partition, f"run:{n}", "run", {}, due_at=f"2026-{12 - n:02}")])
    found = await bench.store.due("run", before="2026-11", limit=7)
    assert [one.due_at for one in found] == [f"2026-{n:02}" for n in range(1, 8)]
    asked_of = {one for one in bench.served.items.partitions if bench.served.items.partitions[one]}
    assert len(asked_of) == 12


async def test_a_conflict_is_resolved_with_one_query_however_many_documents_were_lost(bench: CosmosBench):
    await bench.store.commit("smith", [run(str(n)) for n in range(30)])
    with pytest.raises(ConflictError) as caught:
        await bench.store.commit("smith", [run(str(n)) for n in range(20, 50)])
    assert sorted(caught.value.lost) == sorted(f"run:{n}" for n in range(20, 30))
    assert bench.served.count() == {"container": 1, "batch": 2, "query": 1}


async def test_nothing_is_opened_before_the_first_call_and_everything_once(bench: CosmosBench):
    store = bench.open()
    before = bench.account.account_requests
    assert bench.served.asked == []
    await asyncio.gather(*[store.read("smith", f"run:{n}") for n in range(10)])
    assert bench.account.account_requests - before <= 2  # the account, and its regions
    assert bench.served.count()["container"] == 1


# how documents lie there


async def test_an_item_holds_what_is_queried_and_nothing_that_is_empty(bench: CosmosBench):
    full = run("full", sort="1", keys={"state": "open"}, due_at="2027", expires_at=after(bench.clock.now, days=30))
    await bench.store.commit("smith", [full, run("bare"), run("keyed", keys={"run": "x"})])
    item = bench.stored("run:full") or {}
    assert item["ttl"] == 30 * 24 * 3600
    assert (item["sort"], item["keys"], item["due_at"]) == ("1", {"state": "open"}, "2027")
    bare = {name for name in bench.stored("run:bare") or {} if not name.startswith("_")}
    assert bare == {"id", "partition", "kind", "schema_version", "body", "commit_id"}
    assert (bench.stored("run:keyed") or {})["sort"] == ""  # a list by key has a place for it


async def test_the_server_forgets_what_has_expired(bench: CosmosBench, monkeypatch: pytest.MonkeyPatch):
    await bench.store.commit("smith", [run("m", expires_at=after(bench.clock.now, seconds=10)), run("stays")])
    began = bench.served.items.clock()
    monkeypatch.setattr(bench.served.items, "clock", lambda: began + 11)
    assert set(await bench.store.read_many("smith", ["run:m", "run:stays"])) == {"run:stays"}
    assert bench.stored("run:m") is None
    assert await bench.store.commit("smith", [run("m")]) != {}


@pytest.mark.parametrize("expires_at", ["9999-12-31T00:00:00Z", "1999-01-01"])
async def test_any_instant_is_a_time_to_live_that_the_service_takes(bench: CosmosBench, expires_at: str):
    await bench.store.commit("smith", [run("m", expires_at=expires_at)])
    assert (await bench.store.read("smith", "run:m") is None) is (expires_at < "2000")


@pytest.mark.parametrize("document", [run("x", expires_at="soon"), run("x", {"n": 2**53 + 1})])
async def test_what_the_service_would_keep_otherwise_is_refused(bench: CosmosBench, document: Document):
    with pytest.raises(TerminalError) as caught:
        await bench.store.commit("smith", [document])
    assert caught.value.code == "invalid_document"
    assert bench.served.asked == []


async def test_text_takes_as_many_bytes_on_the_wire_as_it_has(bench: CosmosBench):
    body = {"text": "Zoë 🧾 \x00 \u2028 \\ \" '"}
    await bench.store.commit("smith", [run("a", body)])
    assert (bench.stored("run:a") or {})["body"] == body
    found = await bench.store.read("smith", "run:a")
    assert found is not None
    assert found.body == body


async def test_a_marker_lies_in_the_way_of_nobody(bench: CosmosBench):
    etag = (await bench.store.commit("smith", [run("a", sort="1")]))["run:a"]
    await bench.store.commit("smith", [run("a", {"n": 2}, sort="1", etag=etag)])
    markers = [item for item in bench.served.items.partitions["smith"].values() if item["kind"] == "commit"]
    assert [item["ttl"] for item in markers] == [3600]
    assert len((await bench.store.query("smith", "run")).documents) == 1


async def test_a_cursor_is_a_place_in_the_order_and_no_secret_of_the_server(bench: CosmosBench):
    await bench.store.commit("smith", [run(str(n), sort=str(n)) for n in range(3)])
    cursor = (await bench.store.query("smith", "run", limit=1)).cursor
    assert orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[:2] == ["0", "run:0"]
    elsewhere = bench.open()  # another instance, or this one a year later
    assert [one.sort for one in (await elsewhere.query("smith", "run", limit=1, cursor=cursor)).documents] == ["1"]


def test_every_look_up_has_its_index():
    indexes = [[entry["path"] for entry in index] for index in indexing_policy()["compositeIndexes"]]
    assert ["/kind", "/sort", "/id"] in indexes
    for name in LOOKUPS:
        assert ["/kind", f"/keys/{name}", "/sort", "/id"] in indexes
    assert len(indexes) == len(ORDERS) == len(LOOKUPS) + 2


# what it costs


async def test_every_request_is_counted_with_its_charge(bench: CosmosBench):
    store = bench.open()
    with counted() as charges:
        bench.served.trouble("batch", status=429, retry_after_ms=1)
        await store.commit("smith", [run("a"), run("b", sort="1")])
        with pytest.raises(ConflictError):
            await store.commit("smith", [run("a")])
        await asyncio.gather(store.read("smith", "run:a"), store.read("smith", "run:nobody"))
        await store.query("smith", "run")
    paid = [one for one in bench.served.asked if one.operation != "container"]
    assert charges.requests == {"commit": 3, "conflict": 1, "read": 2, "query": 1}
    assert sum(charges.requests.values()) == len(paid)
    assert charges.total_units == pytest.approx(sum(one.units for one in paid))
    assert store.charges == charges


async def test_what_is_charged_is_told_to_the_command_that_asked(bench: CosmosBench):
    async def command(number: int) -> float:
        with counted() as charges:
            for n in range(number):
                await bench.store.read("smith", f"run:{n}")
        return charges.total_units

    await bench.store.ping()
    with counted() as all_of_them:
        one, three = await asyncio.gather(command(1), command(3))
    assert three == pytest.approx(3 * one)
    assert all_of_them.total_units == pytest.approx(one + three)
    await bench.store.read("smith", "run:a")
    assert all_of_them.requests["read"] == 4  # what comes afterwards is not its


async def test_a_document_that_is_in_no_list_is_cheaper_to_write(bench: CosmosBench):
    with counted() as bare:
        await bench.store.commit("smith", [run("a")])
    with counted() as listed:
        await bench.store.commit("smith", [run("b", sort="1", keys={"state": "open", "run": "x"}, due_at="2027")])
    assert bare.total_units < listed.total_units


# signing in


async def test_an_identity_is_asked_for_a_token_at_the_first_call(tmp_path: Path):
    account = CosmosDouble(certificate=self_signed(tmp_path))  # tokens travel over TLS alone
    bench = CosmosBench(tmp_path, account)
    signer, made = Signer(), list[Signer]()
    store = bench.open(credential=lambda: made.append(signer) or signer)
    assert made == []
    assert await store.read("smith", "run:a") is None
    assert await store.commit("smith", [run("a", due_at="2026")]) != {}
    assert len(await store.due("run", before="2027", limit=5)) == 1
    assert made == [signer]
    assert all(scope.endswith("/.default") for (scope,) in signer.asked)
    await bench.close()
    assert not signer.closed  # it is its owner's
    await asyncio.to_thread(account.close)


@pytest.mark.parametrize("consistency", ["Session", "BoundedStaleness"])
async def test_it_works_with_weaker_consistency_too(tmp_path: Path, consistency: str):
    account = CosmosDouble(consistency=consistency)
    bench = CosmosBench(tmp_path, account)
    etags = await bench.store.commit("smith", [run("a", sort="1", due_at="2026")])
    found = await bench.store.read("smith", "run:a")
    assert found is not None
    assert await bench.store.commit("smith", [found._replace(body={"n": 2})]) != etags
    assert len((await bench.store.query("smith", "run")).documents) == 1
    assert await bench.store.due("run", before="2025", limit=5) == []
    await bench.close()
    await asyncio.to_thread(account.close)
