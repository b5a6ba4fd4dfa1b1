"""Log lines on Azure: JSON, with the correlation id, and nobody's words."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from shared.adapters import log_lines
from shared.contracts.correlation import CORRELATION
from shared.errors import RetryableError


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the platform's one handler writes."""
    root, written = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [logging.StreamHandler(written)]
    root.setLevel(logging.INFO)
    chatty = {name: logging.getLogger(name).level for name in log_lines.CHATTY}
    log_lines.set_up()
    yield written
    root.handlers[:] = before
    root.setLevel(level)
    for name, was in chatty.items():
        logging.getLogger(name).setLevel(was)


def look_up(name: str) -> None:
    raise KeyError(name)


def read(name: str) -> None:
    try:
        look_up(name)
    except KeyError as wrong:
        raise RetryableError("the store is down") from wrong


def test_a_line_names_the_correlation_and_what_was_given(lines: io.StringIO):
    token = CORRELATION.set("agent:home:upload:1")
    logging.getLogger("countersign.inbox").info("handled %s", "X", extra={"fields": {"run_id": "r-1"}})
    CORRELATION.reset(token)
    told = json.loads(lines.getvalue())
    assert (told["level"], told["logger"], told["message"]) == ("info", "countersign.inbox", "handled X")
    assert (told["correlation_id"], told["fields"]) == ("agent:home:upload:1", {"run_id": "r-1"})


def test_what_an_error_of_somebody_else_s_says_is_left_out(lines: io.StringIO):
    try:
        look_up("Marie Curie, IBAN DE02")
    except KeyError:
        logging.getLogger("countersign.http").exception("an HTTP function failed")
    told = json.loads(lines.getvalue())
    assert "Curie" not in lines.getvalue()
    assert told["exception"].startswith("KeyError\ntest_log_lines.py:")
    assert told["exception"].endswith(" look_up")


def test_what_our_own_errors_say_is_kept_but_not_what_caused_them(lines: io.StringIO):
    try:
        read("Marie Curie")
    except RetryableError:
        logging.getLogger("countersign").exception("waits")
    told = json.loads(lines.getvalue())
    assert told["exception"].splitlines()[0] == "RetryableError from KeyError: the store is down"
    assert "Curie" not in lines.getvalue()


def test_libraries_that_log_every_request_are_heard_from_warnings_on(lines: io.StringIO):
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").info("Request URL: ...")
    logging.getLogger("azure.identity").warning("no token")
    assert [json.loads(line)["message"] for line in lines.getvalue().splitlines()] == ["no token"]


def test_what_azure_monitor_is_sent_is_the_same_line():
    """Alerts and queries read `Message` of AppTraces: it is this body."""
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [LoggingHandler(logger_provider=provider)]
    try:
        log_lines.set_up()
        logging.getLogger("countersign.inbox").error("signal %s", "audit_break", extra={"fields": {"tenant": "home"}})
        try:
            look_up("Marie Curie")
        except KeyError:
            logging.getLogger("countersign.http").exception("an HTTP function failed")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        provider.shutdown()
    signal, failed = (one.log_record for one in exporter.get_finished_logs())
    told = json.loads(str(signal.body))
    assert (told["message"], told["fields"]) == ("signal audit_break", {"tenant": "home"})
    assert "Curie" not in f"{failed.body}{failed.attributes}"
