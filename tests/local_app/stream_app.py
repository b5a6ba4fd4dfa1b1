"""The tiny app's second half, for the tests of streaming: HTTP v2 functions, each noting what it saw."""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

if os.environ.get("STREAM_APP_BROKEN"):
    raise RuntimeError("this stream app cannot be imported")

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
SEEN = Path(os.environ.get("LOCAL_APP_SEEN", os.devnull))


def note(what: str, **facts: object) -> None:
    with SEEN.open("a", encoding="utf-8") as seen:
        seen.write(json.dumps({"what": what, **facts}) + "\n")


@app.route(route="ticks/{count:int}", methods=["GET"])
async def ticks(req: Request) -> StreamingResponse:
    """The time of each piece, 50 ms apart."""

    async def pieces() -> AsyncIterator[str]:
        for number in range(int(req.path_params["count"])):
            yield f"{number} {time.time()}\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(pieces(), media_type="text/event-stream", headers={"X-Kept": "yes"})


@app.route(route="watch", methods=["GET"])
async def watch(req: Request) -> StreamingResponse:
    """Until the reader goes, and then a little longer, as a turn that is still to be stored."""

    async def stored_later() -> None:
        await asyncio.sleep(0.3)
        note("stored")

    async def pieces() -> AsyncIterator[str]:
        try:
            while True:
                yield ": here\n\n"
                await asyncio.sleep(float(req.query_params.get("pause", "0.05")))
        finally:
            note("left", at=time.time())
            app.later = asyncio.get_running_loop().create_task(stored_later())

    return StreamingResponse(pieces(), media_type="text/event-stream")


@app.route(route="mirror/{name}", methods=["POST", "PUT"])
async def mirror(req: Request) -> JSONResponse:
    body = await req.body()
    print("printed by a function")  # stdout is the host's: it must not disturb
    told = {
        "method": req.method,
        "url": str(req.url),
        "name": req.path_params["name"],
        "query": dict(req.query_params),
        "headers": dict(req.headers),
        "digest": hashlib.sha256(body).hexdigest(),
        "process": os.getpid(),
    }
    return JSONResponse(told, status_code=201, headers={"Set-Cookie": "a=b; Path=/"})


@app.route(route="large", methods=["GET", "HEAD"])
async def large(req: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(int(req.query_params["pieces"])):
            yield bytes([number % 251]) * 100_000

    return StreamingResponse(pieces(), media_type="application/octet-stream")


@app.route(route="fails", methods=["GET"])
async def fails(req: Request) -> Response:
    raise RuntimeError("this streaming function always fails")


@app.route(route="breaks-off", methods=["GET"])
async def breaks_off(req: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        yield "half of it"
        await asyncio.sleep(0.05)
        if req.query_params.get("how") == "exit":
            os._exit(3)
        raise RuntimeError("in the middle")

    return StreamingResponse(pieces(), media_type="text/plain")


@app.route(route="crash", methods=["POST"])
async def crash(req: Request) -> Response:
    os._exit(4)


@app.route(route="stuck", methods=["POST"])
async def stuck(req: Request) -> Response:
    time.sleep(60)  # noqa: ASYNC251 a function that blocks everything is the point
    return Response()


@app.route(route="both/{name}", methods=["GET"])
async def both_streamed(req: Request) -> Response:
    return Response("from the stream app")
