"""The same statement twice, out of order, in pieces and from two clients at once: the same result as once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from tests.bench import facts
from tests.journeys.hosts import LocalHost, Reply, dev

SHOPS = (("REWE MARKT {n}", "5411"), ("NETFLIX.COM", ""), ("QQ UNKNOWN {n}", ""), ("SHELL {n}", "5541"))
NUMBER = 130


def statement() -> list[dict[str, Any]]:
    """Rows whose decisions cannot depend on their order: no merchant comes twice, and no amount is unusual among the
    others, whichever came before it. (Which amount is unusual is judged against what has come so far.)"""
    made = []
    for n in range(NUMBER):
        descriptor, mcc = SHOPS[n % len(SHOPS)]
        shop = descriptor.format(n=f"{chr(65 + n % 26)}{chr(65 + n // 26)}")
        made.append(facts(f"row-{n:03}", descriptor=shop, mcc=mcc, amount_minor=-1_000 - 37 * n % 400))
    return made


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    with LocalHost(tmp_path_factory.mktemp("twice") / "data") as started:
        yield started


def post(host: LocalHost, tenant: str, key: str, given: list[dict[str, Any]], name: str = "alice") -> Reply:
    return host.upload({"transactions": given}, key=key, as_=dev(name, tenant))


def result(host: LocalHost, tenant: str) -> dict[str, Any]:
    """What a client can see of each transaction, without times and hashes; and that all else fits it."""
    as_ = dev(tenant=tenant)
    host.settled(NUMBER, as_=as_)
    found = host.items("/api/v1/transactions", as_=as_)
    runs = host.items("/api/v1/runs", as_=as_)
    assert len(runs) == NUMBER
    assert all(run["completed_at"] for run in runs)
    assert len({run["subject"] for run in runs}) == NUMBER
    host.verified(as_=as_)
    assert host.items("/api/v1/parked", as_=as_) == []
    names = ("review_state", "category", "suggested_category", "confidence_bp", "reason_codes", "decision_version")
    return {one["facts"]["transaction_id"]: {name: one[name] for name in names} for one in found}


@pytest.fixture(scope="module")
def once(host: LocalHost) -> dict[str, Any]:
    assert post(host, "once", "k", statement()).status == 202
    return result(host, "once")


def twice(host: LocalHost, tenant: str) -> None:
    first = post(host, tenant, "k", statement())
    assert post(host, tenant, "k", statement()).body == first.body
    again = post(host, tenant, "another", statement())
    assert (again.status, again.body["accepted"], again.body["duplicate"]) == (202, 0, NUMBER)


def out_of_order(host: LocalHost, tenant: str) -> None:
    shuffled = Random(3).sample(statement(), NUMBER)
    assert post(host, tenant, "k", shuffled).status == 202


def two_clients(host: LocalHost, tenant: str) -> None:
    forwards, backwards = statement(), statement()[::-1]
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda job: post(host, tenant, *job), (("a", forwards, "alice"), ("b", backwards, "bob")))
        )
    assert [one.status for one in answers] == [202, 202]
    assert sum(one.body["accepted"] for one in answers) == NUMBER


def same_key_at_once(host: LocalHost, tenant: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(host, tenant, "k", statement()), range(4)))
    assert [one.status for one in answers] == [202] * 4
    assert len({str(one.body) for one in answers}) == 1


def pieces_that_overlap(host: LocalHost, tenant: str) -> None:
    chance, given = Random(4), statement()
    starts = list(range(0, NUMBER, 20))
    jobs = [given[start : start + 33] for start in chance.sample(starts, len(starts))]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda job: post(host, tenant, f"k-{job[0]['transaction_id']}", job), jobs))
    assert [one.status for one in answers] == [202] * len(jobs)
    assert sum(one.body["accepted"] for one in answers) == NUMBER


@pytest.mark.parametrize("way", [twice, out_of_order, two_clients, same_key_at_once, pieces_that_overlap])
def test_however_it_is_sent_the_result_is_the_same_as_once(
    host: LocalHost, once: dict[str, Any], way: Callable[[LocalHost, str], None]
):
    tenant = way.__name__.replace("_", "-")
    way(host, tenant)
    assert result(host, tenant) == once


def test_a_hundred_uploads_at_once_of_overlapping_rows_take_each_row_once(host: LocalHost):
    given = statement()

    def one(number: int) -> Reply:
        reply = None
        for _ in range(20):  # a 409 or 503 asks for another try, as its problem says
            reply = post(host, "crowd", f"k-{number}", given[number : number + 30], name=f"user-{number % 7}")
            if reply.status == 202:
                break
            assert reply.status in (409, 503), reply
        return reply

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(one, range(100)))
    assert [answer.status for answer in answers] == [202] * 100
    assert sum(answer.body["accepted"] for answer in answers) == 129
    host.settled(129, as_=dev(tenant="crowd"))
    host.verified(as_=dev(tenant="crowd"))


def test_rows_with_an_id_that_is_taken_are_refused_and_named(host: LocalHost):
    given = [facts("same", amount_minor=-1), facts("same", amount_minor=-2), facts("same", amount_minor=-1)]
    answer = post(host, "clash", "k", given)
    assert (answer.body["accepted"], answer.body["duplicate"], answer.body["refused_ids"]) == (1, 1, ["same"])
    assert post(host, "clash", "k", given[:1]).status == 422
