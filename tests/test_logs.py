"""Log lines: readable or JSON, and never forged by the data that they tell of."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from durable_admin.logs import SERVICE_VARIABLE, JsonFormatter, LineFormatter


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    logger = logging.getLogger("orchestrations.runtime")
    made = logger.makeRecord(logger.name, logging.WARNING, __file__, 1, message, arguments, None, extra=fields)
    made.created = 1_795_000_000.5
    return made


def record_of_a_failure() -> logging.LogRecord:
    made = record("It broke")
    try:
        raise RuntimeError("gone\n2026-01-01T00:00:00Z INFO audit: approved by root")
    except RuntimeError:
        made.exc_info = sys.exc_info()
    return made


def test_a_line_says_when_how_grave_who_and_what():
    line = LineFormatter().format(record("Instance %s waits", "order-1"))

    assert line == "2026-11-18T11:06:40.500Z WARNING orchestrations.runtime: Instance order-1 waits"


def test_a_line_of_a_request_names_it():
    line = LineFormatter().format(record("Slow", request_id="4f2a"))

    assert line.endswith("orchestrations.runtime: Slow [request 4f2a]")


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\x1b[2J", "\x85", "\u2028"])
def test_data_can_not_begin_a_line_of_its_own(separator):
    line = LineFormatter().format(record("Event %s", f"paid{separator}forged"))

    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_a_traceback_follows_indented():
    first, *rest = LineFormatter().format(record_of_a_failure()).splitlines()

    assert first.endswith("It broke")
    assert all(line.startswith("    ") for line in rest)
    assert any("RuntimeError: gone" in line for line in rest)


def test_a_json_line_is_one_object_with_the_plain_extra_fields(monkeypatch):
    monkeypatch.setenv(SERVICE_VARIABLE, "worker")
    line = JsonFormatter().format(record("Event\n%s", "paid", instance_id="order-1", request=object()))

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-18T11:06:40.500Z",
        "level": "WARNING",
        "logger": "orchestrations.runtime",
        "message": "Event\npaid",
        "service": "worker",
        "instance_id": "order-1",
    }


def test_a_json_line_holds_the_traceback():
    line = JsonFormatter().format(record_of_a_failure())

    assert "\n" not in line
    assert "RuntimeError: gone" in json.loads(line)["exception"]


def test_text_that_no_encoding_can_hold_is_logged_all_the_same():
    assert json.loads(JsonFormatter().format(record("Name \udcff")))["message"] == "Name \udcff"
