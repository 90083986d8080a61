"""How findings say numbers, durations and names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


def count(number: int, noun: str) -> str:
    """``1 target``, ``2 targets``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def length(duration: timedelta) -> str:
    """A duration in its two largest units."""
    seconds = abs(duration).total_seconds()
    if seconds < 1:
        return "less than a second"
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(count(int(number), unit))
    return " ".join(parts[:2])


def names(all_names: Sequence[str]) -> str:
    """``a, b and c``; what is more than five is counted."""
    shown = list(all_names)
    if len(shown) > 5:
        shown = [*shown[:5], f"{len(shown) - 5:,} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""
