"""How reports say numbers, times and names; and what they never say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
SECRET_VALUE = re.compile(
    r"(?i)\b((?:[\w-]*(?:password|passwd|secret|token|api[-_]?key|apikey|private[-_]?key|credential)[\w-]*)"
    r"[\"']?\s*[=:]\s*[\"']?)(?:bearer\s+|basic\s+)?[^\s\"'&,;]+"
)
AUTHORIZATION = re.compile(r"(?i)\b(authorization[\"']?\s*[=:]\s*[\"']?)(?:\w+\s+)?[^\s\"',;]+")
MOST_OUTPUT = 4_000
"""Characters of a tool's output in a report; the end is kept, since tools say the reason last."""


def without_secrets(text: str) -> str:
    """Free text without what looks like a credential: user parts of URLs, values named as secrets."""
    text = USERINFO.sub("…@", text)
    text = AUTHORIZATION.sub(r"\1…", text)
    return SECRET_VALUE.sub(r"\1…", text)


def output(text: str | None) -> str | None:
    """A tool's own words for a report: without secrets, and their end if they are long."""
    if not text:
        return None
    text = without_secrets(text.strip())
    return text if len(text) <= MOST_OUTPUT else "… " + text[-MOST_OUTPUT:]


def package_name(component: str) -> str:
    """The name that people use: ``pkg:pypi/jinja2`` is jinja2."""
    return component.partition("/")[2].rpartition("@")[0] or component.partition("/")[2] or component


def count(number: int, noun: str) -> str:
    """``1 target``, ``2 targets``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def names(all_names: Sequence[str], most: int = 5) -> str:
    """``a, b and c``; the rest is counted."""
    shown = list(dict.fromkeys(all_names))
    if len(shown) > most:
        shown = [*shown[:most], f"{len(shown) - most:,} more"]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def moment(instant: datetime | None) -> str:
    """A time as a person reads it."""
    return "unknown" if instant is None else f"{instant:%-d %B %Y, %H:%M} UTC"


def length(duration: timedelta) -> str:
    """A duration in its two largest units: ``3 days 4 hours``, ``42 seconds``."""
    seconds = abs(duration).total_seconds()
    if seconds < 1:
        return "less than a second"
    parts: list[str] = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(count(int(number), unit))
    return " ".join(parts[:2])


def sentence(text: str) -> str:
    """The text on one line, with a full stop at its end. A name at its start keeps its spelling."""
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?…" else text + "."


def size(octets: int) -> str:
    """A file's size as a person reads it."""
    value = float(octets)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
