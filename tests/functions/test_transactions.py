"""Statements come in, decisions are looked at, a person reviews."""

from __future__ import annotations

import pytest

from shared import bootstrap
from shared.contracts import answers, audit_answers
from shared.ledger import transactions as ledger
from tests.bench import facts
from tests.functions.conftest import App, dev

HEADER = "transaction_id,account,booked_on,amount,currency,descriptor"


async def upload_csv(app: App, text: str):
    return await app.call("post_transactions", text.encode(), headers={"Content-Type": "text/csv; charset=utf-8"})


async def needs_review(transaction_id: str, *, suggestion: str = "food.groceries") -> None:
    """As a worker would leave it."""
    store = bootstrap.delivery().store
    stored = await store.read("home", ledger.transaction_doc_id(transaction_id))
    assert stored is not None
    body = ledger.decided(stored.body, "NeedsReview", at="2026-03-01T00:00:00.000000Z", suggested_category=suggestion)
    await store.commit("home", [ledger.transaction_document("home", body, etag=stored.etag)])


async def test_a_statement_is_accepted_and_can_be_followed(app: App):
    reply = await app.submit("t-1", "t-2")
    assert reply.status == 202
    assert (reply.body["accepted"], reply.body["duplicate"], reply.body["refused"]) == (2, 0, 0)
    assert reply.headers["location"] == f"/api/v1/ingestions/{reply.body['ingestion_id']}"
    again = await app.call("get_ingestion", id=reply.body["ingestion_id"])
    assert again.body == reply.body
    answers.Ingestion.model_validate(again.body)


async def test_an_equal_resend_gets_the_first_answer_and_another_body_is_refused(app: App):
    key = {"Idempotency-Key": "march"}
    first = await app.call("post_transactions", {"transactions": [facts("t-1")]}, headers=key)
    assert (await app.call("post_transactions", {"transactions": [facts("t-1")]}, headers=key)).body == first.body
    other = await app.call("post_transactions", {"transactions": [facts("t-2")]}, headers=key)
    assert (other.status, other.body["type"]) == (422, "urn:countersign:problem:idempotency_key_reused")


async def test_the_same_rows_as_csv_and_as_json_are_one_upload(app: App):
    first = await app.call("post_transactions", {"transactions": [facts("t-1", mcc="")]})
    second = await upload_csv(app, f"{HEADER}\nt-1,acc-current,2026-02-27,-43.20,EUR,REWE SAGT DANKE 4711\n")
    assert second.body == first.body


async def test_one_bad_row_refuses_all_and_is_named_by_its_line(app: App):
    text = f'\ufeff{HEADER}\nt-1,acc,2026-02-27,-43.20,EUR,"A ""quoted"" shop"\nt-2,acc,2026-02-30,1.234,EUR,Shop\n'
    reply = await upload_csv(app, text)
    assert (reply.status, reply.body["type"]) == (400, "urn:countersign:problem:rows_invalid")
    assert reply.body["errors"] == [
        {"pointer": "/rows/1/amount", "message": "line 3: has more decimals than its currency (2)"},
        {"pointer": "/rows/1/booked_on", "message": "line 3: is no day of the calendar"},
    ]
    assert (await app.call("list_transactions")).body["items"] == []


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        ("JPY", "1200", 1200),
        ("JPY", "1200.00", 1200),
        ("KWD", "-1.234", -1234),
        ("CLF", "0.0001", 1),
        ("EUR", "+5", 500),
    ],
)
async def test_decimals_follow_iso_4217(app: App, currency: str, amount: str, minor: int):
    assert (await upload_csv(app, f"{HEADER}\nt-1,acc,2026-02-27,{amount},{currency},Shop\n")).status == 202
    found = await app.call("get_transaction", id="t-1")
    assert found.body["facts"]["amount_minor"] == minor
    answers.Transaction.model_validate(found.body)


