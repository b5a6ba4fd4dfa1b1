"""Cosmos DB throttles, fails, hangs and loses answers: nothing is lost or done twice, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.errors import ConflictError, RetryableError, TerminalError, UnreadableError
from shared.ports.document_store import MAX_WRITES
from tests.unit.adapters.cosmos_bench import CosmosBench, impatient, run

__all__ = ["impatient"]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CosmosBench]:
    made = CosmosBench(tmp_path)
    yield made
    await made.close()


# refusals that pass


@pytest.mark.parametrize("status", [408, 410, 429, 449, 500, 503])
async def test_what_passes_is_tried_again(bench: CosmosBench, status: int):
    bench.served.trouble("batch", status=status, times=2)
    await bench.store.commit("smith", [run("a", sort="1")])
    bench.served.trouble("read", status=status)
    assert await bench.store.read("smith", "run:a") is not None
    bench.served.trouble("query", status=status)
    assert len((await bench.store.query("smith", "run")).documents) == 1
    assert [one.status for one in bench.served.asked if one.operation == "batch"] == [status, status, 200]


async def test_the_wait_that_the_server_asks_for_is_kept(bench: CosmosBench):
    await bench.store.commit("smith", [run("a")])
    bench.served.trouble("read", status=429, retry_after_ms=150)
    began = time.monotonic()
    assert await bench.store.read("smith", "run:a") is not None
    assert time.monotonic() - began >= 0.15


async def test_a_longer_wait_than_anybody_has_time_for_is_handed_on_at_once(bench: CosmosBench):
    bench.served.trouble("batch", status=429, retry_after_ms=60_000)
    began = time.monotonic()
    with pytest.raises(RetryableError) as caught:
        await bench.store.commit("smith", [run("a")])
    assert time.monotonic() - began < 1
    assert (caught.value.code, caught.value.retry_after_seconds) == ("store_unavailable", 60)


async def test_a_throttled_operation_inside_a_batch_throttles_the_batch(bench: CosmosBench):
    bench.served.trouble("batch", status=429, in_batch=True, retry_after_ms=20)
    bench.served.trouble("batch", status=449, in_batch=True)
    assert await bench.store.commit("smith", [run("a")]) != {}
    assert bench.served.count()["batch"] == 3
    assert bench.served.count()["query"] == 0


async def test_a_store_that_stays_away_is_given_up_in_bounded_time(
    bench: CosmosBench, impatient: Callable[[float, float], None]
):
    impatient(6, 0.5)
    await bench.store.ping()
    for work in (
        lambda: bench.store.commit("smith", [run("a")]),
        lambda: bench.store.read("smith", "run:a"),
        lambda: bench.store.query("smith", "run"),
        lambda: bench.store.due("run", before="2030", limit=5),
    ):
        bench.served.trouble(status=503, times=1000)
        began = time.monotonic()
        with pytest.raises(RetryableError, match="status 503") as caught:
            await work()
        assert caught.value.code == "store_unavailable"
        assert time.monotonic() - began < 1
        bench.served.troubles.clear()


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_what_does_not_pass_is_not_tried_again(bench: CosmosBench, status: int):
    bench.served.trouble("batch", status=status)
    with pytest.raises(RetryableError, match=f"status {status}"):
        await bench.store.commit("smith", [run("a")])
    assert bench.served.count()["batch"] == 1


async def test_a_server_that_hangs_is_asked_again(bench: CosmosBench, impatient: Callable[[float, float], None]):
    await bench.store.commit("smith", [run("a")])
    impatient(0.15, 5)
    bench.served.trouble("read", seconds=1)
    bench.served.trouble("batch", seconds=1)
    assert await bench.store.read("smith", "run:a") is not None
    assert await bench.store.commit("smith", [run("b")]) != {}


async def test_a_session_that_lags_behind_is_no_missing_document(bench: CosmosBench):
    await bench.store.commit("smith", [run("a")])
    bench.served.trouble("read", status=404, sub_status=1002)
    assert await bench.store.read("smith", "run:a") is not None


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # the SDK hands it on whole
async def test_a_batch_that_is_too_large_for_the_wire_is_split_by_its_sender_not_retried(bench: CosmosBench):
    writes = [run(str(n), {"t": "x" * 19_900}, sort="s" * 1500) for n in range(MAX_WRITES)]
    with pytest.raises(TerminalError) as caught:
        await bench.store.commit("smith", writes)
    assert caught.value.code == "commit_too_large"
    assert bench.served.count()["batch"] == 1
    assert bench.stored("run:0") is None


# lost connections and lost answers


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_read_whose_connection_is_lost_is_asked_again(bench: CosmosBench, drop: str):
    await bench.store.commit("smith", [run("a", sort="1"), run("b")])
    bench.served.trouble("read", drop=drop)
    assert await bench.store.read("smith", "run:a") is not None
    bench.served.trouble("query", drop=drop)
    assert len(await bench.store.read_many("smith", ["run:a", "run:b"])) == 2


async def test_a_batch_that_was_lost_before_it_was_applied_is_sent_again(bench: CosmosBench):
    bench.served.trouble("batch", drop="before", times=2)
    etags = await bench.store.commit("smith", [run("a")])
    assert await bench.store.commit("smith", [run("a", {"n": 2}, etag=etags["run:a"])]) != {}


async def test_a_batch_whose_answer_was_lost_took_effect_once_and_is_no_conflict(bench: CosmosBench):
    first = await bench.store.commit("smith", [run("old"), run("gone")])
    bench.served.trouble("batch", drop="after")
    writes = [run("old", {"n": 2}, etag=first["run:old"]), run("new", expires_at="2027-01-01")]
    etags = await bench.store.commit("smith", writes, deletes=[run("gone", etag=first["run:gone"])])
    assert [one.status for one in bench.served.asked if one.operation == "batch"] == [200, 200, 207]
    found = await bench.store.read_many("smith", ["run:old", "run:new", "run:gone"])
    assert {id_: one.etag for id_, one in found.items()} == etags
    assert await bench.store.commit("smith", [run("old", {"n": 3}, etag=etags["run:old"])]) != {}


@pytest.mark.parametrize("what", ["replace", "delete"])
async def test_a_lost_answer_is_also_recognised_when_nothing_new_was_written(bench: CosmosBench, what: str):
    read = run("a", etag=(await bench.store.commit("smith", [run("a")]))["run:a"])
    bench.served.trouble("batch", drop="after")
    if what == "replace":
        etags = await bench.store.commit("smith", [read._replace(body={"n": 2})])
        found = await bench.store.read("smith", "run:a")
        assert found is not None
        assert etags == {"run:a": found.etag}
    else:
        assert await bench.store.commit("smith", [], deletes=[read]) == {}
        assert bench.stored("run:a") is None


@pytest.mark.parametrize("created", [True, False])
async def test_after_a_lost_answer_what_others_have_written_over_is_not_ours_to_overwrite(
    bench: CosmosBench, created: bool
):
    etag = (await bench.store.commit("smith", [run("a")]))["run:a"]
    bench.served.trouble("batch", drop="after")
    bench.served.trouble("batch", seconds=0.3)  # meanwhile
    writes = [run("a", {"by": "us"}, etag=etag), *([run("b")] if created else [])]
    ours = asyncio.create_task(bench.store.commit("smith", writes))
    while (bench.stored("run:a") or {})["body"] != {"by": "us"}:  # noqa: ASYNC110  another thread writes it
        await asyncio.sleep(0.005)
    theirs = {**(bench.stored("run:a") or {}), "body": {"by": "them"}, "commit_id": "theirs"}
    bench.served.items.replace("smith", "run:a", theirs, "*")
    etags = await ours
    with pytest.raises(ConflictError) as caught:
        await bench.store.commit("smith", [run("a", {"by": "us again"}, etag=etags["run:a"])])
    assert caught.value.lost == ("run:a",)
    found = await bench.store.read("smith", "run:a")
    assert found is not None
    assert found.body == {"by": "them"}


async def test_a_real_conflict_behind_a_lost_connection_is_a_conflict(bench: CosmosBench):
    etags = await bench.store.commit("smith", [run("a"), run("b")])
    await bench.open().commit("smith", [run("a", {"by": "them"}, etag=etags["run:a"])])
    bench.served.trouble("batch", drop="before")
    with pytest.raises(ConflictError) as caught:
        await bench.store.commit("smith", [run("a", etag=etags["run:a"]), run("b", etag=etags["run:b"]), run("c")])
    assert caught.value.lost == ("run:a",)


async def test_of_two_writers_whose_answers_are_lost_exactly_one_wins(bench: CosmosBench):
    etag = (await bench.store.commit("smith", [run("n", {"n": 0})]))["run:n"]
    bench.served.trouble("batch", drop="after", times=2)
    results = await asyncio.gather(
        *[store.commit("smith", [run("n", {"n": 1}, etag=etag)]) for store in (bench.store, bench.open())],
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["ConflictError", "dict"]


async def test_a_commit_that_cannot_be_judged_is_given_back_not_guessed(
    bench: CosmosBench, impatient: Callable[[float, float], None]
):
    await bench.store.ping()
    impatient(6, 0.3)
    bench.served.trouble("batch", drop="after")
    bench.served.trouble("query", status=503, times=1000)
    with pytest.raises(RetryableError) as caught:
        await bench.store.commit("smith", [run("a")])
    assert not isinstance(caught.value, ConflictError)


async def test_an_etag_of_nobody_is_lost_without_being_sent(bench: CosmosBench):
    await bench.store.commit("smith", [run("a")])
    before = bench.served.count()["batch"]
    for etag in ("*", '"*"|', "|", "made up"):
        with pytest.raises(ConflictError):
            await bench.store.commit("smith", [run("a", etag=etag), run("b")])
    assert bench.served.count()["batch"] == before


# what is not there


async def test_a_missing_container_is_named_and_is_no_missing_document(bench: CosmosBench):
    store = bench.open(container="elsewhere")
    with pytest.raises(RetryableError, match=r"no database .* with a container 'elsewhere'"):
        await store.read("smith", "run:a")


async def test_a_wrong_key_is_told_at_once_and_not_shown(bench: CosmosBench):
    wrong = "bm90IHRoZSBrZXk="
    store = bench.open(credential=wrong)
    for ask in (store.read("smith", "run:a"), store.ping()):  # a ping has no time to hear it, but remembers
        with pytest.raises(RetryableError, match="status 401") as caught:
            await ask
        assert wrong not in str(caught.value)


async def test_nobody_at_the_endpoint_is_told_in_bounded_time(
    bench: CosmosBench, impatient: Callable[[float, float], None]
):
    impatient(6, 0.5)
    store = bench.open(endpoint="http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(RetryableError):
        await store.read("smith", "run:a")
    with pytest.raises(RetryableError):
        await store.ping()
    assert time.monotonic() - began < 3


async def test_a_ping_writes_and_says_within_about_a_second_that_it_cannot(bench: CosmosBench):
    await bench.store.ping()
    assert bench.served.count()["upsert"] == 1
    bench.served.trouble("upsert", seconds=3)
    began = time.monotonic()
    with pytest.raises(RetryableError):
        await bench.store.ping()
    assert time.monotonic() - began < 1.5


async def test_who_gives_up_while_the_store_is_opened_does_not_stop_it_for_others(bench: CosmosBench):
    bench.served.trouble("container", seconds=0.3)
    first = asyncio.create_task(bench.store.read("smith", "run:a"))
    second = asyncio.create_task(bench.store.read("smith", "run:a"))
    await asyncio.sleep(0.1)
    first.cancel()
    assert await second is None
    assert bench.served.count()["container"] == 1


async def test_whoever_waits_for_a_store_that_is_closed_while_it_is_opened_is_told(bench: CosmosBench):
    bench.served.trouble("container", seconds=0.5)
    waiting = asyncio.create_task(bench.store.read("smith", "run:a"))
    await asyncio.sleep(0.1)
    await bench.store.close()
    with pytest.raises(RetryableError, match="closed"):
        await waiting


async def test_a_store_that_could_not_be_opened_is_opened_by_the_next_call(bench: CosmosBench):
    bench.served.trouble("container", status=403)
    with pytest.raises(RetryableError):
        await bench.store.read("smith", "run:a")
    assert await bench.store.read("smith", "run:a") is None


async def test_what_was_discarded_is_deleted_before_the_store_is_closed(bench: CosmosBench):
    etag = (await bench.store.commit("smith", [run("a")]))["run:a"]
    bench.served.trouble("delete", seconds=0.2)
    began = time.monotonic()
    await bench.store.discard([run("a", etag=etag), run("b", etag="made up")])
    assert time.monotonic() - began < 0.1
    await bench.store.close()
    assert bench.stored("run:a") is None


async def test_a_discard_that_fails_leaves_the_document_and_raises_nothing(
    bench: CosmosBench, caplog: pytest.LogCaptureFixture
):
    etag = (await bench.store.commit("smith", [run("a")]))["run:a"]
    bench.served.trouble("delete", status=403)
    with caplog.at_level("INFO"):
        await bench.store.discard([run("a", etag=etag)])
        await bench.store.close()
    assert bench.stored("run:a") is not None
    assert "run:a stays" in caplog.text


async def test_an_item_that_is_no_document_is_left_out_of_what_is_due_and_logged(
    bench: CosmosBench, caplog: pytest.LogCaptureFixture
):
    await bench.store.commit("smith", [run("a")._replace(due_at="2026-03-01T12:00:00.000000Z")])
    (whole,) = [one for one in bench.served.items.partitions["smith"].values() if one["id"] == "run:a"]
    odd = {name: whole[name] for name in ("partition", "kind", "sort", "due_at") if name in whole}
    bench.served.items.create("smith", {**odd, "id": "run:odd"})
    due = await bench.store.due("run", before="2026-03-01T13:00:00.000000Z", limit=10)
    assert [one.id for one in due] == ["run:a"]
    assert "left out of what is due: run:odd" in caplog.text


async def test_an_item_that_is_no_document_is_told_by_its_id(bench: CosmosBench):
    bench.served.items.create("smith", {"id": "run:odd", "partition": "smith", "kind": "run", "sort": "1"})
    with pytest.raises(UnreadableError, match="run:odd"):
        await bench.store.read("smith", "run:odd")
    with pytest.raises(UnreadableError, match="run:odd"):
        await bench.store.query("smith", "run")
