"""Durations as people type them, instants as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from patchline_cli.failures import wrong_use

_DURATION = TypeAdapter(timedelta)
_SHORT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_STEPS = (
    (timedelta(days=365), "y"),
    (timedelta(days=60), "mo"),
    (timedelta(days=2), "d"),
    (timedelta(hours=2), "h"),
    (timedelta(minutes=2), "min"),
)
_LENGTHS = {"y": 365 * 86400, "mo": 30 * 86400, "d": 86400, "h": 3600, "min": 60}


def duration(text: str) -> timedelta:
    """``PT30S`` (ISO 8601), ``30s``, ``5m``, ``2h``, ``1d`` or seconds. Raises :class:`Failure` otherwise."""
    short = _SHORT.fullmatch(text.strip().lower())
    if short:
        return timedelta(seconds=float(short[1]) * _UNITS[short[2]])
    try:
        length = _DURATION.validate_python(text.strip())
    except ValidationError:
        length = timedelta(-1)
    if length < timedelta(0):
        raise wrong_use(
            f"{text!r} is no duration.", fix="Write it like PT30S or 30s, PT5M or 5m, PT2H or 2h."
        )
    return length


def iso(length: timedelta) -> str:
    """A duration as the API takes it."""
    return f"PT{length.total_seconds():g}S"


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API."""
    return datetime.fromisoformat(text) if text else None


def relative(text: str | None, now: datetime | None = None) -> str:
    """``in 3 d``, ``5 min ago``, ``now``; a dash for null."""
    at = instant(text)
    if at is None:
        return "-"
    away = at - (now or datetime.now(UTC))
    distance = abs(away)
    if distance < timedelta(seconds=2):
        return "now"
    unit = next((unit for least, unit in _STEPS if distance >= least), "s")
    number = int(distance.total_seconds() // _LENGTHS.get(unit, 1))
    return f"in {number} {unit}" if away > timedelta(0) else f"{number} {unit} ago"
