from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchline_kit import tracing
from patchline_kit.logs import JsonLines, Redactor, ShortLines, configure_logging
from patchline_kit.telemetry import Telemetry, current_trace_id


def line(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("patchline.planning").makeRecord(
        "patchline.planning", logging.INFO, "file.py", 7, message, (), None, extra=extra
    )


def failed() -> logging.LogRecord:
    try:
        int("wave")
    except ValueError:
        return logging.LogRecord(
            "patchline.planning", logging.ERROR, "file.py", 7, "it failed", (), sys.exc_info()
        )


def test_a_json_line_carries_the_trace_and_what_was_added():
    tracer = Telemetry({}).tracer("planning")
    with tracing.Step(tracer, "step", now=datetime.now(UTC)):
        said = json.loads(JsonLines(Redactor()).format(line("planned", update_id="u-1")))
        assert said["trace_id"] == current_trace_id()
        assert (
            ShortLines(Redactor()).format(line("planned")).endswith(f" planned [trace {current_trace_id()}]")
        )
    assert (said["level"], said["logger"], said["message"]) == ("info", "patchline.planning", "planned")
    assert said["update_id"] == "u-1"
    assert datetime.fromisoformat(said["time"]).tzinfo is not None


def test_an_error_keeps_its_stack_for_machines_and_is_one_line_for_people():
    said = json.loads(JsonLines(Redactor()).format(failed()))
    assert said["error"].startswith("ValueError: invalid literal")
    assert "Traceback" in said["stack"]
    short = ShortLines(Redactor()).format(failed())
    assert "error: it failed: ValueError: invalid literal" in short
    assert "(test_logs.py:" in short
    assert "\n" not in short


@pytest.mark.parametrize(
    "text",
    [
        "connecting to mongodb://admin:geheim@db/x",
        "Authorization: Bearer geheim",
        "token=geheim",
        '{"password": "geheim"}',
        "api_key: geheim",
        "the known one is s3cr3t-geheim",
    ],
)
def test_no_secret_reaches_a_line(text: str):
    redact = Redactor(["s3cr3t-geheim"])
    assert "geheim" not in JsonLines(redact).format(line(text))
    assert "geheim" not in ShortLines(redact).format(line(text))


@pytest.mark.parametrize("text", ["listening on http://127.0.0.1:8470/docs", "updated pkg:pypi/tokenize@1.0"])
def test_what_is_no_secret_stays(text: str):
    assert text in ShortLines(Redactor()).format(line(text))


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)


def test_a_log_file_gets_json_lines(tmp_path: Path, restored_logging: None):
    configure_logging(file=tmp_path / "logs" / "patchline.log", secrets=["geheim"])
    logging.getLogger("patchline.x").info("say geheim")
    [said] = [json.loads(each) for each in (tmp_path / "logs" / "patchline.log").read_text().splitlines()]
    assert said["message"] == "say ***"
