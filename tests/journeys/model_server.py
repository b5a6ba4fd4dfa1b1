"""A model's endpoint on a port of this machine, for journeys: `POST /v1/responses`, streamed, from a script.

with ModelServer([Turn("hello", Says({"reply": "Hello."}))]) as server, LocalHost(..., OPENAI_BASE_URL=server.url):
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from shared.adapters.embedded.language_model import Says, Step, Turn, UnscriptedQuestionError, due
from shared.adapters.web.reply_reader import ReplyReader
from tests.model_events import events_of, frames, lines_of

BEGUN, DELTA = "response.output_item.added", "response.output_text.delta"


class Trouble(NamedTuple):
    """What a request meets. status: it is refused with that. after_words: the connection breaks after so many pieces
    of the answer. silent_seconds: nothing is sent for so long first, which alone only delays the answer. events: sent
    in place of what the script says.
    """

    status: int = 0
    headers: Mapping[str, str] = {}
    after_words: int | None = None
    silent_seconds: float = 0.0
    events: Sequence[Mapping[str, Any]] = ()


class Received(NamedTuple):
    """One request. first_word_at: `time.monotonic()`, the same clock in every process, when a first word had left."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    first_word_at: list[float]

    @property
    def said(self) -> str:
        """What the person had said last."""
        return next(line.text for line in reversed(lines_of(self.body)) if line.role == "user")


class ModelServer:
    """`url` is what OPENAI_BASE_URL takes. `received`: the latest thousand requests.

    word_seconds: between two pieces of an answer, for steps that name no delay. `meets(...)` puts trouble in the way.
    A question that nobody scripted is refused, and fails the test at the end of the block.
    """

    def __init__(self, script: Sequence[Turn], *, word_seconds: float = 0.0) -> None:
        self.script = tuple(script)
        self.word_seconds = word_seconds
        self.received: deque[Received] = deque(maxlen=1_000)
        self.unscripted: list[str] = []
        self._troubles: deque[Trouble] = deque()
        self._down: dict[str, Trouble] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert error is not None or not self.unscripted, self.unscripted

    def meets(self, trouble: Trouble, *, times: int = 1, model: str = "") -> None:
        """The next `times` requests meet it; with `model`, every one to that model until `recovers`."""
        with self._lock:
            if model:
                self._down[model] = trouble
            else:
                self._troubles.extend([trouble] * times)

    def recovers(self) -> None:
        with self._lock:
            self._down.clear()
            self._troubles.clear()

    def trouble_for(self, model: str) -> Trouble | None:
        with self._lock:
            if model in self._down:
                return self._down[model]
            return self._troubles.popleft() if self._troubles else None


class _Handler(BaseHTTPRequestHandler):
    owner: ModelServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        received = Received(body, {name.lower(): value for name, value in self.headers.items()}, [])
        self.owner.received.append(received)
        if self.path != "/v1/responses":
            self._refuse(404, f"no such path: {self.path}")
            return
        trouble = self.owner.trouble_for(body["model"])
        if trouble is not None:
            time.sleep(trouble.silent_seconds)
            if trouble.status:
                self._refuse(trouble.status, "the script says so", trouble.headers)
                return
        if trouble is not None and trouble.events:
            self._stream(None, list(trouble.events), received, trouble)
            return
        try:
            step = due(self.owner.script, lines_of(body))
        except UnscriptedQuestionError as unscripted:
            self.owner.unscripted.append(str(unscripted))
            self._refuse(400, str(unscripted))
            return
        self._stream(step, list(events_of(step, body)), received, trouble)

    def _stream(self, step: Step | None, events: list[Any], received: Received, trouble: Trouble | None) -> None:
        breaks_after = trouble.after_words if trouble else None
        begins, between = (step.begins_after_seconds, step.word_seconds) if isinstance(step, Says) else (0.0, 0.0)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        words, reply = 0, ReplyReader()
        for event, frame in zip(events, frames(events), strict=True):
            if event["type"] == BEGUN:
                time.sleep(begins)
            if event["type"] == DELTA:
                if words == breaks_after:
                    break
                if words:
                    time.sleep(between or self.owner.word_seconds)
                words += 1
            self._chunk(frame)
            if event["type"] == DELTA and reply.feed(event["delta"]) and not received.first_word_at:
                received.first_word_at.append(time.monotonic())
        else:
            self._chunk(b"")
            return
        self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _refuse(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"error": {"message": message, "type": "scripted", "code": "scripted"}}).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: Any) -> None:
        """A test that wants to know reads `received`."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):  # the client has gone, as it may
            self.close_connection = True
