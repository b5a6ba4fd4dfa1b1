"""What each answer of a bank, and each kind of silence, proves: done, refused, nothing done, or nobody knows."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest

from shared.adapters.web.action_backend import MAX_ANSWER_BYTES, HttpActionBackend, Token
from shared.errors import ConfigurationError, RetryableError
from shared.ports.action_backend import Effect, EffectUnknownError

ORDER = {"from_account": "acc-1", "to_account": "acc-2", "amount_minor": 12_345, "currency": "EUR"}
TOKEN = "secret"  # noqa: S105
DONE = {"idempotency_key": "k-1", "transfer_id": "tr-1", "state": "done", **ORDER}
PROBLEM = {"Content-Type": "application/problem+json"}
Handler = Callable[[httpx2.Request], httpx2.Response]


def backend(handler: Handler, token: Token = TOKEN) -> HttpActionBackend:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    return HttpActionBackend(name="bank", base_url="https://bank.example/api/", token=token, client=client)


def answering(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> HttpActionBackend:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return backend(lambda _: httpx2.Response(status, content=content, headers=headers))


def failing(error: Exception) -> HttpActionBackend:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise error

    return backend(handler)


async def perform(bank: HttpActionBackend, *, key: str = "k-1", **changes: Any) -> Effect:
    return await bank.perform("transfer_funds", ORDER | changes, key=key, timeout_seconds=1)


async def error_of(bank: HttpActionBackend) -> RetryableError:
    with pytest.raises(RetryableError) as raised:
        await perform(bank)
    return raised.value


def certain(error: RetryableError) -> bool:
    """Whether it says that nothing was done."""
    assert isinstance(error, EffectUnknownError) == (error.code == "effect_unknown")
    return error.code == "backend_unavailable"


async def test_an_order_is_sent_under_its_key_with_the_token():
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(201, json=DONE)

    effect = await perform(backend(handler))
    assert effect == Effect("done", "tr-1", details=ORDER)
    assert (seen[0].method, str(seen[0].url)) == ("POST", "https://bank.example/api/v1/transfers")
    assert seen[0].headers["Authorization"] == "Bearer secret"
    assert seen[0].headers["Idempotency-Key"] == "k-1"
    assert json.loads(seen[0].content) == ORDER


@pytest.mark.parametrize(
    "error",
    [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow"), httpx2.PoolTimeout("all busy")],
    ids=lambda error: type(error).__name__,
)
async def test_who_was_not_reached_has_certainly_done_nothing(error: Exception):
    assert certain(await error_of(failing(error)))


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ReadTimeout("slow"),
        httpx2.WriteTimeout("slow"),
        httpx2.ReadError("reset"),
        httpx2.WriteError("reset"),
        httpx2.CloseError("reset"),
        httpx2.RemoteProtocolError("it hung up without an answer"),
        httpx2.DecodingError("rubbish"),
        OSError("something of the network"),
        RuntimeError("the client was closed meanwhile"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_silence_after_the_request_may_have_left_proves_nothing(error: Exception):
    assert not certain(await error_of(failing(error)))


@pytest.mark.parametrize("status", [401, 403, 407, 408, 425, 429])
async def test_a_bank_that_did_not_let_us_in_has_done_nothing(status: int):
    assert certain(await error_of(answering(status, {"code": "whatever"}, PROBLEM)))


async def test_a_503_proves_something_only_when_it_says_so():
    assert certain(await error_of(answering(503, {"code": "busy", "nothing_done": True}, PROBLEM)))
    for body in ({"code": "busy"}, {"nothing_done": "true"}, {"nothing_done": 1}, [], b"<html>"):
        assert not certain(await error_of(answering(503, body, {"Retry-After": "1"})))


@pytest.mark.parametrize("status", [300, 302, 307, 500, 501, 502, 504, 599])
async def test_other_failures_prove_nothing(status: int):
    assert not certain(await error_of(answering(status, {"code": "x"}, {"Location": "https://elsewhere.example/"})))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"[" * 60_000,
        b"\xff\xfe",
        b'{"idempotency_key": "k-1", "transfer_id": "tr-1"',
        [DONE],
        {},
        DONE | {"idempotency_key": "another"},
        DONE | {"state": "perhaps"},
        DONE | {"state": ["done"]},
        DONE | {"transfer_id": 7},
        DONE | {"note": "x" * MAX_ANSWER_BYTES},
    ],
    ids=str,
)
async def test_an_answer_that_cannot_be_read_proves_nothing(body: Any):
    assert not certain(await error_of(answering(201, body)))


async def test_a_compressed_answer_is_not_unpacked():
    class Packed(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield gzip.compress(json.dumps(DONE).encode())

    bank = backend(lambda _: httpx2.Response(201, headers={"Content-Encoding": "gzip"}, stream=Packed()))
    assert not certain(await error_of(bank))


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_refusal_in_the_banks_own_words_is_final(status: int):
    body = {"code": "insufficient_funds", "detail": "too\x00 little", "transfer_id": "tr-1"}
    effect = await perform(answering(status, body, PROBLEM))
    assert effect == Effect("refused", "tr-1", "insufficient_funds", "too little")


@pytest.mark.parametrize(("status", "code"), [(422, "idempotency_key_reused"), (400, "http_400")])
async def test_a_problem_without_a_code_is_a_refusal_still(status: int, code: str):
    assert (await perform(answering(status, {"title": "no"}, PROBLEM))).code == code


@pytest.mark.parametrize(
    "body",
    [b"<html>no such page</html>", {"statusCode": 404, "message": "Resource not found"}],
    ids=["page", "gateway"],
)
async def test_a_gateways_404_is_no_refusal_of_the_bank(body: Any):
    assert certain(await error_of(answering(404, body, {"Content-Type": "application/json"})))


async def test_an_order_still_in_the_works_is_pending():
    effect = await perform(answering(409, {"code": "request_in_progress"}, PROBLEM))
    assert effect.state == "pending"
    assert (await perform(answering(202, DONE | {"state": "pending"}))).state == "pending"


@pytest.mark.parametrize(("told", "wish"), [("7", 7.0), ("999999", 3600.0), ("-1", None), ("soon", None)])
async def test_the_banks_wish_when_to_come_back_is_passed_on_within_bounds(told: str, wish: float | None):
    error = await error_of(answering(429, {}, {"Retry-After": told}))
    assert error.retry_after_seconds == wish


@pytest.mark.parametrize("arguments", [{"amount": float("nan")}, {"amount": object()}, {1j: "x"}], ids=str)
async def test_what_cannot_be_sent_is_refused_without_a_call(arguments: dict[Any, Any]):
    bank = failing(AssertionError("nothing is sent"))
    effect = await bank.perform("transfer_funds", arguments, key="k-1", timeout_seconds=1)
    assert (effect.state, effect.code) == ("refused", "invalid_arguments")


@pytest.mark.parametrize("key", ["", ".", "..", "with space", "line\nbreak", "schlüssel", "k" * 256])
async def test_a_key_that_no_header_carries_is_refused_without_a_call(key: str):
    assert (await perform(failing(AssertionError("nothing is sent")), key=key)).state == "refused"


async def test_an_operation_the_bank_does_not_have_is_refused_without_a_call():
    bank = failing(AssertionError("nothing is sent"))
    effect = await bank.perform("close_account", {}, key="k-1", timeout_seconds=1)
    assert (effect.state, effect.code) == ("refused", "operation_unknown")


async def test_the_token_may_be_given_anew_for_each_call():
    seen, tokens = [], iter(["first", "second"])

    async def token() -> str:
        return next(tokens)

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["Authorization"])
        return httpx2.Response(201, json=DONE)

    bank = backend(handler, token)
    await perform(bank)
    await perform(bank)
    assert seen == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("token", ["", "line\r\nbreak", "zeichen-ü"])
async def test_a_token_that_is_none_is_ours_to_mend_and_nothing_is_sent(token: str):
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("nothing is sent")

    assert certain(await error_of(backend(handler, token)))


async def test_a_token_that_does_not_come_in_time_means_that_nothing_was_sent():
    async def token() -> str:
        await asyncio.sleep(60)
        return "late"

    bank = backend(lambda _: httpx2.Response(201, json=DONE), token)
    with pytest.raises(RetryableError) as raised:
        await bank.perform("transfer_funds", ORDER, key="k-1", timeout_seconds=0.05)
    assert certain(raised.value)


async def test_a_call_ends_within_its_time_however_slowly_the_answer_drips():
    class Drip(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            for _ in range(1000):
                yield b" "
                await asyncio.sleep(0.01)

    bank = backend(lambda _: httpx2.Response(201, stream=Drip()))
    with pytest.raises(EffectUnknownError):
        async with asyncio.timeout(2):
            await bank.perform("transfer_funds", ORDER, key="k-1", timeout_seconds=0.1)


async def test_only_the_banks_own_word_means_that_a_key_was_never_seen():
    assert await answering(404, {"code": "transfer_unknown"}, PROBLEM).find("k-1", timeout_seconds=1) is None
    for body in (b"not found", {"message": "Resource not found"}, {"code": "no_such_path"}):
        with pytest.raises(RetryableError):
            await answering(404, body, PROBLEM).find("k-1", timeout_seconds=1)


async def test_a_look_up_that_fails_did_nothing_and_tells_nothing():
    for bank in (failing(httpx2.ReadTimeout("slow")), answering(500), answering(200, DONE | {"idempotency_key": "x"})):
        with pytest.raises(RetryableError) as raised:
            await bank.find("k-1", timeout_seconds=1)
        assert certain(raised.value)


async def test_a_recorded_refusal_is_found():
    told = DONE | {"state": "refused", "code": "account_frozen", "detail": "it is frozen"}
    found = await answering(200, told).find("k-1", timeout_seconds=1)
    assert found == Effect("refused", "tr-1", "account_frozen", "it is frozen", ORDER)


async def test_the_state_of_an_account_is_what_a_precondition_looks_at():
    told = {"id": "a", "balance_minor": 5, "currency": "EUR", "status": "active", "owner_name": "Ada"}
    state = await answering(200, told).state_of("a", timeout_seconds=1)
    assert state == {"balance_minor": 5, "currency": "EUR", "status": "active", "owner_name": "Ada"}
    assert await answering(404, {"code": "account_unknown"}, PROBLEM).state_of("a", timeout_seconds=1) == {}


@pytest.mark.parametrize("balance", ["5", 5.0, True, None, 2**60])
async def test_a_balance_that_is_no_exact_integer_is_no_state(balance: Any):
    told = {"balance_minor": balance, "currency": "EUR", "status": "active", "owner_name": "Ada"}
    with pytest.raises(RetryableError):
        await answering(200, told).state_of("a", timeout_seconds=1)


async def test_a_name_from_outside_stays_one_segment_of_the_path():
    paths = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        paths.append(request.url.raw_path)
        return httpx2.Response(404, json={"code": "account_unknown"}, headers=PROBLEM)

    bank = backend(handler)
    for subject in ("../transfers?x=1#y", "a/b", "%2e%2e", "ä"):
        assert await bank.state_of(subject, timeout_seconds=1) == {}
    for subject in ("", ".", ".."):
        assert await bank.state_of(subject, timeout_seconds=1) == {}
    assert len(paths) == 4
    assert all(path.startswith(b"/api/v1/accounts/") and path.count(b"/") == 4 and b"?" not in path for path in paths)


async def test_a_closed_backend_sends_nothing():
    bank = HttpActionBackend(name="bank", base_url="https://bank.example", token=TOKEN)
    await bank.close()
    await bank.close()
    assert certain(await error_of(bank))


@pytest.mark.parametrize(
    "address", ["http://bank.example", "ftp://127.0.0.1", "bank.example", "http://127.0.0.1.evil/"]
)
def test_an_address_that_would_show_the_token_to_others_is_refused(address: str):
    with pytest.raises(ConfigurationError):
        HttpActionBackend(name="bank", base_url=address, token=TOKEN)


def test_the_client_library_is_loaded_by_the_first_call():
    program = (
        "import sys; from shared.adapters.web.action_backend import HttpActionBackend as B;"
        "B(name='bank', base_url='https://bank.example', token='t'); print('httpx2' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
