"""Logs: short lines for people on a terminal, JSON lines with the trace id for machines, never a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal

from opentelemetry import trace

FILE_BYTES = 16 << 20
FILES_KEPT = 3
NOISY = {
    "aiokafka": logging.CRITICAL,
    "faststream": logging.WARNING,
    "httpx": logging.WARNING,
    "asyncio": logging.WARNING,
    "uvicorn": logging.WARNING,
    "opentelemetry": logging.WARNING,
}
"""Libraries whose lines below this level say nothing about Patchline. aiokafka calls every moment of a
rebalance an error and tries again; what lasts is told by the transport."""

CREDENTIALS = re.compile(
    r"""(?P<url>://[^/\s:@]*:)[^\s/@]+(?=@)
      | (?P<scheme>\b(?:bearer|basic)\s+)[^\s"',;]+
      | (?P<name>\b(?:password|passwd|token|secret|api[_-]?key)\b\\?["']?\s*[=:]\s*\\?["']?)[^\s"',;&\\]+""",
    re.IGNORECASE | re.VERBOSE,
)
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Redactor:
    """Takes secrets out of a text: known ones by value, others by how they stand there."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """``text`` with ``***`` in the place of each secret."""
        for secret in self._known:
            text = text.replace(secret, "***")
        return CREDENTIALS.sub(lambda found: f"{found[found.lastgroup or 0]}***", text)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, trace id, what ``extra`` adds, and the stack."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = f"{context.trace_id:032x}"
            line["span_id"] = f"{context.span_id:016x}"
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = "".join(traceback.format_exception_only(*record.exc_info[:2])).strip()
            line["stack"] = "".join(traceback.format_exception(*record.exc_info))
        return self._redact(json.dumps(line, default=str, ensure_ascii=False))


class ShortLines(logging.Formatter):
    """A line for a person, with its trace; of an exception only what it says and where, no traceback."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"{time} {record.name.removeprefix('patchline.')}: {level}{record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            where = traceback.extract_tb(error.__traceback__)[-1:] if error.__traceback__ else []
            text += f": {type(error).__name__}: {error}"
            text += "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in where)
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            text += f" [trace {context.trace_id:032x}]"
        return self._redact(text)


def configure_logging(
    *,
    level: str = "info",
    style: Literal["auto", "text", "json"] = "auto",
    file: Path | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Send the process's log lines to standard error or ``file``; a second call replaces the first."""
    handler: logging.Handler
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
    else:
        handler = logging.StreamHandler(sys.stderr)
    text = style == "text" or (style == "auto" and file is None and sys.stderr.isatty())
    redact = Redactor(secrets)
    handler.setFormatter(ShortLines(redact) if text else JsonLines(redact))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in NOISY.items():
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else least)
