"""From a model's first word to the person: `POST /api/v1/chat` on a local host, whose model is a small endpoint here.

The endpoint speaks the Responses API as far as it takes, and notes when its first word has left; the person's side
notes when the first token has come. Both are this process, on one clock.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.latency import HEADERS, served
from benchmarks.measure import Measured, data_folder, percentile

WARM_UP = 5
ROUNDS = 60
WORD_SECONDS = 0.01
WORDS = ['{"reply": "', "Good ", "morning ", "to ", "you.", '", "response_summary": "s", "outcome_code": "answered"}']
ITEM = {"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []}


class _Endpoint(BaseHTTPRequestHandler):
    """Gives everybody the same answer, word by word."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    left_at: list[float]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self._send({"type": "response.output_item.added", "output_index": 0, "item": ITEM})
        for number, word in enumerate(WORDS):
            time.sleep(WORD_SECONDS)
            self._send({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": word})
            if number == 1:
                self.left_at.append(time.perf_counter())
        part = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
        whole = {**ITEM, "status": "completed", "content": [part]}
        response = {"id": "r", "status": "completed", "output": [whole], "usage": None}
        self._send({"type": "response.completed", "response": response})
        self.close_connection = True

    def _send(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *about: Any) -> None:
        """Nobody reads it."""


@contextmanager
def endpoint(left_at: list[float]) -> Iterator[str]:
    """Its address. left_at: when each first word had left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Endpoint", (_Endpoint,), {"left_at": left_at}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def came_at(connection: Any) -> float:
    """When the first token of an answer came; the rest is read, too."""
    connection.request("POST", "/api/v1/chat", json.dumps({"message": "hello"}), HEADERS)
    answer = connection.getresponse()
    came = 0.0
    for line in answer:
        if line.startswith(b"event: token") and not came:
            came = time.perf_counter()
        if line.startswith(b"event: error"):
            raise RuntimeError(answer.read(500).decode())
    return came


def measured() -> Measured:
    """Milliseconds, in a folder of its own."""
    left_at: list[float] = []
    with endpoint(left_at) as url, data_folder() as data, served(data, MODEL="first", OPENAI_BASE_URL=url) as serving:
        came = [came_at(serving[1]) for _ in range(WARM_UP + ROUNDS)]
    waits = [there - left for there, left in zip(came, left_at, strict=True)][WARM_UP:]
    return {"first_token_p50_ms": percentile(waits, 0.5) * 1e3, "first_token_p99_ms": percentile(waits, 0.99) * 1e3}


if __name__ == "__main__":
    print(json.dumps(measured(), indent=1))