@pytest.mark.parametrize("amount", ["1,5", "1.5e3", "NaN", "", "1 000", "--1", "0x10", "9" * 17])
async def test_what_is_no_decimal_is_refused(app: App, amount: str):
    assert (await upload_csv(app, f'{HEADER}\nt-1,acc,2026-02-27,"{amount}",EUR,Shop\n')).status == 400


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "body_missing"),
        ("\n", "header_invalid"),
        (HEADER, "rows_missing"),
        (f"{HEADER},amount_minor\n", "header_invalid"),
        (f"{HEADER},extra\n", "header_invalid"),
        (f"{HEADER},account\n", "header_invalid"),
        (HEADER.replace(",", ";"), "header_invalid"),
        (f"{HEADER}\nt-1,acc\n", "rows_invalid"),
        (f'{HEADER}\n"t-1', "not_csv"),
        (f"{HEADER}\n" + "x" * 200_000, "not_csv"),
    ],
)
async def test_what_is_no_statement_says_why(app: App, text: str, code: str):
    reply = await upload_csv(app, text)
    assert (reply.status, reply.body["type"]) == (400, f"urn:countersign:problem:{code}")


async def test_a_statement_has_at_most_5000_rows(app: App):
    rows = "".join(f"t-{n},acc,2026-02-27,1,EUR,Shop\n" for n in range(5001))
    assert (await upload_csv(app, f"{HEADER}\n{rows}")).body["type"] == "urn:countersign:problem:too_many_rows"


async def test_lists_page_by_cursor_and_filter_by_state(app: App):
    await app.submit("t-1", "t-2", "t-3")
    await needs_review("t-2")
    first = await app.call("list_transactions", params={"limit": "2"})
    rest = await app.call("list_transactions", params={"limit": "2", "cursor": first.body["cursor"]})
    ids = [one["facts"]["transaction_id"] for one in first.body["items"] + rest.body["items"]]
    assert (ids, rest.body["cursor"]) == (["t-3", "t-2", "t-1"], "")
    open_ones = await app.call("list_transactions", params={"review_state": "NeedsReview"})
    assert [one["facts"]["transaction_id"] for one in open_ones.body["items"]] == ["t-2"]
    answers.TransactionPage.model_validate(open_ones.body)


async def test_a_review_is_answered_once_and_on_the_record(app: App):
    await app.submit("t-1")
    await needs_review("t-1")
    review = {"action": "approve", "decision_version": 1, "note": "seen"}
    first = await app.call("review_transaction", review, id="t-1")
    assert (first.status, first.body["review_state"], first.body["reviewed_by"]) == (200, "Reviewed", "dev:alice")
    assert (await app.call("review_transaction", review, id="t-1")).body == first.body
    answers.Review.model_validate(first.body)
    stale = await app.call("review_transaction", {**review, "note": "again"}, id="t-1")
    assert (stale.status, stale.body["type"]) == (409, "urn:countersign:problem:decision_version_stale")
    run = await app.call("get_run", run_id=first.body["run_id"])
    assert run.body["status"] == "Completed"
    answers.Run.model_validate(run.body)
    records = await app.call("list_run_audit", run_id=first.body["run_id"])
    assert [(one["what"], one["who"]) for one in records.body["items"]] == [
        ("transaction_reviewed", {"kind": "person", "id": "dev:alice"})
    ]
    audit_answers.RunAuditPage.model_validate(records.body)


async def test_a_reviewers_key_for_another_review_is_refused(app: App):
    await app.submit("t-1", "t-2")
    await needs_review("t-1")
    await needs_review("t-2")
    key = {"Idempotency-Key": "k"}
    review = {"action": "approve", "decision_version": 1}
    assert (await app.call("review_transaction", review, headers=key, id="t-1")).status == 200
    assert (await app.call("review_transaction", review, headers=key, id="t-2")).status == 422


async def test_another_tenants_transaction_looks_like_a_missing_one(app: App):
    await app.submit("t-1")
    other, missing = [
        await app.call("get_transaction", as_=dev(tenants=tenant), id=id_)
        for tenant, id_ in (("desk", "t-1"), ("desk", "t-9"))
    ]
    assert (other.status, missing.status) == (404, 404)
    assert other.body["detail"].replace("t-1", "t-9") == missing.body["detail"]


async def test_runs_are_listed_by_status(app: App):
    await app.submit("t-1")
    found = await app.call("list_runs", params={"status": "Pending"})
    assert [one["subject"] for one in found.body["items"]] == ["t-1"]
    answers.RunPage.model_validate(found.body)
    assert (await app.call("list_runs", params={"status": "Completed"})).body["items"] == []
